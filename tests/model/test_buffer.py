"""The buffer against an exact reference in plain lists, every policy; and mutants, which must die.

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
from msgspec.structs import replace
from reactivex.subject import Subject

from operators.backpressure import backpressure
from operators.buffer import KeyedBuffer, RawDelivery, WhenFull, bounded_buffer
from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Admission, Delivery, Ledger, Ticket, deliver
from operators.model.event import RECORD_BYTES, ObjectState, RawEvent
from operators.model.outcome import Ending, Outcome
from tests.kit.machines import dies, reach, survive, survivors
from tests.kit.raw_events import object_event

STORED = Outcome(Ending.STORED, "stored")
CAPACITY_BYTES = 8 * RECORD_BYTES
SIZES = tuple(RECORD_BYTES * halves // 2 for halves in (0, 0, 0, 0, 0, 0, 1, 2, 5, 14, 16))
NAMES = (*"abcdef", None, None)
"""None: an event without a key."""
OFFER = st.tuples(st.sampled_from(NAMES), st.sampled_from(SIZES))
WALKS, MUTANT_WALKS, STEPS = 120, 400, 25
FLOOR = 5
reached: Counter[str] = Counter()


@dataclass
class Held:
    number: int
    key: str | None
    size: int

    def follows(self, other: Held) -> bool:
        """Whether the two are ordered: without a key no event is."""
        return self.key is not None and self.key == other.key


class Reference:
    """What the buffer must do, as slowly and plainly as it can be said."""

    def __init__(self, capacity: int, limit: int, policy: WhenFull) -> None:
        self.capacity, self.limit, self.policy = capacity, limit, policy
        self.out: list[Held] = []
        self.ready: list[Held] = []
        self.behind: list[Held] = []
        self.ended: dict[int, str] = {}
        self.released: list[tuple[int, int]] = []

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
        waiting = self.behind if any(map(one.follows, self.out)) else self.ready
        older = [it for it in waiting if one.follows(it)]
        gone = self.giving_way(one, older)
        if gone is None:
            for it in older:
                waiting.remove(it)
                self.ended[it.number] = "newer"
            self.ended[one.number] = self.refusal(one)
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

    def refusal(self, one: Held) -> str:
        if self.policy is not WhenFull.SPILL:
            return self.policy.value
        return "spilled" if one.key is not None else "overflow"

    def giving_way(self, one: Held, older: list[Held]) -> list[Held] | None:
        others = [it for it in self.ready if it not in older]
        for many in range(len(others) + 1 if self.policy is WhenFull.DROP_OLDEST else 1):
            if self.fits(one, without=[*older, *others[:many]]):
                return others[:many]
        return None

    def settle(self, place: int) -> None:
        done = self.out.pop(place)
        self.ended[done.number] = "stored"
        newer = [it for it in self.behind if done.follows(it)]
        self.behind = [it for it in self.behind if not done.follows(it)]
        self.ready += newer
        self.drain()

    def stop(self) -> None:
        self.ended |= {it.number: "stopped" for it in (*self.ready, *self.behind)}
        self.ready, self.behind = [], []

    def drain(self) -> None:
        while self.ready and len(self.out) < self.limit:
            self.out.append(self.ready.pop(0))
            self.released.append((self.out[-1].number, len(self.ready) + len(self.behind)))


def number_of(raw: RawEvent) -> int:
    assert isinstance(raw.payload, ObjectState)
    return int(raw.payload.version)


class Buffering(RuleBasedStateMachine):
    @initialize(
        capacity=st.integers(1, 8), limit=st.integers(1, 3), policy=st.sampled_from(WhenFull)
    )
    def begin(self, capacity: int, limit: int, policy: WhenFull) -> None:
        self.reference = Reference(capacity, limit, policy)
        self.room = Room(capacity, capacity_bytes=CAPACITY_BYTES)
        self.credits = Credits(limit)
        self.ledger = Ledger()
        self.out: list[RawDelivery] = []
        self.released: list[tuple[int, int]] = []
        self.ended: dict[int, str] = {}
        self.offered = self.completed = 0
        self.stopped = self.finished = False
        self.source: Subject[Admission] = Subject()
        self.subscription = self.source.pipe(
            deliver(self.ledger, clock=lambda: 0),
            bounded_buffer(self.room, self.credits, when_full=policy),
            backpressure(self.credits),
        ).subscribe(self.arrived, on_completed=self.complete)

    def arrived(self, delivery: RawDelivery) -> None:
        stage, _, detail = delivery.ticket.marks[-1]
        assert stage == "buffer"
        self.out.append(delivery)
        depth = cast("dict[str, int]", detail)["buffer.depth_out"]
        self.released.append((number_of(delivery.value), depth))

    def settled(self, raw: RawEvent, outcome: Outcome) -> None:
        self.ended[number_of(raw)] = outcome.reason
        reached[outcome.reason] += 1
        event(outcome.reason)

    def complete(self) -> None:
        self.completed += 1

    @precondition(lambda self: not (self.stopped or self.finished))
    @rule(offers=st.lists(OFFER, min_size=1, max_size=6))
    def offer(self, offers: list[tuple[str | None, int]]) -> None:
        for name, size in offers:
            self.offer_one(name, size)

    def offer_one(self, name: str | None, size: int) -> None:
        self.offered += 1
        event_ = object_event(name or "x", b"x" * size, version=str(self.offered))
        if name is None:
            event_ = replace(event_, key=None)
        self.reference.offer(Held(self.offered, event_.key, event_.size_bytes))
        self.source.on_next(Admission(event_, self.settled))

    @precondition(lambda self: self.out)
    @rule(choice=st.integers(0, 2))
    def settle(self, choice: int) -> None:
        place = choice % len(self.out)
        reached["out of order"] += bool(place)
        self.reference.settle(place)
        self.out.pop(place).settle(STORED)

    @precondition(lambda self: self.offered > 18)
    @rule()
    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.reference.stop()
            self.subscription.dispose()

    @precondition(lambda self: self.offered > 12)
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
        assert self.released == reference.released
        assert [number_of(it.value) for it in self.out] == [it.number for it in reference.out]
        assert self.ledger.balance == 0
        assert self.ledger.in_flight == self.room.items == len(held) <= self.room.capacity
        assert self.room.bytes == sum(it.size for it in held) <= CAPACITY_BYTES
        assert self.credits.taken == len(self.out) <= self.credits.limit
        behind = {it.key for it in reference.behind}
        assert {it.value.key for it in self.out if it.ticket.superseded} == behind
        reached["behind"] += bool(behind)
        reached["without a key"] += sum(it.key is None for it in reference.out) > 1
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
    *("overflow", "behind", "out of order", "finished while some wait", "without a key"),
)


@pytest.mark.timeout(120)
def test_the_buffer_does_what_plain_lists_do() -> None:
    reach(survive(Buffering, walks=WALKS, steps=STEPS), reached, WANTED, floor=FLOOR)


class NeverDraining(KeyedBuffer):
    def _drain(self) -> None:
        if self._finished:
            super()._drain()


class ReleasingFew(KeyedBuffer):
    """Fills one credit a settlement, however many there are."""

    @property
    def _may_release(self) -> bool:
        return super()._may_release and not self._in_flight


class CompletingEarly(KeyedBuffer):
    def finish(self) -> None:
        self._observer.on_completed()


class NeverCompleting(KeyedBuffer):
    def finish(self) -> None:
        self._finished = not self._held
        self._drain()


class LosingItsPlace(KeyedBuffer):
    def _place(self, key: object, delivery: RawDelivery, size_bytes: int) -> None:
        older = self._ready.pop(key, None)
        if older is not None:
            self._ready[key] = older
        super()._place(key, delivery, size_bytes)


class Overtaking(KeyedBuffer):
    def _waiting(self, key: object) -> dict[object, RawDelivery]:
        del key
        return self._ready


class KeepingTheRoom(KeyedBuffer):
    def _settled(self, ticket: Ticket) -> None:
        ticket.size_bytes -= 1
        super()._settled(ticket)


class DroppingTheNewest(KeyedBuffer):
    def _oldest(self, key: object, size_bytes: int, *, instead_of: int) -> list[object]:
        chosen = super()._oldest(key, size_bytes, instead_of=instead_of)
        return [one for one in reversed(self._ready) if one != key][: len(chosen)]


class DroppingInVain(KeyedBuffer):
    def _oldest(self, key: object, size_bytes: int, *, instead_of: int) -> list[object]:
        chosen = super()._oldest(key, size_bytes, instead_of=instead_of)
        return chosen or [one for one in self._ready if one != key]


class Forgetful(KeyedBuffer):
    def stop(self) -> None:
        self._behind.clear()
        super().stop()


class Superseding(KeyedBuffer):
    """Leaves the flag when what waited behind has gone."""

    def _settle_both(self, key: object, delivery: RawDelivery) -> None:
        super()._settle_both(key, delivery)
        in_flight = self._ticket_in_flight(key)
        if in_flight is not None:
            in_flight.superseded = True


class KeepingTheOlder(KeyedBuffer):
    def _settle_both(self, key: object, delivery: RawDelivery) -> None:
        del key
        delivery.ticket.end("buffer", self._refused)


class Unbounded(KeyedBuffer):
    def _make_room(self, key: object, size_bytes: int) -> bool:
        del key, size_bytes
        return True


class Miscounting(KeyedBuffer):
    def _release(self, key: object, delivery: Delivery[RawEvent]) -> None:
        self._in_flight[key] = ref(delivery.ticket)
        delivery.ticket.mark("buffer", {"buffer.depth_out": 0})
        self._observer.on_next(delivery)


class OrderingAll(KeyedBuffer):
    """Takes all events without a key for those of one."""

    def admit(self, delivery: RawDelivery) -> None:
        if delivery.value.size_bytes <= self._room.capacity_bytes and delivery.value.key is None:
            self._place(None, delivery, delivery.value.size_bytes)
        else:
            super().admit(delivery)


class SpillingAll(KeyedBuffer):
    """Promises to read again what has no key."""

    def _settle_both(self, key: object, delivery: RawDelivery) -> None:
        if delivery.value.key is None:
            delivery.ticket.end("buffer", self._refused)
        else:
            super()._settle_both(key, delivery)


def test_a_buffer_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    mutants = (
        *(NeverDraining, ReleasingFew, CompletingEarly, NeverCompleting, LosingItsPlace),
        *(Overtaking, KeepingTheRoom, DroppingTheNewest, DroppingInVain, Forgetful),
        *(Superseding, KeepingTheOlder, Unbounded, Miscounting, OrderingAll, SpillingAll),
    )
    assert (
        survivors(
            mutants,
            place="operators.buffer.KeyedBuffer",
            check=lambda: dies(Buffering, steps=STEPS, walks=MUTANT_WALKS),
            patch=monkeypatch,
        )
        == []
    )
