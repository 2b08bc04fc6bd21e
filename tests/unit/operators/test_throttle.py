from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from reactivex.subject import Subject

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.outcome import Ending, Outcome
from operators.throttle import OVER_RATE, Throttle, WhenOver, throttle
from tests.kit.timers import VirtualTime

STORED = Outcome(Ending.STORED)
SECOND = 1_000_000_000
MONTH = 30 * 86_400 * SECOND


class World:
    """A throttle alone in its pipe."""

    def __init__(
        self, time: VirtualTime | None = None, *, waiting_maximum: int = 64, **spec: Any
    ) -> None:
        self.time = time or VirtualTime()
        self.ledger = Ledger()
        self.passed: list[tuple[str, int]] = []
        self.over: list[str] = []
        self.source: Subject[Delivery[str]] = Subject()
        self.subscription = self.source.pipe(
            throttle(
                Throttle(**spec),
                waiting_maximum=waiting_maximum,
                clock=self.time.clock,
                call_later=self.time.call_later,
            )
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


def test_what_is_over_the_rate_ends_if_the_document_has_it_so() -> None:
    world = World(per_second=1, when_over=WhenOver.END)

    _, over = world.offer("a", "b")

    assert (over.outcome, over.marks) == (OVER_RATE, [("throttle", 0, OVER_RATE)])
    assert world.time.pending == 0


def test_no_more_wait_than_the_maximum() -> None:
    world = World(per_second=1, waiting_maximum=2)

    tickets = world.offer(*"abcd")

    assert [ticket.outcome for ticket in tickets] == [STORED, None, None, OVER_RATE]


def test_disposing_ends_what_waits() -> None:
    world = World(per_second=1)
    world.offer(*"abc")

    world.subscription.dispose()

    assert world.ledger.ended(Ending.INTERRUPTED) == 2
    assert (world.ledger.in_flight, world.time.pending, world.over) == (0, 0, [])


def test_completion_waits_for_what_waits() -> None:
    world = World(per_second=1)
    world.offer(*"ab")

    world.source.on_completed()

    assert world.over == []
    world.time.advance(SECOND)
    assert (world.over, world.ledger.in_flight) == (["|"], 0)


def test_completion_passes_at_once_where_nothing_waits() -> None:
    world = World(per_second=1)
    world.offer("a")
    world.source.on_completed()
    assert world.over == ["|"]


def test_a_wait_is_counted_from_the_moment_the_event_came() -> None:
    world = World(per_second=1)
    world.time.advance(5 * SECOND)
    _, waited = world.offer("a", "b")
    world.time.advance(SECOND)
    assert waited.marks == [("throttle", 6 * SECOND, {"throttle.wait_ms": 1000.0})]


def test_what_comes_while_others_are_released_sets_no_timer_of_its_own() -> None:
    world = World(VirtualTime(late_ns=3 * SECOND), per_second=1, burst=3)
    first = world.offer(*"abcde")[3]

    def offer_another(_: Ticket) -> None:
        world.offer("f")

    first.when_settled(offer_another)
    world.time.advance(4 * SECOND)
    assert [name for name, _ in world.passed] == [*"abcdef"]
    assert world.time.pending == 0


def test_an_error_of_the_source_passes_and_ends_what_waits() -> None:
    world = World(per_second=1)
    world.offer(*"ab")

    world.source.on_error(OSError("the source broke"))

    assert world.over == ["the source broke"]
    assert world.ledger.ended(Ending.INTERRUPTED) == 1
    assert (world.ledger.in_flight, world.time.pending) == (0, 0)


def test_the_next_one_passes_although_one_before_it_raised_downstream() -> None:
    world = World(per_second=1)
    world.offer("a", "raise", "b")

    with pytest.raises(ArithmeticError):
        world.time.advance(SECOND)

    world.time.advance(SECOND)
    assert world.passed[-1] == ("b", 2 * SECOND)


@pytest.mark.parametrize("per_second", [3, 0.7, 1e-5, 997, 1e12])
def test_the_rate_is_kept_in_the_long_run(per_second: float) -> None:
    # Every event waits for its own token: one passes at each firing of the timer, and none before it.
    world = World(per_second=per_second, burst=1, waiting_maximum=1000)
    gap_ns = max(1, SECOND / per_second)

    world.offer(*map(str, range(1000)))

    assert len(world.passed) == 1
    world.time.advance(round(1000.5 * gap_ns))
    assert [name for name, _ in world.passed] == [str(number) for number in range(1000)]
    assert world.passed[-1][1] == pytest.approx(999 * gap_ns, rel=1e-6)


@pytest.mark.parametrize("late_ns", [-1, 1_000_000])
def test_a_timer_that_fires_early_or_late_costs_no_event_and_frees_none_early(late_ns: int) -> None:
    world = World(VirtualTime(late_ns=late_ns), per_second=1)

    world.offer("a", "b")
    world.time.advance(SECOND - 1)
    assert len(world.passed) == 1
    world.time.advance(SECOND)

    assert [name for name, _ in world.passed] == ["a", "b"]
    assert world.passed[1][1] == SECOND + max(0, late_ns)


@pytest.mark.parametrize(("spec", "size"), [({"burst": 3}, 3), ({}, 2), ({"per_second": 0.1}, 1)])
def test_a_burst_is_the_rate_rounded_up_unless_it_is_set(spec: dict[str, Any], size: int) -> None:
    assert Throttle.model_validate({"per_second": 1.5, **spec}).burst_size == size


def test_a_rate_next_to_nothing_is_within_the_range_of_timers() -> None:
    world = World(per_second=5e-324)

    world.offer("a", "b")

    world.time.advance(MONTH)
    assert (len(world.passed), world.time.pending) == (1, 1)


@pytest.mark.parametrize("spec", [{"per_second": 0}, {"per_second": 1, "burst": 0}])
def test_a_rate_or_a_burst_of_nothing_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Throttle(**spec)
