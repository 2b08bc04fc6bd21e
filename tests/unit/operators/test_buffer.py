"""The buffer's queue: who keeps a place, and what completion waits for."""

from __future__ import annotations

import pytest
from reactivex.subject import Subject

from operators.backpressure import backpressure
from operators.buffer import WhenFull, bounded_buffer
from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Delivery, Ledger, deliver
from operators.model.event import RECORD_BYTES, Change, Kind, RawEvent
from operators.model.outcome import Ending, Outcome

KIND = Kind("", "v1", "things", "Thing", namespaced=True)
STORED = Outcome(Ending.STORED)


class Pipeline:
    """A buffer that lets one event go at a time."""

    def __init__(self, when_full: WhenFull = WhenFull.SPILL) -> None:
        self.out: list[Delivery[RawEvent]] = []
        self.completed = False
        self.ledger = Ledger()
        self.source: Subject[RawEvent] = Subject()
        credits_ = Credits(1)
        self.source.pipe(
            deliver(self.ledger, clock=lambda: 0),
            bounded_buffer(Room(4, capacity_bytes=4 * RECORD_BYTES), credits_, when_full=when_full),
            backpressure(credits_),
        ).subscribe(self.out.append, on_completed=self._complete)

    def _complete(self) -> None:
        self.completed = True

    def offer(self, name: str, *, size: int = 0) -> None:
        self.source.on_next(RawEvent(KIND, Change.MODIFIED, "n", name, "u", "1", b"x" * size))

    def settle(self) -> None:
        self.out.pop().settle(STORED)

    def order(self) -> str:
        names = ""
        while self.out:
            names += self.out[0].value.name
            self.settle()
        return names


def test_a_newer_event_keeps_the_place_of_the_one_it_replaces() -> None:
    pipeline = Pipeline()
    for name in "abcbbb":
        pipeline.offer(name)
    assert pipeline.order() == "abc"


@pytest.mark.parametrize("size", [1, RECORD_BYTES])
def test_it_keeps_it_too_where_others_had_to_give_way(size: int) -> None:
    pipeline = Pipeline(WhenFull.DROP_OLDEST)
    for name in "abcd":
        pipeline.offer(name)
    pipeline.offer("b", size=size)
    assert pipeline.order() == "abd"
    assert pipeline.ledger.ended(Ending.DROPPED) == 1


def test_an_event_that_fits_nowhere_ends_and_so_does_the_older_one_of_its_key() -> None:
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


def test_events_without_a_name_are_nobodys_newer_state() -> None:
    pipeline = Pipeline()
    for _ in range(6):
        pipeline.offer("")
    while pipeline.out:
        pipeline.settle()
    assert pipeline.ledger.endings == {
        (Ending.STORED, ""): 4,
        (Ending.DEAD_LETTERED, "undecodable"): 2,
    }


@pytest.mark.parametrize("name", ["a", ""])
def test_what_nobody_settled_is_missed_behind_a_buffer_too(name: str) -> None:
    pipeline = Pipeline()
    pipeline.offer(name)
    pipeline.out.clear()
    assert pipeline.ledger.endings == {(Ending.FAILED, "unsettled"): 1}
    assert pipeline.ledger.balance == 0
