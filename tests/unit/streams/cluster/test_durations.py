"""Durations as a histogram reads them."""

from __future__ import annotations

from math import inf

from streams.cluster.durations import DurationCounts


def test_buckets_are_cumulative_and_include_their_bound() -> None:
    counts = DurationCounts()
    for seconds in (0.001, 0.005, 0.006, 61.0):
        counts.add(seconds)
    buckets = dict(counts.buckets)
    assert (buckets[0.005], buckets[0.025], buckets[60.0], buckets[inf]) == (2, 3, 3, 4)
    assert counts.count == 4
    assert counts.sum_seconds == 61.012
