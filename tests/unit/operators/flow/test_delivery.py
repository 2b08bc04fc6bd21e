"""Every event is settled exactly once, is counted when it is, and is missed if it is not."""

from __future__ import annotations

from itertools import pairwise, product

import pytest
from reactivex.subject import Subject

from operators.flow.delivery import (
    Admission,
    AlreadySettledError,
    Delivery,
    Ledger,
    Settled,
    Ticket,
    deliver,
)
from operators.flow.trace import Trace, TraceContext
from operators.model.event import RawEvent
from operators.model.outcome import (
    FAULTS,
    LOST,
    STOPPED,
    UNSETTLED,
    WORST_FIRST,
    Ending,
    Outcome,
    worst_of,
)
from tests.kit.clocks import Ticks
from tests.kit.raw_events import object_event

STORED = Outcome(Ending.STORED, operation="created")
PAIRS = list(product(Ending, Ending))


def ticket_of(ledger: Ledger, on_settle: Settled | None = None) -> Ticket:
    return Ticket(ledger, Ticks(1), on_settle)


# The ledger.


def test_the_ledger_counts_received_in_flight_and_endings_apart() -> None:
    ledger = Ledger()
    tickets = [ticket_of(ledger) for _ in range(4)]
    assert (ledger.received, ledger.in_flight, ledger.endings, ledger.balance) == (4, 4, {}, 0)

    tickets[0].settle(STORED)
    tickets[1].settle(Outcome(Ending.FILTERED, "a"))
    tickets[2].settle(Outcome(Ending.FILTERED, "b"))

    assert (ledger.received, ledger.in_flight, ledger.balance) == (4, 1, 0)
    assert ledger.endings == {
        (Ending.STORED, ""): 1,
        (Ending.FILTERED, "a"): 1,
        (Ending.FILTERED, "b"): 1,
    }
    assert [ledger.ended(one) for one in (Ending.FILTERED, Ending.STORED, Ending.FAILED)] == [
        *(2, 1, 0)
    ]
    tickets[3].settle(Outcome(Ending.FILTERED, "b"))
    assert (ledger.in_flight, ledger.ended(Ending.FILTERED)) == (0, 3)


@pytest.mark.parametrize(
    ("received", "in_flight", "ended", "balance"),
    [(3, 1, 1, 1), (3, 1, 3, -1), (3, 2, 2, -1), (0, 0, 0, 0)],
)
def test_a_lost_event_and_one_counted_twice_show_in_the_balance(
    received: int, in_flight: int, ended: int, balance: int
) -> None:
    ledger = Ledger()
    ledger.received, ledger.in_flight = received, in_flight
    ledger.endings[Ending.STORED, ""] = ended
    assert ledger.balance == balance


# A ticket.


def test_a_ticket_begins_without_bytes_outcome_or_a_newer_event() -> None:
    ticket = ticket_of(Ledger())

    assert (ticket.superseded, ticket.size_bytes, ticket.outcome, ticket.key) == (
        *(False, 0, None, None),
    )


def test_a_request_is_named_by_the_place_of_its_mark_where_the_event_is_traced() -> None:
    ticket = ticket_of(Ledger())
    assert ticket.correlation() is None
    event = object_event("it")
    ticket.trace = Trace(1, 1 << 63, 0, lambda: True, event.payload, event.subject, 2)

    ticket.mark("queue")

    assert ticket.correlation() == ticket.trace.correlation(1)


def test_settling_twice_raises_and_counts_once() -> None:
    ledger, called = Ledger(), list[Ticket]()
    ticket = ticket_of(ledger, called.append)
    ticket.settle(STORED)
    with pytest.raises(AlreadySettledError, match="stored, then interrupted"):
        ticket.settle(STOPPED)
    assert ticket.outcome is STORED
    assert ledger.endings == {(Ending.STORED, ""): 1}
    assert (ledger.balance, called) == (0, [ticket])


def test_a_ticket_that_was_discarded_unsettled_is_counted_as_failed() -> None:
    ledger, seen = Ledger(), list[Outcome | None]()
    ticket = ticket_of(ledger, lambda one: seen.append(one.outcome))
    ticket.when_settled(lambda _: seen.append(None))
    del ticket
    assert ledger.endings == {(Ending.FAILED, "unsettled"): 1}
    assert (ledger.in_flight, ledger.balance) == (0, 0)
    assert seen == [UNSETTLED], "it is traced; what it held is gone with it"


def test_a_settled_ticket_that_is_discarded_is_not_counted_again() -> None:
    ledger = Ledger()
    ticket = ticket_of(ledger)
    ticket.settle(STORED)
    del ticket
    assert ledger.endings == {(Ending.STORED, ""): 1}


def test_a_ticket_whose_construction_failed_counts_nothing() -> None:
    def broken() -> int:
        raise OSError("no clock")

    ledger = Ledger()
    with pytest.raises(OSError, match="no clock"):
        Ticket(ledger, broken)
    assert (ledger.received, ledger.endings) == (0, {})


def test_callbacks_run_newest_first_after_on_settle_with_a_ledger_that_is_final() -> None:
    ledger, called = Ledger(), list[tuple[str, int, int]]()

    def note(name: str) -> Settled:
        return lambda one: called.append((name, ledger.in_flight, len(one.marks)))

    ticket = ticket_of(ledger, note("on_settle"))
    for name in ("first", "second"):
        ticket.when_settled(note(name))
    ticket.end("filter", Outcome(Ending.FILTERED))
    assert called == [("on_settle", 0, 1), ("second", 0, 1), ("first", 0, 1)]


def test_a_callback_may_admit_the_next_event() -> None:
    ledger = Ledger()
    admitted: list[Ticket] = []
    ticket = ticket_of(ledger)
    ticket.when_settled(lambda _: admitted.append(ticket_of(ledger)))
    ticket.settle(STORED)
    assert (ledger.received, ledger.in_flight, ledger.balance) == (2, 1, 0)
    admitted[0].settle(STORED)


def test_the_timeline_has_a_mark_for_each_stage_and_the_outcome_last() -> None:
    ticket = ticket_of(Ledger())
    ticket.mark("receive")
    ticket.mark("filter", {"filter.verdict": "pass"})
    ticket.end("sink", STORED)
    assert ticket.began_ns == 1
    assert ticket.marks == [
        ("receive", 2, None),
        ("filter", 3, {"filter.verdict": "pass"}),
        ("sink", 4, STORED),
    ]


# Splitting.


def test_every_ending_has_one_place_among_the_worst() -> None:
    assert sorted(WORST_FIRST) == sorted(Ending)
    assert len(set(WORST_FIRST)) == len(WORST_FIRST) == len(Ending)


def test_the_worst_are_the_faults_then_what_else_is_lost_and_what_is_best_is_unwanted() -> None:
    assert {*WORST_FIRST[: len(FAULTS)]} == FAULTS
    assert {*WORST_FIRST[: len(LOST)]} == LOST
    assert WORST_FIRST.index(Ending.STORED) < WORST_FIRST.index(Ending.DEDUPLICATED)
    assert WORST_FIRST[-1] is Ending.FILTERED


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_of_two_parts_the_worse_ending_is_the_events(one: Ending, other: Ending) -> None:
    ledger = Ledger()
    ticket = ticket_of(ledger)
    first, second = ticket.split(2)
    worse = min(one, other, key=WORST_FIRST.index)

    first.settle(Outcome(one, "first"))
    assert (ticket.outcome, ledger.in_flight, ledger.endings) == (None, 1, {})
    second.settle(Outcome(other, "second"))

    reason = "first" if one is worse else "second"
    assert ticket.outcome == Outcome(worse, reason)
    assert (ledger.endings, ledger.balance) == ({(worse, reason): 1}, 0)


@pytest.mark.parametrize(("worse", "better"), [*pairwise(WORST_FIRST)])
def test_the_order_of_the_outcomes_does_not_matter(worse: Ending, better: Ending) -> None:
    outcomes = [Outcome(better), Outcome(worse), Outcome(Ending.FILTERED)]
    assert worst_of(outcomes).ending is worst_of(reversed(outcomes)).ending is worse


def test_of_nothing_there_is_no_worst() -> None:
    with pytest.raises(ValueError, match="empty"):
        worst_of([])


def test_an_event_is_settled_only_when_all_its_parts_are_in_any_order() -> None:
    ledger, called = Ledger(), list[Outcome | None]()
    ticket = ticket_of(ledger, lambda one: called.append(one.outcome))
    parts = ticket.split(3)
    assert [part.ticket for part in parts] == [ticket] * 3
    for place in (2, 0):
        parts[place].settle(Outcome(Ending.FILTERED))
        assert called == []
    parts[1].settle(STORED)
    assert called == [STORED]
    assert [part.outcome for part in parts] == [
        *(Outcome(Ending.FILTERED), STORED, Outcome(Ending.FILTERED))
    ]


def test_a_part_that_is_settled_twice_raises_and_does_not_count_for_another() -> None:
    ticket = ticket_of(Ledger())
    first, second = ticket.split(2)
    first.settle(STORED)
    with pytest.raises(AlreadySettledError, match="stored, then interrupted"):
        first.settle(STOPPED)
    assert ticket.outcome is None
    second.settle(STORED)
    assert ticket.outcome is STORED
    with pytest.raises(AlreadySettledError):
        second.settle(STORED)


def test_one_part_is_the_event() -> None:
    ticket = ticket_of(Ledger())
    (part,) = ticket.split(1)
    part.settle(STORED)
    assert ticket.outcome is STORED


@pytest.mark.parametrize("count", [0, -1])
def test_less_than_one_part_is_refused_and_the_ticket_is_as_it_was(count: int) -> None:
    ticket = ticket_of(Ledger())
    with pytest.raises(ValueError, match=f"at least one part, not {count}"):
        ticket.split(count)
    ticket.settle(STORED)


def test_an_event_of_which_a_part_was_discarded_is_counted_as_failed() -> None:
    ledger = Ledger()
    parts = list(ticket_of(ledger).split(2))
    parts[0].settle(STORED)
    parts.clear()
    assert ledger.endings == {(Ending.FAILED, "unsettled"): 1}


# Delivering.


def reserve() -> bool:
    return True


def trace_of(admission: Admission) -> Trace:
    event = admission.event
    return Trace(1, 2, 3, reserve, event.payload, event.subject, len(event.raw))


def test_what_is_admitted_is_counted_traced_marked_and_carries_its_head() -> None:
    ledger, passed = Ledger(), list[Delivery[RawEvent]]()
    traced: list[Admission] = []
    source: Subject[Admission] = Subject()

    def begin(admission: Admission) -> Trace:
        traced.append(admission)
        return trace_of(admission)

    source.pipe(deliver(ledger, clock=Ticks(1), begin_trace=begin)).subscribe(passed.append)
    incoming, head = TraceContext("00-1-2-01"), object()
    admission = Admission(object_event("w"), head=head, incoming=incoming)
    source.on_next(admission)

    (delivery,) = passed
    assert (delivery.value, delivery.head) == (admission.event, head)
    assert traced == [admission]
    assert traced[0].incoming is incoming
    assert delivery.ticket.trace == trace_of(admission)
    assert delivery.ticket.marks == [("receive", 2, None)]
    assert (ledger.received, ledger.in_flight) == (1, 1)
    delivery.settle(STORED)


def test_the_source_is_called_back_last_with_its_event_and_the_outcome() -> None:
    ledger, called = Ledger(), list[object]()
    source: Subject[Admission] = Subject()
    event = object_event("w")
    passed: list[Delivery[RawEvent]] = []
    source.pipe(
        deliver(ledger, clock=Ticks(1), on_settle=lambda _: called.append("on_settle"))
    ).subscribe(passed.append)

    source.on_next(Admission(event, lambda one, outcome: called.append((one, outcome))))
    passed[0].ticket.when_settled(lambda _: called.append("buffer"))
    passed[0].ticket.when_settled(lambda _: called.append("credits"))
    passed[0].settle(STORED)

    assert called == ["on_settle", "credits", "buffer", (event, STORED)]


def test_a_value_is_carried_on_under_the_same_ticket() -> None:
    ticket = ticket_of(Ledger())
    carried = Delivery(1, ticket, head="head").carry("one")
    assert (carried.value, carried.ticket, carried.head) == ("one", ticket, "head")
    carried.settle(STORED)
    assert ticket.outcome is STORED


def test_a_newer_event_is_recorded_where_the_older_one_is_traced() -> None:
    older, newer = ticket_of(Ledger()), ticket_of(Ledger())
    older.record_newer(newer)
    assert older.trace is None
    older.trace, newer.trace = (trace_of(Admission(object_event(name))) for name in "ab")
    older.record_newer(newer)
    assert older.trace.newer is newer.trace
    for ticket in (older, newer):
        ticket.settle(STORED)
