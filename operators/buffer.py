"""The bounded buffer: events wait here for credits, in order, and coalesce.

Events with one key never overtake each other (client-go's workqueue: the processing and dirty sets): one is in
flight, the next waits behind it, and of those that wait only the newest is kept. A newer event keeps the place of
the one it replaces, so an object that changes often is not postponed without limit. Events without a key are neither
ordered nor replaced. Counters and queues change first, callbacks come last.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any
from weakref import ReferenceType, ref

from pydantic import BeforeValidator, Field
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Delivery, Operator, Ticket
from operators.model.event import RECORD_BYTES, RawEvent
from operators.model.outcome import NEWER, NO_KEY, SPILLED, STOPPED, TOO_LARGE, Ending, Outcome
from operators.model.spec import ADAPTIVE, InFlight, Positive, Quantity, Spec, schema_of
from operators.model.units import quantity_bytes

RawDelivery = Delivery[RawEvent]


class WhenFull(StrEnum):
    """What happens to an event for which there is no room."""

    SPILL = "spill"
    """It ends ``coalesced``; its subject is read again when there is room. For sources that can be read again."""
    BLOCK = "block"
    """Its source should have waited for room; having pushed all the same, it loses the event as ``dropped``."""
    DROP_NEWEST = "dropNewest"
    """It ends ``dropped``."""
    DROP_OLDEST = "dropOldest"
    """Those that have waited longest end ``dropped`` to make room for it; it does, where that would not be enough."""


_DETAIL = "no room in the buffer"
_REFUSED = {
    WhenFull.SPILL: SPILLED,
    WhenFull.BLOCK: Outcome(Ending.DROPPED, WhenFull.BLOCK.value, _DETAIL, "overflow"),
    WhenFull.DROP_NEWEST: Outcome(Ending.DROPPED, WhenFull.DROP_NEWEST.value, _DETAIL, "overflow"),
    WhenFull.DROP_OLDEST: Outcome(Ending.DROPPED, WhenFull.DROP_OLDEST.value, _DETAIL, "overflow"),
}

DEFAULT_IN_FLIGHT = 64
"""Also used for ``adaptive``, which is not implemented yet."""

_IN_DOCUMENTS = (WhenFull.BLOCK, WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST)


def _when_full(value: object) -> WhenFull:
    # A document cannot choose "spill": whether a source can be read again is a property of its kind.
    for policy in _IN_DOCUMENTS:
        if value == policy:
            return policy
    raise ValueError("'block', 'dropNewest' or 'dropOldest'")


class Buffer(Spec):
    """Limits how many events a pipeline holds, from their arrival until their outcome."""

    capacity: Positive = Field(default=1000, description="Events that the pipeline holds at most.")
    capacity_bytes: Quantity = Field(
        default="64Mi",
        description="Bytes of event bodies that the pipeline holds at most, as a Kubernetes"
        " quantity; 400 bytes an event are counted beside its body. A larger event is not"
        " processed.",
        examples=["256Mi"],
    )
    in_flight: InFlight = Field(
        default=DEFAULT_IN_FLIGHT,
        description="Events that are processed at the same time, between the buffer and the answer"
        " of the API server: a number, or adaptive.",
    )
    when_full: (
        Annotated[WhenFull, BeforeValidator(_when_full), schema_of(*_IN_DOCUMENTS)] | None
    ) = Field(
        default=None,
        description="What happens to an event of a webhook or log source when the buffer is full:"
        " block makes the sender wait (default), dropNewest drops the event, dropOldest drops those"
        " that wait longest. An informer drops nothing: it reads the object again later.",
    )

    @property
    def bytes(self) -> int:
        """``capacity_bytes`` as a number."""
        return quantity_bytes(self.capacity_bytes)

    @property
    def credits(self) -> int:
        """``in_flight`` as a number; 64 for ``adaptive``."""
        return DEFAULT_IN_FLIGHT if self.in_flight == ADAPTIVE else self.in_flight

    def policy(self, *, rereadable: bool) -> WhenFull:
        """What happens to an event without room: a source that can be read again spills; else ``when_full``."""
        return WhenFull.SPILL if rereadable else self.when_full or WhenFull.BLOCK


class KeyedBuffer:
    """The buffer's mechanism: admits events, releases them while there are credits; bounded by its room."""

    def __init__(
        self,
        room: Room,
        credits_: Credits,
        *,
        when_full: WhenFull,
        observer: abc.ObserverBase[RawDelivery],
    ) -> None:
        self._room = room
        self._credits = credits_
        self._drops_oldest = when_full is WhenFull.DROP_OLDEST
        self._refused = _REFUSED[when_full]
        self._observer = observer
        self._ready: dict[Any, RawDelivery] = {}
        self._behind: dict[Any, RawDelivery] = {}
        self._in_flight: dict[Any, ReferenceType[Ticket]] = {}
        """Weak references: a delivery that was discarded unsettled must be detected (``Ticket.__del__``)."""
        self._held = 0
        self._draining = False
        self._finished = False

    def admit(self, delivery: RawDelivery) -> None:
        """Release an event, let it wait, or settle whichever must make room."""
        event = delivery.value
        size_bytes = len(event.raw) + RECORD_BYTES
        if size_bytes > self._room.capacity_bytes:
            delivery.ticket.end("buffer", TOO_LARGE)
            return
        self._place(object() if event.key is None else event.key, delivery, size_bytes)

    def finish(self) -> None:
        """Complete once everything is settled: the source has completed."""
        self._finished = True
        self._drain()

    def stop(self) -> None:
        """Settle everything that waits: the subscription has ended."""
        self._draining = True
        waiting = (*self._ready.values(), *self._behind.values())
        for key in self._behind:
            self._clear_superseded(key)
        self._ready.clear()
        self._behind.clear()
        for delivery in waiting:
            delivery.ticket.end("buffer", STOPPED)

    def _place(self, key: object, delivery: RawDelivery, size_bytes: int) -> None:
        if not self._make_room(key, size_bytes):
            self._settle_both(key, delivery)
            return
        self._hold(key, delivery.ticket, size_bytes)
        waiting = self._waiting(key)
        older = waiting.get(key)
        if waiting is self._ready and older is None and self._may_release:
            self._release(key, delivery)
            return
        # A head may be many times as large as the bytes that the room counts: it is decoded again after the wait.
        delivery.head = None
        waiting[key] = delivery
        in_flight = self._ticket_in_flight(key)
        if in_flight is not None:
            in_flight.superseded = in_flight.outdated = True
            in_flight.record_newer(delivery.ticket)
        if older is not None:
            older.ticket.record_newer(delivery.ticket)
            # Last: its callbacks may admit the next event, which must find the newer one in its place.
            older.ticket.end("buffer", NEWER)

    def _hold(self, key: object, ticket: Ticket, size_bytes: int) -> None:
        ticket.key, ticket.size_bytes = key, size_bytes
        ticket.when_settled(self._settled)
        self._room.take(size_bytes)
        self._held += 1

    @property
    def _may_release(self) -> bool:
        return self._credits.available and not self._draining

    def _waiting(self, key: object) -> dict[Any, RawDelivery]:
        """Where an event of this key waits: behind one that is in flight, or for a credit."""
        return self._behind if key in self._in_flight else self._ready

    def _make_room(self, key: object, size_bytes: int) -> bool:
        """Whether an event fits, in place of the one it replaces if there is one; others are dropped, by policy."""
        instead_of = _size(self._waiting(key).get(key))
        if self._room.fits(size_bytes, instead_of=instead_of):
            return True
        if not self._drops_oldest:
            return False
        dropped = [
            self._ready.pop(one) for one in self._oldest(key, size_bytes, instead_of=instead_of)
        ]
        for delivery in dropped:
            delivery.ticket.end("buffer", self._refused)
        # Checked again: the callbacks of what was dropped may have admitted events.
        return self._room.fits(size_bytes, instead_of=_size(self._waiting(key).get(key)))

    def _oldest(self, key: object, size_bytes: int, *, instead_of: int) -> list[object]:
        """Choose what must be dropped for an event to fit: the fewest, the oldest; none if all were not enough."""
        items, bytes_ = self._room.excess(size_bytes, instead_of=instead_of)
        chosen: list[object] = []
        for one, delivery in self._ready.items():
            if items <= 0 and bytes_ <= 0:
                break
            if one != key:
                chosen.append(one)
                items, bytes_ = items - 1, bytes_ - delivery.ticket.size_bytes
        return chosen if items <= 0 and bytes_ <= 0 else []

    def _settle_both(self, key: object, delivery: RawDelivery) -> None:
        """Settle an event that does not fit, and the older one of its key that waits: that is out of date."""
        in_flight = self._ticket_in_flight(key)
        if in_flight is not None:
            in_flight.outdated = True
        older = self._waiting(key).pop(key, None)
        if older is not None:
            self._clear_superseded(key)
            older.ticket.record_newer(delivery.ticket)
            older.ticket.end("buffer", NEWER)
        cannot_be_reread = self._refused is SPILLED and delivery.value.key is None
        delivery.ticket.end("buffer", NO_KEY if cannot_be_reread else self._refused)

    def _ticket_in_flight(self, key: object) -> Ticket | None:
        """The ticket of the event of this key that is in flight."""
        reference = self._in_flight.get(key)
        return reference() if reference is not None else None

    def _clear_superseded(self, key: object) -> None:
        """Clear the superseded flag of the in-flight event of this key: no newer one waits behind it any more."""
        in_flight = self._ticket_in_flight(key)
        if in_flight is not None:
            in_flight.superseded = False

    def _release(self, key: object, delivery: RawDelivery) -> None:
        self._in_flight[key] = ref(delivery.ticket)
        depth = len(self._ready) + len(self._behind)
        delivery.ticket.mark("buffer", {"buffer.depth_out": depth})
        self._observer.on_next(delivery)

    def _settled(self, ticket: Ticket) -> None:
        self._held -= 1
        self._room.give(ticket.size_bytes)
        if self._ticket_in_flight(ticket.key) is ticket:
            del self._in_flight[ticket.key]
            newer = self._behind.pop(ticket.key, None)
            if newer is not None:
                self._ready[ticket.key] = newer
        if self._ready or self._finished:
            self._drain()

    def _drain(self) -> None:
        if self._draining:
            return
        # Released events may settle at once and call back into here: one loop releases all, no recursion.
        self._draining = True
        try:
            while self._ready and self._credits.available:
                key = next(iter(self._ready))
                self._release(key, self._ready.pop(key))
        finally:
            self._draining = False
        if self._finished and not self._held:
            self._finished = False
            self._observer.on_completed()


def _size(event: RawDelivery | None) -> int:
    return -1 if event is None else event.ticket.size_bytes


def bounded_buffer(
    room: Room, credits_: Credits, *, when_full: WhenFull
) -> Operator[RawDelivery, RawDelivery]:
    """Hold what cannot pass yet, within ``room`` (events and bytes); release it while there are ``credits_``.

    ::

        --a1-b1-a2-b2-a3--c1----------------   one credit, room for three, when_full=SPILL
        bounded_buffer(room, credits_, when_full=when_full)
        --a1-----------------------b2----a3-   a1 settles, then b2; b1 and a2 ended coalesced, and so did c1: spilled

    Events of one key pass one by one, in order, and the newest replaces the one that waits, which ends
    ``coalesced``. The mark records how many still waited. The stream completes when everything that was held has
    settled. Disposing, and an error of the source, settle what waits as ``interrupted``. An event larger than the
    whole room ends ``dead_lettered``.
    """

    def operator(source: Observable[RawDelivery]) -> Observable[RawDelivery]:
        def subscribe(
            observer: abc.ObserverBase[RawDelivery], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            buffer = KeyedBuffer(room, credits_, when_full=when_full, observer=observer)
            upstream = source.subscribe(
                buffer.admit, observer.on_error, buffer.finish, scheduler=scheduler
            )
            return CompositeDisposable(upstream, Disposable(buffer.stop))

        return Observable(subscribe)

    return operator
