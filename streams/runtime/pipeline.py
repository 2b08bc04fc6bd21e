"""The walk of one event, as one expression: the only place where the verbs meet."""

from __future__ import annotations

from dataclasses import dataclass

from reactivex import Observable

from operators.backpressure import backpressure
from operators.buffer import Buffer, bounded_buffer
from operators.clock import Clock, WallClock
from operators.dedup import Dedup, dedup
from operators.delivery import Delivery, Ledger, Settled, deliver
from operators.event import RawEvent
from operators.index import Index
from operators.normalise import Normalise, normalise
from operators.observation import Observation
from operators.room import Credits, Room
from sinks.change import WhenGone
from sinks.sink import Sink, write_to
from streams.config.plan import Plan


@dataclass(frozen=True, slots=True)
class Specs:
    """What the verbs of one pipeline are told to do."""

    buffer: Buffer
    normalise: Normalise
    dedup: Dedup


@dataclass(frozen=True, slots=True)
class Books:
    """What one pipeline keeps: its ledger, its room, its credits, and the Observations it knows of."""

    ledger: Ledger
    room: Room
    credits: Credits
    index: Index

    @classmethod
    def empty(cls, buffer: Buffer) -> Books:
        """Open the books of a new pipeline."""
        room = Room(buffer.capacity, capacity_bytes=buffer.capacity_bytes)
        return cls(Ledger(), room, Credits(buffer.in_flight), Index())


def compose(
    specs: Specs,
    source: Observable[RawEvent],
    sink: Sink,
    *,
    books: Books,
    clock: Clock,
    now: WallClock,
    tell: Settled,
) -> Observable[Delivery[Observation]]:
    """Join a source to a sink: what holds, then what decides.

    Two pipes, because one types seven operators at most: the throttle's place is before ``normalise``, the filter's
    on either side of ``dedup``, by ``processing.order``.
    """
    return source.pipe(
        deliver(books.ledger, clock=clock, tell=tell),
        bounded_buffer(books.room, books.credits, when_full=specs.buffer.when_full),
        backpressure(books.credits),
    ).pipe(
        normalise(specs.normalise),
        dedup(specs.dedup, books.index, now=now),
        write_to(sink),
    )


def specs_of(plan: Plan) -> Specs:
    """Tell each verb its part of the plan."""
    return Specs(
        buffer=Buffer(
            capacity=plan.capacity,
            capacity_bytes=plan.capacity_bytes,
            in_flight=plan.in_flight,
        ),
        normalise=Normalise(
            ingester_namespace=plan.namespace,
            ingester=plan.name,
            source=plan.source,
            fields=plan.dedup_fields,
            ignore_departures=plan.on_delete == WhenGone.IGNORE,
        ),
        dedup=Dedup(enabled=plan.dedup_enabled),
    )
