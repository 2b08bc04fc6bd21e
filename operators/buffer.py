"""The bounded buffer: where events wait for credits, in order, and coalesce.

Events with one key never overtake each other (client-go's workqueue: the processing and dirty sets): one is on
its way, the next waits behind it, and of the waiting only the newest is kept. A newer event keeps the place
of the one it replaces, so a busy object cannot be starved. Counters and queues change first, callbacks come last.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.delivery import Delivery, Operator, Ticket
from operators.event import RawEvent
from operators.outcome import FULL, NEWER, SPILLED, STOPPED, TOO_LARGE
from operators.room import Credits, Room

Event = Delivery[RawEvent]


class WhenFull(StrEnum):
    """What happens to an event for which there is no room."""

    SPILL = "spill"
    """It ends ``coalesced``; its subject is read again when there is room. For sources that can be asked again."""
    BLOCK = "block"
    """Its source should have waited; having pushed all the same, it loses the event as ``dropped``."""
    DROP_NEWEST = "dropNewest"
    DROP_OLDEST = "dropOldest"


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
        self._when_full = when_full
        self._observer = observer
        self._ready: dict[Any, Event] = {}
        self._behind: dict[Any, Event] = {}
        self._on_their_way: dict[Any, Ticket] = {}
        self._held = 0
        self._draining = False
        self._finished = False

    def admit(self, delivery: Event) -> None:
        """Let an event go, let it wait, or end whichever must make room."""
        event, ticket = delivery.value, delivery.ticket
        size_bytes = event.size_bytes
        if size_bytes > self._room.capacity_bytes:
            delivery.ticket.end("buffer", TOO_LARGE)
            return
        self._place(event.key or ticket, delivery, size_bytes)

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
        if waiting is self._behind:
            self._on_their_way[key].superseded = True
            self._on_their_way[key].give_way(delivery.ticket)
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
            self._on_their_way[key].superseded = False
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
        while not self._room.fits(size_bytes, instead_of=_size(self._waiting(key).get(key))):
            drops = self._when_full is WhenFull.DROP_OLDEST
            oldest = next((one for one in self._ready if drops and one != key), None)
            if oldest is None:
                return False
            self._ready.pop(oldest).ticket.end("buffer", FULL)
        return True

    def _end_both(self, key: object, delivery: Event) -> None:
        """An event that fits nowhere ends, and so does the older one of its key: it is out of date."""
        waiting = self._waiting(key)
        older = waiting.pop(key, None)
        if older is not None:
            if waiting is self._behind:
                self._on_their_way[key].superseded = False
            older.ticket.give_way(delivery.ticket)
            older.ticket.end("buffer", NEWER)
        delivery.ticket.end("buffer", SPILLED if self._when_full is WhenFull.SPILL else FULL)

    def _let_go(self, key: object, delivery: Event) -> None:
        self._on_their_way[key] = delivery.ticket
        delivery.ticket.mark("buffer")
        self._observer.on_next(delivery)

    def _settled(self, ticket: Ticket) -> None:
        self._held -= 1
        self._room.give(ticket.size_bytes)
        if self._on_their_way.get(ticket.key) is ticket:
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
    """Hold what cannot go yet, within ``room``; let go while there are ``credits_``.

    The stream completes when everything that was held has settled. Disposing ends what waits as ``interrupted``.
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
