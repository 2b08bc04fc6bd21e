from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from reactivex.subject import Subject

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.outcome import Ending, Outcome
from operators.throttle import OVER, Throttle, TokenBucket, WhenOver, throttle
from tests.kit.timers import VirtualTime

STORED = Outcome(Ending.STORED)
SECOND = 1_000_000_000
MONTH = 30 * 86_400 * SECOND


class World:
    """A throttle alone in its pipe."""

    def __init__(self, **spec: Any) -> None:
        self.time = VirtualTime()
        self.ledger = Ledger()
        self.passed: list[tuple[str, int]] = []
        self.over: list[str] = []
        self.source: Subject[Delivery[str]] = Subject()
        self.subscription = self.source.pipe(
            throttle(Throttle(**spec), clock=self.time.clock, call_later=self.time.call_later)
        ).subscribe(
            self.arrived, lambda error: self.over.append(str(error)), lambda: self.over.append("|")
        )

    def arrived(self, delivery: Delivery[str]) -> None:
        self.passed.append((delivery.value, self.time.now_ns))
        delivery.settle(STORED)
        if delivery.value == "raise":
            raise ArithmeticError(delivery.value)

    def offer(self, *names: str) -> list[Ticket]:
        tickets = [Ticket(self.ledger, self.time.clock) for _ in names]
        for name, ticket in zip(names, tickets, strict=True):
            self.source.on_next(Delivery(name, ticket))
        return tickets


def test_a_burst_passes_and_the_rest_waits_in_order_on_one_timer() -> None:
    world = World(per_second=1, burst=2)

    tickets = world.offer(*"abcd")

    assert world.passed == [("a", 0), ("b", 0)]
    assert world.time.pending == 1
    world.time.advance(10 * SECOND)
    assert world.passed[2:] == [("c", SECOND), ("d", 2 * SECOND)]
    assert [ticket.marks for ticket in tickets] == [
        [("throttle", 0, {"throttle.wait_ms": 0.0})],
        [("throttle", 0, {"throttle.wait_ms": 0.0})],
        [("throttle", SECOND, {"throttle.wait_ms": 1000.0})],
        [("throttle", 2 * SECOND, {"throttle.wait_ms": 2000.0})],
    ]
    assert world.time.pending == 0


def test_what_is_over_the_rate_ends_where_the_document_says_so() -> None:
    world = World(per_second=1, when_over=WhenOver.END)

    _, over = world.offer("a", "b")

    assert (over.outcome, over.marks) == (OVER, [("throttle", 0, OVER)])
    assert world.time.pending == 0


def test_no_more_wait_than_may() -> None:
    world = World(per_second=1, most_waiting=2)

    tickets = world.offer(*"abcd")

    assert [ticket.outcome for ticket in tickets] == [STORED, None, None, OVER]


def test_disposing_ends_those_who_wait() -> None:
    world = World(per_second=1)
    world.offer(*"abc")

    world.subscription.dispose()

    assert world.ledger.ended(Ending.INTERRUPTED) == 2
    assert (world.ledger.in_flight, world.time.pending, world.over) == (0, 0, [])


def test_completion_waits_for_those_who_wait() -> None:
    world = World(per_second=1)
    world.offer(*"ab")

    world.source.on_completed()

    assert world.over == []
    world.time.advance(SECOND)
    assert (world.over, world.ledger.in_flight) == (["|"], 0)


def test_an_error_of_the_source_passes_and_ends_those_who_wait() -> None:
    world = World(per_second=1)
    world.offer(*"ab")

    world.source.on_error(OSError("the source broke"))

    assert world.over == ["the source broke"]
    assert world.ledger.ended(Ending.INTERRUPTED) == 1
    assert (world.ledger.in_flight, world.time.pending) == (0, 0)


def test_whoever_is_next_goes_on_though_somebody_downstream_raised() -> None:
    world = World(per_second=1)
    world.offer("a", "raise", "b")

    with pytest.raises(ArithmeticError):
        world.time.advance(SECOND)

    world.time.advance(SECOND)
    assert world.passed[-1] == ("b", 2 * SECOND)


@pytest.mark.parametrize("per_second", [3, 0.7, 1e-5, 997, 1e12])
def test_the_rate_is_kept_in_the_long_run(per_second: float) -> None:
    time = VirtualTime()
    bucket = TokenBucket(Throttle(per_second=per_second, burst=1), time.clock)
    taken = 0
    while taken < 1000:
        assert bucket.take()
        taken += 1
        wait_ns = bucket.wait_ns()
        time.now_ns += max(0, wait_ns - 1)
        assert not wait_ns or not bucket.take()
        time.now_ns += min(1, wait_ns)
    assert time.now_ns == pytest.approx(taken * max(1, SECOND / per_second), rel=1e-6)


def test_a_rate_next_to_nothing_is_within_the_range_of_timers() -> None:
    world = World(per_second=5e-324)

    world.offer("a", "b")

    world.time.advance(MONTH)
    assert (len(world.passed), world.time.pending) == (1, 1)


@pytest.mark.parametrize("spec", [{"per_second": 0}, {"per_second": 1, "burst": 0}])
def test_a_rate_or_a_burst_of_nothing_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Throttle(**spec)
