"""The bounded buffer: where events wait for credits, in order, and coalesce.

Events with one key never overtake each other (client-go's workqueue: the processing and dirty sets): one is on
its way, the next waits behind it, and of the waiting only the newest is kept. A newer event keeps the place
of the one it replaces, so a busy object cannot be starved. Counters and queues change first, callbacks come last.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from weakref import ReferenceType, ref

from pydantic import BaseModel, ConfigDict, PositiveInt
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Delivery, Operator, Ticket
from operators.model.event import RawEvent
from operators.model.outcome import NAMELESS, NEWER, SPILLED, STOPPED, TOO_LARGE, Ending, Outcome

Event = Delivery[RawEvent]


class WhenFull(StrEnum):
    """What happens to an event for which there is no room."""

    SPILL = "spill"
    """It ends ``coalesced``; its subject is read again when there is room. For sources that can be asked again."""
    BLOCK = "block"
    """Its source should have waited; having pushed all the same, it loses the event as ``dropped``."""
    DROP_NEWEST = "dropNewest"
    """It ends ``dropped``."""
    DROP_OLDEST = "dropOldest"
    """Those that wait longest end ``dropped`` in its favour; it does, where that would not be enough."""


_DETAIL = "no room in the buffer"
_REFUSED = {
    WhenFull.SPILL: SPILLED,
    WhenFull.BLOCK: Outcome(Ending.DROPPED, WhenFull.BLOCK.value, _DETAIL, "overflow"),
    WhenFull.DROP_NEWEST: Outcome(Ending.DROPPED, WhenFull.DROP_NEWEST.value, _DETAIL, "overflow"),
    WhenFull.DROP_OLDEST: Outcome(Ending.DROPPED, WhenFull.DROP_OLDEST.value, _DETAIL, "overflow"),
}


class Buffer(BaseModel):
    """How much one pipeline may hold: ``capacity`` events and ``capacity_bytes``, ``in_flight`` of them let go."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capacity: PositiveInt = 1000
    capacity_bytes: PositiveInt = 64 * 1024 * 1024
    in_flight: PositiveInt = 64
    when_full: WhenFull = WhenFull.SPILL


class Gate:
    """The buffer's mechanism: admit, let go, settle; bounded by its room and its credits."""

    def __init__(
        self,
        room: Room,
        credits_: Credits,
        *,
        when_full: WhenFull,
        observer: abc.ObserverBase[Event],
    ) -> None:
        self._room = room
        self._credits = credits_
        self._drops_oldest = when_full is WhenFull.DROP_OLDEST
        self._refused = _REFUSED[when_full]
        self._observer = observer
        self._ready: dict[Any, Event] = {}
        self._behind: dict[Any, Event] = {}
        self._on_their_way: dict[Any, ReferenceType[Ticket]] = {}
        """Not owned here: a delivery that somebody lost must be missed (``Ticket.__del__``)."""
        self._held = 0
        self._draining = False
        self._finished = False

    def admit(self, delivery: Event) -> None:
        """Let an event go, let it wait, or end whichever must make room."""
        event = delivery.value
        size_bytes = event.size_bytes
        if size_bytes > self._room.capacity_bytes:
            delivery.ticket.end("buffer", TOO_LARGE)
            return
        self._place(event.key or object(), delivery, size_bytes)

    def _place(self, key: object, delivery: Event, size_bytes: int) -> None:
        if not self._make_room(key, size_bytes):
            self._end_both(key, delivery)
            return
        self._hold(key, delivery.ticket, size_bytes)
        waiting = self._waiting(key)
        older = waiting.get(key)
        if waiting is self._ready and older is None and self._may_go:
            self._let_go(key, delivery)
            return
        waiting[key] = delivery
        ahead = self._ahead_of(key)
        if ahead is not None:
            ahead.superseded = True
            ahead.give_way(delivery.ticket)
        if older is not None:
            older.ticket.give_way(delivery.ticket)
            older.ticket.end("buffer", NEWER)

    def finish(self) -> None:
        """The source is done; completion follows once everything is settled."""
        self._finished = True
        self._drain()

    def stop(self) -> None:
        """The subscription is over: end all that waits."""
        self._draining = True
        waiting = (*self._ready.values(), *self._behind.values())
        for key in self._behind:
            self._stands(key)
        self._ready.clear()
        self._behind.clear()
        for delivery in waiting:
            delivery.ticket.end("buffer", STOPPED)

    def _hold(self, key: object, ticket: Ticket, size_bytes: int) -> None:
        ticket.key, ticket.size_bytes = key, size_bytes
        ticket.when_settled(self._settled)
        self._room.take(size_bytes)
        self._held += 1

    @property
    def _may_go(self) -> bool:
        return self._credits.available and not self._draining

    def _waiting(self, key: object) -> dict[Any, Event]:
        """Where an event of this key waits: behind one that is on its way, or for a credit."""
        return self._behind if key in self._on_their_way else self._ready

    def _make_room(self, key: object, size_bytes: int) -> bool:
        """Whether an event fits, in the place of the one it replaces if there is one; others give way, by policy."""
        instead_of = _size(self._waiting(key).get(key))
        if self._room.fits(size_bytes, instead_of=instead_of):
            return True
        if not self._drops_oldest:
            return False
        giving_way = [
            self._ready.pop(one) for one in self._oldest(key, size_bytes, instead_of=instead_of)
        ]
        for delivery in giving_way:
            delivery.ticket.end("buffer", self._refused)
        return self._room.fits(size_bytes, instead_of=_size(self._waiting(key).get(key)))

    def _oldest(self, key: object, size_bytes: int, *, instead_of: int) -> list[object]:
        """Those that must give way for an event to fit: the fewest, the oldest; none if all were not enough."""
        items, bytes_ = self._room.excess(size_bytes, instead_of=instead_of)
        chosen: list[object] = []
        for one, delivery in self._ready.items():
            if items <= 0 and bytes_ <= 0:
                break
            if one != key:
                chosen.append(one)
                items, bytes_ = items - 1, bytes_ - delivery.ticket.size_bytes
        return chosen if items <= 0 and bytes_ <= 0 else []

    def _end_both(self, key: object, delivery: Event) -> None:
        """An event that fits nowhere ends, and so does the older one of its key: it is out of date."""
        waiting = self._waiting(key)
        older = waiting.pop(key, None)
        if older is not None:
            self._stands(key)
            older.ticket.give_way(delivery.ticket)
            older.ticket.end("buffer", NEWER)
        cannot_be_asked = self._refused is SPILLED and not delivery.value.key
        delivery.ticket.end("buffer", NAMELESS if cannot_be_asked else self._refused)

    def _ahead_of(self, key: object) -> Ticket | None:
        """The event of this key that is on its way."""
        reference = self._on_their_way.get(key)
        return reference() if reference is not None else None

    def _stands(self, key: object) -> None:
        """Of the event of this key that is on its way no newer one waits any more."""
        ahead = self._ahead_of(key)
        if ahead is not None:
            ahead.superseded = False

    def _let_go(self, key: object, delivery: Event) -> None:
        self._on_their_way[key] = ref(delivery.ticket)
        depth = len(self._ready) + len(self._behind)
        delivery.ticket.mark("buffer", {"buffer.depth_out": depth})
        self._observer.on_next(delivery)

    def _settled(self, ticket: Ticket) -> None:
        self._held -= 1
        self._room.give(ticket.size_bytes)
        if self._ahead_of(ticket.key) is ticket:
            del self._on_their_way[ticket.key]
            newer = self._behind.pop(ticket.key, None)
            if newer is not None:
                self._ready[ticket.key] = newer
        if self._ready or self._finished:
            self._drain()

    def _drain(self) -> None:
        if self._draining:
            return
        self._draining = True
        while self._ready and self._credits.available:
            key = next(iter(self._ready))
            self._let_go(key, self._ready.pop(key))
        self._draining = False
        if self._finished and not self._held:
            self._finished = False
            self._observer.on_completed()


def _size(event: Event | None) -> int:
    return -1 if event is None else event.ticket.size_bytes


def bounded_buffer(room: Room, credits_: Credits, *, when_full: WhenFull) -> Operator[Event, Event]:
    """Hold what cannot go yet, within ``room`` (events and bytes); let go while there are ``credits_``.

    ::

        --a1-b1-a2-b2-a3--c1----------------   a credit for one, room for three, when_full=SPILL
        bounded_buffer(room, credits_, when_full=when_full)
        --a1-----------------------b2----a3-   a1 settles, then b2; b1 and a2 ended coalesced, and so did c1: spilled

    Events of one key go one by one, in order, and the newest replaces the one that waits, which ends ``coalesced``. The
    mark says how many waited still. The stream completes when everything that was held has settled. Disposing, and an
    error of the source, end what waits as ``interrupted``. An event larger than the whole room ends ``dead_lettered``.
    """

    def operator(source: Observable[Event]) -> Observable[Event]:
        def subscribe(
            observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            gate = Gate(room, credits_, when_full=when_full, observer=observer)
            upstream = source.subscribe(
                gate.admit, observer.on_error, gate.finish, scheduler=scheduler
            )
            return CompositeDisposable(upstream, Disposable(gate.stop))

        return Observable(subscribe)

    return operator
