from __future__ import annotations

from operators.flow.clock import NANOSECONDS_PER_SECOND
from streams.sources.informer.backoff import Backoff


def waits(backoff: Backoff, count: int, **how: float) -> list[float]:
    now_ns, told = 0, list[float]()
    for _ in range(count):
        wait_ns = backoff.next_ns(now_ns, **how)
        now_ns += wait_ns
        told.append(wait_ns / NANOSECONDS_PER_SECOND)
    return told


def test_waits_double_up_to_30_seconds() -> None:
    assert waits(Backoff(lambda: 0.0), 8) == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]


def test_waits_are_spread_up_to_twice() -> None:
    assert waits(Backoff(lambda: 0.5), 3) == [1.2, 2.4, 4.8]


def test_waits_stay_under_a_lower_cap() -> None:
    assert waits(Backoff(lambda: 0.0), 6, cap_seconds=5.0) == [0.8, 1.6, 3.2, 5, 5, 5]


def test_the_server_is_waited_for_up_to_ten_minutes() -> None:
    assert waits(Backoff(lambda: 0.0), 2, asked_seconds=20.0) == [20, 20]
    assert waits(Backoff(lambda: 0.0), 2, asked_seconds=1.0) == [1, 1.6]
    for far in (86_400.0, float("inf")):
        assert waits(Backoff(lambda: 0.0), 1, asked_seconds=far) == [600]


def test_two_quiet_minutes_begin_anew() -> None:
    backoff = Backoff(lambda: 0.0)
    waits(backoff, 5)
    last_ns = 1_000 * NANOSECONDS_PER_SECOND
    backoff.next_ns(last_ns)

    assert backoff.next_ns(last_ns + 120 * NANOSECONDS_PER_SECOND) > NANOSECONDS_PER_SECOND
    assert backoff.next_ns(last_ns + 241 * NANOSECONDS_PER_SECOND) == 0.8 * NANOSECONDS_PER_SECOND
