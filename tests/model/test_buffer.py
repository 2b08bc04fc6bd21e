"""The gate against an exact reference in plain lists, every policy; and mutants, which must die.

Law, bound, order, liveness and completion are asserted together: doing nothing conserves perfectly.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import cast
from weakref import ref

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reactivex.subject import Subject

from operators.backpressure import backpressure
from operators.buffer import Event, Gate, WhenFull, bounded_buffer
from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Delivery, Ledger, Ticket, deliver
from operators.model.event import RECORD_BYTES, Change, Kind, RawEvent
from operators.model.outcome import Ending, Outcome
from tests.kit.machines import dies, reach, survive, survivors

KIND = Kind("", "v1", "things", "Thing", namespaced=True)
STORED = Outcome(Ending.STORED, "stored")
CAPACITY_BYTES = 8 * RECORD_BYTES
SIZES = tuple(RECORD_BYTES * halves // 2 for halves in (0, 0, 0, 0, 0, 0, 1, 2, 5, 14, 16))
OFFER = st.tuples(st.sampled_from("abcdef"), st.sampled_from(SIZES))
WALKS, STEPS = 120, 25
FLOOR = 5
reached: Counter[str] = Counter()


@dataclass
class Held:
    number: int
    key: str
    size: int


class Reference:
    """What the buffer must do, as slowly and plainly as it can be said."""

    def __init__(self, capacity: int, limit: int, policy: WhenFull) -> None:
        self.capacity, self.limit, self.policy = capacity, limit, policy
        self.out: list[Held] = []
        self.ready: list[Held] = []
        self.behind: list[Held] = []
        self.ended: dict[int, str] = {}
        self.let_go: list[tuple[int, int]] = []

    def held(self) -> list[Held]:
        return [*self.out, *self.ready, *self.behind]

    def fits(self, one: Held, *, without: list[Held]) -> bool:
        rest = [it for it in self.held() if it not in without]
        return (
            len(rest) < self.capacity and sum(it.size for it in rest) + one.size <= CAPACITY_BYTES
        )

    def offer(self, one: Held) -> None:
        if one.size > CAPACITY_BYTES:
            self.ended[one.number] = "too_large"
            return
        waiting = self.behind if any(it.key == one.key for it in self.out) else self.ready
        older = [it for it in waiting if it.key == one.key]
        gone = self.giving_way(one, older)
        if gone is None:
            for it in older:
                waiting.remove(it)
                self.ended[it.number] = "newer"
            spills = self.policy is WhenFull.SPILL
            self.ended[one.number] = "spilled" if spills else self.policy.value
            return
        for it in gone:
            self.ready.remove(it)
            self.ended[it.number] = self.policy.value
        for it in older:
            waiting[waiting.index(it)] = one
            self.ended[it.number] = "newer"
        if not older:
            waiting.append(one)
        self.drain()

    def giving_way(self, one: Held, older: list[Held]) -> list[Held] | None:
        others = [it for it in self.ready if it not in older]
        for many in range(len(others) + 1 if self.policy is WhenFull.DROP_OLDEST else 1):
            if self.fits(one, without=[*older, *others[:many]]):
                return others[:many]
        return None

    def settle(self, place: int) -> None:
        done = self.out.pop(place)
        self.ended[done.number] = "stored"
        newer = [it for it in self.behind if it.key == done.key]
        self.behind = [it for it in self.behind if it.key != done.key]
        self.ready += newer
        self.drain()

    def stop(self) -> None:
        self.ended |= {it.number: "stopped" for it in (*self.ready, *self.behind)}
        self.ready, self.behind = [], []

    def drain(self) -> None:
        while self.ready and len(self.out) < self.limit:
            self.out.append(self.ready.pop(0))
            self.let_go.append((self.out[-1].number, len(self.ready) + len(self.behind)))


class Buffering(RuleBasedStateMachine):
    @initialize(
        capacity=st.integers(1, 8), limit=st.integers(1, 3), policy=st.sampled_from(WhenFull)
    )
    def begin(self, capacity: int, limit: int, policy: WhenFull) -> None:
        self.reference = Reference(capacity, limit, policy)
        self.room = Room(capacity, capacity_bytes=CAPACITY_BYTES)
        self.credits = Credits(limit)
        self.ledger = Ledger()
        self.out: list[Event] = []
        self.let_go: list[tuple[int, int]] = []
        self.ended: dict[int, str] = {}
        self.offered = self.completed = 0
        self.stopped = self.finished = False
        self.source: Subject[RawEvent] = Subject()
        self.subscription = self.source.pipe(
            deliver(self.ledger, clock=lambda: 0),
            bounded_buffer(self.room, self.credits, when_full=policy),
            backpressure(self.credits),
        ).subscribe(self.arrived, on_completed=self.complete)

    def arrived(self, delivery: Event) -> None:
        stage, _, detail = delivery.ticket.marks[-1]
        assert stage == "buffer"
        self.out.append(delivery)
        depth = cast("dict[str, int]", detail)["buffer.depth_out"]
        self.let_go.append((int(delivery.value.version), depth))

    def acknowledge(self, raw: RawEvent, outcome: Outcome) -> None:
        self.ended[int(raw.version)] = outcome.reason
        reached[outcome.reason] += 1
        event(outcome.reason)

    def complete(self) -> None:
        self.completed += 1

    @precondition(lambda self: not (self.stopped or self.finished))
    @rule(offers=st.lists(OFFER, min_size=1, max_size=6))
    def offer(self, offers: list[tuple[str, int]]) -> None:
        for name, size in offers:
            self.offer_one(name, size)

    def offer_one(self, name: str, size: int) -> None:
        self.offered += 1
        number, raw = str(self.offered), b"x" * size
        event_ = RawEvent(
            KIND, Change.MODIFIED, "n", name, "u", number, raw, acknowledge=self.acknowledge
        )
        self.reference.offer(Held(self.offered, event_.key, event_.size_bytes))
        self.source.on_next(event_)

    @precondition(lambda self: self.out)
    @rule(choice=st.integers(0, 2))
    def settle(self, choice: int) -> None:
        place = choice % len(self.out)
        reached["out of order"] += bool(place)
        self.reference.settle(place)
        self.out.pop(place).settle(STORED)

    @precondition(lambda self: self.offered > 30)
    @rule()
    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.reference.stop()
            self.subscription.dispose()

    @precondition(lambda self: self.offered > 20)
    @rule()
    def finish(self) -> None:
        if not (self.stopped or self.finished):
            self.finished = True
            reached["finished while some wait"] += bool(self.reference.ready)
            self.source.on_completed()

    @invariant()
    def agrees_with_the_reference(self) -> None:
        if not hasattr(self, "reference"):
            return
        reference, held = self.reference, self.reference.held()
        assert self.ended == reference.ended
        assert self.let_go == reference.let_go
        assert [int(it.value.version) for it in self.out] == [it.number for it in reference.out]
        assert self.ledger.balance == 0
        assert self.ledger.in_flight == self.room.items == len(held) <= self.room.capacity
        assert self.room.bytes == sum(it.size for it in held) <= CAPACITY_BYTES
        assert self.credits.taken == len(self.out) <= self.credits.limit
        behind = {it.key for it in reference.behind}
        assert {it.value.key for it in self.out if it.ticket.superseded} == behind
        reached["behind"] += bool(behind)
        assert self.completed == (self.finished and not held) or self.stopped

    def teardown(self) -> None:
        """Liveness: once everything let go has settled, nothing waits."""
        if not hasattr(self, "reference"):
            return
        while self.out:
            self.settle(0)
            self.agrees_with_the_reference()
        assert self.ledger.in_flight == self.room.items == self.room.bytes == 0
        assert self.ledger.received == self.offered == len(self.ended)


WANTED = (
    *("stored", "newer", "spilled", "block", "dropNewest", "dropOldest", "too_large", "stopped"),
    *("behind", "out of order", "finished while some wait"),
)


@pytest.mark.timeout(120)
def test_the_buffer_does_what_plain_lists_do() -> None:
    reach(survive(Buffering, walks=WALKS, steps=STEPS), reached, WANTED, floor=FLOOR)


class NeverDraining(Gate):
    def _drain(self) -> None:
        if self._finished:
            super()._drain()


class LettingGoFew(Gate):
    """Fills one credit a settlement, however many there are."""

    @property
    def _may_go(self) -> bool:
        return super()._may_go and not self._on_their_way


class CompletingEarly(Gate):
    def finish(self) -> None:
        self._observer.on_completed()


class NeverCompleting(Gate):
    def finish(self) -> None:
        self._finished = not self._held
        self._drain()


class LosingItsPlace(Gate):
    def _place(self, key: object, delivery: Event, size_bytes: int) -> None:
        older = self._ready.pop(key, None)
        if older is not None:
            self._ready[key] = older
        super()._place(key, delivery, size_bytes)


class Overtaking(Gate):
    def _waiting(self, key: object) -> dict[object, Event]:
        del key
        return self._ready


class KeepingTheRoom(Gate):
    def _settled(self, ticket: Ticket) -> None:
        ticket.size_bytes -= 1
        super()._settled(ticket)


class DroppingTheNewest(Gate):
    def _oldest(self, key: object, size_bytes: int, *, instead_of: int) -> list[object]:
        chosen = super()._oldest(key, size_bytes, instead_of=instead_of)
        return [one for one in reversed(self._ready) if one != key][: len(chosen)]


class DroppingInVain(Gate):
    def _oldest(self, key: object, size_bytes: int, *, instead_of: int) -> list[object]:
        chosen = super()._oldest(key, size_bytes, instead_of=instead_of)
        return chosen or [one for one in self._ready if one != key]


class Forgetful(Gate):
    def stop(self) -> None:
        self._behind.clear()
        super().stop()


class Superseding(Gate):
    """Leaves the flag when what waited behind has gone."""

    def _end_both(self, key: object, delivery: Event) -> None:
        super()._end_both(key, delivery)
        ahead = self._ahead_of(key)
        if ahead is not None:
            ahead.superseded = True


class KeepingTheOlder(Gate):
    def _end_both(self, key: object, delivery: Event) -> None:
        del key
        delivery.ticket.end("buffer", self._refused)


class Unbounded(Gate):
    def _make_room(self, key: object, size_bytes: int) -> bool:
        del key, size_bytes
        return True


class Miscounting(Gate):
    def _let_go(self, key: object, delivery: Delivery[RawEvent]) -> None:
        self._on_their_way[key] = ref(delivery.ticket)
        delivery.ticket.mark("buffer", {"buffer.depth_out": 0})
        self._observer.on_next(delivery)


def test_a_buffer_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    mutants = (
        *(NeverDraining, LettingGoFew, CompletingEarly, NeverCompleting, LosingItsPlace),
        *(Overtaking, KeepingTheRoom, DroppingTheNewest, DroppingInVain, Forgetful),
        *(Superseding, KeepingTheOlder, Unbounded, Miscounting),
    )
    assert (
        survivors(
            mutants,
            place="operators.buffer.Gate",
            check=lambda: dies(Buffering, steps=STEPS),
            patch=monkeypatch,
        )
        == []
    )
