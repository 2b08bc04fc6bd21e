"""How long requests took, counted so that a Prometheus histogram can be read from it."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from math import inf

# client-go: rest_client_request_duration_seconds (component-base/metrics/prometheus/restclient)
BOUNDS_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, inf)


class DurationCounts:
    """Counts durations by the bounds client-go uses; 13 numbers, whatever is added."""

    __slots__ = ("_counts", "count", "sum_seconds")

    def __init__(self) -> None:
        self.count = 0
        self.sum_seconds = 0.0
        self._counts = [0] * len(BOUNDS_SECONDS)

    def add(self, seconds: float) -> None:
        """Count one duration; a bound includes itself."""
        self.count += 1
        self.sum_seconds += seconds
        self._counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1

    @property
    def buckets(self) -> list[tuple[float, int]]:
        """Upper bounds in seconds, and how many durations lie at or under each; the last is inf."""
        return list(zip(BOUNDS_SECONDS, accumulate(self._counts), strict=True))
