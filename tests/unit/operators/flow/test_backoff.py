from __future__ import annotations

import random
from typing import TypedDict

import pytest
from typing_extensions import Unpack

from operators.flow.backoff import Backoff, BackoffSettings, Jitter
from operators.flow.clock import NANOSECONDS_PER_SECOND

REFLECTOR = BackoffSettings(0.8, 30.0, reset_after_seconds=120.0)
SINK = BackoffSettings(
    0.5,
    30.0,
    jitter=Jitter.HALF_TO_ONCE,
    retry_after_cap_seconds=300.0,
    retry_after_jitter_seconds=1.0,
    retry_after_replaces=True,
)
ALMOST_ONE = 1 - 2**-53


class How(TypedDict, total=False):
    retry_after_seconds: float | None
    cap_seconds: float | None


def backoff(settings: BackoffSettings, share: float = 0.0) -> Backoff:
    return Backoff(settings, random=lambda: share)


def waits(one: Backoff, count: int, **how: Unpack[How]) -> list[float]:
    """The waits in seconds after failures in a row, each at the end of the wait before."""
    now_ns, seconds = 0, list[float]()
    for _ in range(count):
        wait_ns = one.next_ns(now_ns, **how)
        now_ns += wait_ns
        seconds.append(wait_ns / NANOSECONDS_PER_SECOND)
    return seconds


def test_waits_double_up_to_the_cap() -> None:
    assert waits(backoff(REFLECTOR), 8) == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


@pytest.mark.parametrize(
    ("jitter", "least", "most"),
    [
        (Jitter.ONCE_TO_TWICE, 1.0, 2.0),
        (Jitter.HALF_TO_ONCE, 0.5, 1.0),
        (Jitter.AROUND, 0.5, 1.5),
    ],
)
def test_jitter_spreads_a_wait_over_its_range(jitter: Jitter, least: float, most: float) -> None:
    settings = BackoffSettings(4.0, 16.0, jitter=jitter)

    assert waits(backoff(settings), 3) == [4 * least, 8 * least, 16 * least]
    assert waits(backoff(settings, 0.5), 3) == [(least + most) / 2 * wait for wait in (4, 8, 16)]
    assert waits(backoff(settings, ALMOST_ONE), 3) == pytest.approx([4 * most, 8 * most, 16 * most])
    seeded = Backoff(settings, random=random.Random(7).random)
    seconds = waits(seeded, 500)[2:]
    assert all(16 * least <= wait < 16 * most for wait in seconds)
    assert min(seconds) < 16 * (least + 0.01)
    assert max(seconds) > 16 * (most - 0.01)


def test_jitter_does_not_grow_the_next_wait() -> None:
    assert waits(backoff(REFLECTOR, 0.5), 3) == [1.2, 2.4, 4.8]


def test_waits_stay_below_the_cap_of_a_call() -> None:
    one = backoff(REFLECTOR)

    assert waits(one, 6, cap_seconds=5.0) == [0.8, 1.6, 3.2, 5, 5, 5]
    assert waits(one, 2) == [10, 20]


def test_a_higher_cap_of_a_call_does_not_raise_the_cap() -> None:
    assert waits(backoff(REFLECTOR), 8, cap_seconds=500.0)[-2:] == [30, 30]


def test_the_longer_of_retry_after_and_backoff_counts() -> None:
    assert waits(backoff(REFLECTOR), 2, retry_after_seconds=20.0) == [20, 20]
    assert waits(backoff(REFLECTOR), 2, retry_after_seconds=1.0) == [1, 1.6]


@pytest.mark.parametrize("far", [600.5, 86_400.0, float("inf")])
def test_retry_after_counts_up_to_its_cap(far: float) -> None:
    assert waits(backoff(REFLECTOR), 1, retry_after_seconds=far) == [600]
    assert waits(backoff(REFLECTOR), 1, retry_after_seconds=599.5) == [599.5]
    assert waits(backoff(SINK), 1, retry_after_seconds=far) == [300]


def test_retry_after_replaces_the_backoff_where_the_settings_say_so() -> None:
    one = backoff(SINK)

    assert waits(one, 4, retry_after_seconds=0.25) == [0.25] * 4
    assert waits(one, 1) == [4]  # half of 8 s: a failure with a Retry-After counts as a failure


def test_retry_after_is_spread_by_the_jitter_of_its_own() -> None:
    assert waits(backoff(SINK, 0.5), 1, retry_after_seconds=7.0) == [7.5]
    assert waits(backoff(SINK, 0.5), 1, retry_after_seconds=500.0) == [300.5]
    assert waits(backoff(REFLECTOR, 0.5), 1, retry_after_seconds=7.0) == [7]


def test_a_negative_retry_after_does_not_shorten_a_wait_below_nothing() -> None:
    assert waits(backoff(SINK), 1, retry_after_seconds=-5.0) == [0]
    assert waits(backoff(REFLECTOR), 1, retry_after_seconds=-5.0) == [0.8]


def test_a_quiet_period_starts_anew() -> None:
    one = backoff(REFLECTOR)
    waits(one, 5)
    last_ns = 1_000 * NANOSECONDS_PER_SECOND
    assert one.next_ns(last_ns) == 0.8 * NANOSECONDS_PER_SECOND

    assert one.next_ns(last_ns + 120 * NANOSECONDS_PER_SECOND) == 1.6 * NANOSECONDS_PER_SECOND
    quiet_ns = last_ns + 240 * NANOSECONDS_PER_SECOND + 1
    assert one.next_ns(quiet_ns) == 0.8 * NANOSECONDS_PER_SECOND


def test_without_a_reset_no_quiet_period_starts_anew() -> None:
    one = backoff(BackoffSettings(1.0, 15.0))
    assert one.next_ns(0) == NANOSECONDS_PER_SECOND

    assert one.next_ns(10**6 * NANOSECONDS_PER_SECOND) == 2 * NANOSECONDS_PER_SECOND


@pytest.mark.parametrize(
    ("initial", "cap"), [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0)]
)
def test_settings_that_make_a_busy_loop_are_refused(initial: float, cap: float) -> None:
    with pytest.raises(ValueError, match="must be positive and at most cap_seconds"):
        BackoffSettings(initial, cap)
