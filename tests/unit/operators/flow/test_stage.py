"""A decision becomes an operator: it meets the timeline, the outcome and its own failure here alone."""

from __future__ import annotations

import pytest
from reactivex.subject import Subject

from operators.flow.delivery import (
    DETAIL_CHARACTERS,
    Delivery,
    Ledger,
    Ticket,
    detail_of,
    failure,
    stage,
    stage_of_delivery,
)
from operators.model.outcome import Ending, Outcome
from tests.kit.clocks import Ticks

UNWANTED = Outcome(Ending.FILTERED, "two")
STORED = Outcome(Ending.STORED)
TOKEN = f"ghp_{'S' * 36}"


def tens(number: int) -> int | Outcome:
    if number == 2:
        return UNWANTED
    if number == 3:
        raise ArithmeticError(f"three, {TOKEN}")
    return number * 10


class Walk:
    """A stage alone in its pipe; what passes is stored."""

    def __init__(self, *, detailed: bool = False) -> None:
        self.ledger, self.passed = Ledger(), list[int]()
        self.source: Subject[Delivery[int]] = Subject()
        operator = (
            stage("tens", tens, detail_for=lambda verdict: ("detail", verdict))
            if detailed
            else stage("tens", tens)
        )
        self.source.pipe(operator).subscribe(self._pass)

    def _pass(self, delivery: Delivery[int]) -> None:
        self.passed.append(delivery.value)
        delivery.settle(STORED)

    def offer(self, number: int) -> Ticket:
        ticket = Ticket(self.ledger, Ticks(1))
        self.source.on_next(Delivery(number, ticket))
        assert (self.ledger.in_flight, self.ledger.balance) == (0, 0)
        return ticket


def test_a_value_passes_an_outcome_settles_and_a_failure_ends_its_event_alone() -> None:
    walk = Walk()
    tickets = [walk.offer(number) for number in (1, 2, 3, 4)]
    assert walk.passed == [10, 40]
    assert [ticket.outcome and ticket.outcome.ending for ticket in tickets] == [
        *(Ending.STORED, Ending.FILTERED, Ending.FAILED, Ending.STORED)
    ]
    failed = tickets[2].outcome
    assert failed is not None
    assert (failed.reason, failed.error_type) == ("tens", "ArithmeticError")
    assert failed.detail.startswith("tens: ArithmeticError: three")
    assert TOKEN not in failed.detail


def test_each_leaves_one_mark_with_its_outcome_or_the_detail_that_was_asked_for() -> None:
    assert Walk().offer(1).marks == [("tens", 2, None)]
    assert Walk().offer(2).marks == [("tens", 2, UNWANTED)]
    failed = Walk().offer(3)
    assert failed.marks == [("tens", 2, failed.outcome)]
    assert Walk(detailed=True).offer(1).marks == [("tens", 2, ("detail", 10))]
    assert Walk(detailed=True).offer(2).marks == [("tens", 2, ("detail", UNWANTED))]


def test_a_detail_that_cannot_be_made_fails_the_event_too() -> None:
    def broken(verdict: int | Outcome) -> object:
        raise KeyError(verdict)

    ledger, source = Ledger(), Subject[Delivery[int]]()
    source.pipe(stage("tens", tens, detail_for=broken)).subscribe()
    source.on_next(Delivery(1, Ticket(ledger, Ticks(1))))
    assert ledger.endings == {(Ending.FAILED, "tens"): 1}


def test_a_decision_may_read_the_whole_delivery() -> None:
    source, passed = Subject[Delivery[int]](), list[object]()
    source.pipe(stage_of_delivery("head", lambda one: str(one.head))).subscribe(
        lambda one: passed.append(one.value)
    )
    ticket = Ticket(Ledger(), Ticks(1))
    source.on_next(Delivery(1, ticket, head="a head"))
    assert passed == ["a head"]
    ticket.settle(STORED)


@pytest.mark.parametrize("completes", [True, False])
def test_completion_and_errors_of_the_source_pass(*, completes: bool) -> None:
    source, seen = Subject[Delivery[int]](), list[str]()
    source.pipe(stage("tens", tens)).subscribe(
        on_error=lambda error: seen.append(str(error)), on_completed=lambda: seen.append("|")
    )
    if completes:
        source.on_completed()
    else:
        source.on_error(OSError("broken"))
    assert seen == ["|" if completes else "broken"]


def test_an_outcome_keeps_a_bounded_part_of_a_text() -> None:
    assert len(detail_of("x" * 1000)) == DETAIL_CHARACTERS == 300
    assert len(failure("s", ValueError("x" * 1000)).detail) == DETAIL_CHARACTERS
