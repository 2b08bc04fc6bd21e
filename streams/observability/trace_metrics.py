"""The metrics of the traces: who counts on them has to know what they lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, Metric

if TYPE_CHECKING:
    from streams.observability.metric_readings import TraceReading

LOSSES = ("queue_full", "rejected", "timeout", "shutdown")


def trace_metrics(reading: TraceReading) -> Iterator[Metric]:
    """Spans made, delivered and lost, and traces that the budget kept back; every reason is there from the start."""
    yield CounterMetricFamily(
        "zenstreams_spans_built", "Spans made of events.", value=reading.built
    )
    yield CounterMetricFamily(
        "zenstreams_spans_exported", "Spans a collector took.", value=reading.exported
    )
    lost = CounterMetricFamily(
        "zenstreams_spans_lost",
        "Spans made to be sent that no collector took.",
        labels=["reason"],
    )
    for reason in LOSSES:
        lost.add_metric([reason], reading.lost.get(reason, 0))
    suppressed = CounterMetricFamily(
        "zenstreams_traces_suppressed",
        "Traces that maxSpansPerSecond kept back, by why they would have been kept.",
        labels=["class"],
    )
    for name, count in reading.suppressed.items():
        suppressed.add_metric([name], count)
    yield lost
    yield suppressed
