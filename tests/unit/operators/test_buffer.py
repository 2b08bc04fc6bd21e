"""The buffer's queue: which event keeps a place, and what completion waits for."""

from __future__ import annotations

import pytest
from reactivex.subject import Subject

from operators.backpressure import backpressure
from operators.buffer import Buffer, WhenFull, bounded_buffer
from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Admission, Delivery, Ledger, deliver
from operators.flow.trace import Trace
from operators.model.event import RECORD_BYTES, RawEvent
from operators.model.outcome import NO_KEY, TOO_LARGE, Ending, Outcome
from tests.kit.raw_events import object_event, unreadable_event

STORED = Outcome(Ending.STORED)


class Pipeline:
    """A buffer that releases one event at a time."""

    def __init__(self, when_full: WhenFull = WhenFull.SPILL, *, room: Room | None = None) -> None:
        self.out: list[Delivery[RawEvent]] = []
        self.completed = False
        self.ledger = Ledger()
        self.source: Subject[Admission] = Subject()
        self.credits = Credits(1)
        self.room = room or Room(4, capacity_bytes=4 * RECORD_BYTES)
        self.traces: list[Trace] = []
        self.subscription = self.source.pipe(
            deliver(self.ledger, clock=lambda: 0, begin_trace=self._begin_trace),
            bounded_buffer(self.room, self.credits, when_full=when_full),
            backpressure(self.credits),
        ).subscribe(self.out.append, on_completed=self._complete)

    def _complete(self) -> None:
        self.completed = True

    def _begin_trace(self, admission: Admission) -> Trace:
        event = admission.event
        self.traces.append(Trace(1, len(self.traces), 0, lambda: True, event.payload, None, 0))
        return self.traces[-1]

    def offer(self, name: str, *, size: int = 0) -> None:
        """An event of a name, or of none: one of whose bytes no key could be read."""
        raw = b"x" * size
        event = object_event(name, raw) if name else unreadable_event(raw)
        self.source.on_next(Admission(event))

    def settle(self) -> None:
        self.out.pop().settle(STORED)

    def order(self) -> str:
        names = ""
        while self.out:
            names += (self.out[0].value.key or "").removeprefix("shop/")
            self.settle()
        assert (self.room.items, self.room.bytes, self.credits.taken) == (0, 0, 0)
        return names


def test_the_head_of_an_event_that_waits_is_released() -> None:
    pipeline = Pipeline()
    for name in "ab":
        pipeline.source.on_next(Admission(object_event(name), head=object()))

    (passed,) = pipeline.out
    assert passed.head is not None
    pipeline.settle()
    (waited,) = pipeline.out
    assert waited.head is None
    pipeline.settle()


@pytest.mark.parametrize("fits", [True, False])
def test_an_event_in_flight_is_outdated_by_a_newer_one_that_waits_or_is_spilled(fits: bool) -> None:  # noqa: FBT001
    pipeline = Pipeline()
    pipeline.offer("a")
    if not fits:
        for name in "bcd":
            pipeline.offer(name)
    (passed,) = pipeline.out
    assert not passed.ticket.outdated

    pipeline.offer("a")

    assert passed.ticket.outdated
    assert passed.ticket.superseded == fits
    pipeline.subscription.dispose()
    pipeline.settle()


def test_a_newer_event_keeps_the_place_of_the_one_it_replaces() -> None:
    pipeline = Pipeline()
    for name in "abcbbb":
        pipeline.offer(name)
    assert pipeline.order() == "abc"
    assert pipeline.ledger.endings == {(Ending.STORED, ""): 3, (Ending.COALESCED, "newer"): 3}


@pytest.mark.parametrize("size", [1, RECORD_BYTES])
def test_it_keeps_it_too_where_others_had_to_be_dropped(size: int) -> None:
    pipeline = Pipeline(WhenFull.DROP_OLDEST)
    for name in "abcd":
        pipeline.offer(name)
    pipeline.offer("b", size=size)
    assert pipeline.order() == "abd"
    assert pipeline.ledger.ended(Ending.DROPPED) == 1


def test_an_event_that_does_not_fit_ends_and_so_does_the_older_one_of_its_key() -> None:
    pipeline = Pipeline()
    for name in "abcd":
        pipeline.offer(name)
    pipeline.offer("b", size=1)
    assert pipeline.order() == "acd"
    assert pipeline.ledger.endings[Ending.COALESCED, "newer"] == 1
    assert pipeline.ledger.endings[Ending.COALESCED, "spilled"] == 1


def test_completion_waits_for_settlement() -> None:
    pipeline = Pipeline()
    for name in "ab":
        pipeline.offer(name)
    pipeline.source.on_completed()
    pipeline.settle()
    assert not pipeline.completed
    pipeline.settle()
    assert pipeline.completed


def test_events_without_a_key_are_neither_ordered_nor_coalesced() -> None:
    pipeline = Pipeline()
    for _ in range(6):
        pipeline.offer("")
    while pipeline.out:
        pipeline.settle()
    assert pipeline.ledger.endings == {
        (Ending.STORED, ""): 4,
        (Ending.DROPPED, "overflow"): 2,
    }
    assert NO_KEY.reason == "overflow"


def test_an_event_in_flight_is_superseded_while_a_newer_one_of_its_key_waits() -> None:
    pipeline = Pipeline()
    pipeline.offer("a")
    in_flight = pipeline.out[0].ticket
    assert not in_flight.superseded
    pipeline.offer("a")
    assert in_flight.superseded
    pipeline.offer("a", size=4 * RECORD_BYTES)
    assert in_flight.superseded, "one that is larger than the room is settled beside the queue"
    pipeline.offer("a", size=3 * RECORD_BYTES)
    assert not in_flight.superseded, "neither the one that waited nor the one that did not fit"


def test_disposing_settles_what_waits_and_leaves_what_is_in_flight() -> None:
    pipeline = Pipeline()
    for name in "aab":
        pipeline.offer(name)
    in_flight = pipeline.out[0].ticket
    pipeline.subscription.dispose()
    assert pipeline.ledger.endings == {(Ending.INTERRUPTED, "stopped"): 2}
    assert not in_flight.superseded
    assert pipeline.order() == "a"
    assert (pipeline.ledger.in_flight, pipeline.ledger.balance) == (0, 0)


@pytest.mark.parametrize("name", ["a", ""])
def test_an_event_that_was_not_settled_is_detected_behind_a_buffer_too(name: str) -> None:
    pipeline = Pipeline()
    pipeline.offer(name)
    pipeline.out.clear()
    assert pipeline.ledger.endings == {(Ending.FAILED, "unsettled"): 1}
    assert pipeline.ledger.balance == 0


# What is dropped.


def test_the_fewest_are_dropped_where_events_are_too_many() -> None:
    pipeline = Pipeline(WhenFull.DROP_OLDEST, room=Room(4, capacity_bytes=100 * RECORD_BYTES))
    for name in "abcde":
        pipeline.offer(name)
    assert pipeline.order() == "acde"
    assert pipeline.ledger.endings[Ending.DROPPED, "dropOldest"] == 1


def test_none_is_dropped_for_an_event_that_would_not_fit_even_then() -> None:
    pipeline = Pipeline(WhenFull.DROP_OLDEST)
    pipeline.offer("a", size=1)
    pipeline.offer("b")
    pipeline.offer("c", size=2 * RECORD_BYTES)  # one byte more than is free without b
    assert pipeline.order() == "ab"
    assert pipeline.ledger.endings[Ending.DROPPED, "dropOldest"] == 1


def test_an_event_larger_than_the_room_is_dead_lettered() -> None:
    pipeline = Pipeline()
    pipeline.offer("a", size=3 * RECORD_BYTES + 1)
    assert pipeline.ledger.endings == {(Ending.DEAD_LETTERED, TOO_LARGE.reason): 1}
    pipeline.offer("a", size=3 * RECORD_BYTES)
    assert pipeline.order() == "a"


# What is recorded.


def test_what_a_newer_event_replaces_refers_to_it() -> None:
    pipeline = Pipeline()
    for _ in range(3):
        pipeline.offer("a")
    first, second, third = pipeline.traces
    assert (first.newer, second.newer, third.newer) == (third, third, None)


def test_what_a_refused_event_makes_out_of_date_refers_to_it() -> None:
    pipeline = Pipeline()
    for name in "abcd":
        pipeline.offer(name)
    pipeline.offer("b", size=1)
    assert pipeline.traces[1].newer is pipeline.traces[4]


def test_an_event_that_is_released_leaves_how_many_wait_on_its_timeline() -> None:
    pipeline = Pipeline()
    pipeline.credits.limit = 2
    for name in "aab":
        pipeline.offer(name)
    marks = [it.ticket.marks[-1] for it in pipeline.out]
    assert [(stage, detail) for stage, _, detail in marks] == [
        ("buffer", {"buffer.depth_out": 0}),
        ("buffer", {"buffer.depth_out": 1}),
    ]


# Release and completion.


def test_completion_without_events_is_passed_at_once() -> None:
    pipeline = Pipeline()
    pipeline.source.on_completed()
    assert pipeline.completed


def test_events_that_settle_at_once_are_released_one_by_one_without_recursion() -> None:
    ledger, credits_, source = Ledger(), Credits(1), Subject[Admission]()
    completed = list[bool]()
    source.pipe(
        deliver(ledger, clock=lambda: 0),
        bounded_buffer(Room(2000, capacity_bytes=1 << 30), credits_, when_full=WhenFull.SPILL),
        backpressure(credits_),
    ).subscribe(lambda it: it.settle(STORED), on_completed=lambda: completed.append(True))
    credits_.take()
    for number in range(2000):
        source.on_next(Admission(object_event(str(number))))
    assert ledger.in_flight == 2000

    credits_.give()
    source.on_completed()

    assert (ledger.endings, completed) == ({(Ending.STORED, ""): 2000}, [True])


# The document's part.


def test_a_document_that_chooses_nothing_has_a_thousand_events_and_64_in_flight() -> None:
    buffer = Buffer()
    assert (buffer.capacity, buffer.bytes, buffer.credits) == (1000, 64 << 20, 64)
    assert Buffer.model_validate({"inFlight": "adaptive"}).credits == 64
    assert Buffer(in_flight=3).credits == 3


@pytest.mark.parametrize("policy", ["block", "dropNewest", "dropOldest"])
def test_what_can_be_read_again_spills_whatever_the_document_says(policy: str) -> None:
    buffer = Buffer.model_validate({"whenFull": policy})
    assert buffer.policy(rereadable=False) == policy
    assert buffer.policy(rereadable=True) is WhenFull.SPILL
    assert Buffer().policy(rereadable=False) is WhenFull.BLOCK


@pytest.mark.parametrize("policy", ["spill", "drop", 1])
def test_no_document_can_choose_another_policy(policy: object) -> None:
    with pytest.raises(ValueError, match="'block', 'dropNewest' or 'dropOldest'"):
        Buffer.model_validate({"whenFull": policy})
