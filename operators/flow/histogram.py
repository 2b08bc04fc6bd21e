"""Histograms of durations: plain counts, from which Prometheus histograms are read at scrape time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import inf, isfinite

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.delivery import Ticket


class Histogram:
    """Counts durations by upper bounds, which are inclusive (Prometheus ``le``).

    Holds one number a bound and one for what exceeds all of them, however many durations are observed. The sum is kept
    in whole nanoseconds, so that it stays exact.
    """

    __slots__ = ("_bounds_ns", "_bounds_seconds", "_counts", "_sum_ns")

    def __init__(self, bounds_seconds: Sequence[float]) -> None:
        """Raise ``ValueError`` unless the bounds are finite and ascending; the bound ``inf`` is implied."""
        if not all(map(isfinite, bounds_seconds)) or any(
            low >= high for low, high in pairwise(bounds_seconds)
        ):
            raise ValueError(f"bounds must be finite and ascending: {tuple(bounds_seconds)}")
        self._bounds_seconds = (*bounds_seconds, inf)
        self._bounds_ns = tuple(round(bound * NANOSECONDS_PER_SECOND) for bound in bounds_seconds)
        self._counts = [0] * len(self._bounds_seconds)
        self._sum_ns = 0

    def observe(self, seconds: float) -> None:
        """Count one duration in seconds."""
        self.observe_ns(round(seconds * NANOSECONDS_PER_SECOND))

    def observe_ns(self, duration_ns: int) -> None:
        """Count one duration in nanoseconds; called once a stage of every event, so it only searches and adds."""
        self._counts[bisect_left(self._bounds_ns, duration_ns)] += 1
        self._sum_ns += duration_ns

    @property
    def count(self) -> int:
        """How many durations were observed."""
        return sum(self._counts)

    @property
    def sum_seconds(self) -> float:
        """The sum of the durations observed."""
        return self._sum_ns / NANOSECONDS_PER_SECOND

    @property
    def buckets(self) -> list[tuple[float, int]]:
        """Upper bounds in seconds, and how many durations are at most each; the last bound is ``inf``."""
        return list(zip(self._bounds_seconds, accumulate(self._counts), strict=True))


STAGE_BOUNDS_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0)
"""Buckets of zenstreams_stage_duration_seconds, the same as those of spanmetrics in otel-collector.yaml."""


class StageTimings:
    """The stages of one pipeline; bounded by the number of stage names, which are literals of the code."""

    __slots__ = ("stages",)

    def __init__(self) -> None:
        self.stages: dict[str, Histogram] = {}

    def observe(self, ticket: Ticket) -> None:
        """Add an event's timeline; a stage begins where the one before it ended, the first with the ticket."""
        stages = self.stages
        start_ns = ticket.began_ns
        for name, end_ns, _ in ticket.marks:
            histogram = stages.get(name)
            if histogram is None:
                histogram = stages[name] = Histogram(STAGE_BOUNDS_SECONDS)
            histogram.observe_ns(end_ns - start_ns)
            start_ns = end_ns
