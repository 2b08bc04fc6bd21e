"""Metrics, read from the books when somebody scrapes: nothing is counted a second time."""

from __future__ import annotations

from streams.metrics.collector import Metrics
from streams.metrics.readings import PipelineReading, ProcessReading, TraceReading

__all__ = ["Metrics", "PipelineReading", "ProcessReading", "TraceReading"]
