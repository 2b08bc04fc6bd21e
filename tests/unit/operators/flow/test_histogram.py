"""Durations as a Prometheus histogram reads them."""

from __future__ import annotations

from math import inf, nan

import pytest

from operators.flow.delivery import Ledger, Ticket
from operators.flow.histogram import Histogram, StageTimings
from tests.kit.clocks import Ticks

BOUNDS_SECONDS = (0.005, 0.025, 60.0)


def test_buckets_are_cumulative_and_include_their_bound() -> None:
    histogram = Histogram(BOUNDS_SECONDS)
    for seconds in (0.001, 0.005, 0.006, 60.0, 61.0):
        histogram.observe(seconds)

    assert histogram.buckets == [(0.005, 2), (0.025, 3), (60.0, 4), (inf, 5)]
    assert histogram.count == 5
    assert histogram.sum_seconds == 121.012


def test_nanoseconds_and_seconds_fall_into_the_same_bucket() -> None:
    in_seconds, in_ns = Histogram(BOUNDS_SECONDS), Histogram(BOUNDS_SECONDS)
    for ns in (0, 5_000_000, 5_000_001, 25_000_000, 60_000_000_001):
        in_seconds.observe(ns / 1_000_000_000)
        in_ns.observe_ns(ns)

    assert in_ns.buckets == in_seconds.buckets == [(0.005, 2), (0.025, 4), (60.0, 4), (inf, 5)]
    assert in_ns.sum_seconds == 60.035000002


def test_the_sum_stays_exact_over_many_durations() -> None:
    histogram = Histogram(BOUNDS_SECONDS)
    for _ in range(100_000):
        histogram.observe(0.1)

    assert histogram.sum_seconds == 10_000


def test_nothing_observed_is_all_zero() -> None:
    histogram = Histogram(BOUNDS_SECONDS)

    assert (histogram.count, histogram.sum_seconds) == (0, 0)
    assert histogram.buckets == [(0.005, 0), (0.025, 0), (60.0, 0), (inf, 0)]


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (1.0, inf), (nan,)])
def test_bounds_that_do_not_ascend_are_refused(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="bounds must be finite and ascending"):
        Histogram(bounds)


def test_stages_are_timed_from_mark_to_mark_the_first_from_reception() -> None:
    timings = StageTimings()
    for _ in range(2):
        ticket = Ticket(Ledger(), Ticks(1_000_000_000))
        ticket.mark("decode")
        ticket.mark("queue")
        timings.observe(ticket)

    assert {name: it.count for name, it in timings.stages.items()} == {"decode": 2, "queue": 2}
    assert {name: it.sum_seconds for name, it in timings.stages.items()} == {
        "decode": 2,
        "queue": 2,
    }
    assert [bound for bound, _ in timings.stages["queue"].buckets] == [
        *(0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, inf)
    ]
