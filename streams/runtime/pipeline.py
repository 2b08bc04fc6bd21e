"""The walk of one event, as one expression: the only place where the verbs meet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reactivex import Observable

from operators.backpressure import backpressure
from operators.buffer import Buffer, bounded_buffer
from operators.decode import Normalise, describe, normalise, subject_name
from operators.deduplicate import Dedup, dedup
from operators.filter import Filter, Rules, keep
from operators.flow.capacity import Credits, Room
from operators.flow.clock import CallLater, Clock, WallClock
from operators.flow.delivery import Begin, Delivery, Ledger, Operator, Settled, deliver
from operators.model.event import RawEvent
from operators.model.index import Index
from operators.model.observation import Observation
from operators.model.windows import Windows
from operators.once import Once, once
from operators.throttle import Throttle, throttle
from sinks.change import WhenGone
from sinks.manifest import Owner
from sinks.sink import Sink, write_to
from streams.config.plan import Plan
from streams.config.spellings import DEDUP_FIRST
from streams.sources.informer.notice import Watched

Decision = Operator[Delivery[Observation], Delivery[Observation]]


@dataclass(frozen=True, slots=True)
class Specs:
    """What the verbs of one pipeline are told to do."""

    buffer: Buffer
    normalise: Normalise
    filter: Filter
    dedup: Dedup
    dedup_first: bool = False
    throttle: Throttle | None = None
    once: Once | None = None
    """Set in the place of ``dedup`` where the source tells what happened."""


@dataclass(frozen=True, slots=True)
class Books:
    """What one pipeline keeps: its ledger, its room, its credits, the Observations and the windows it knows of."""

    ledger: Ledger
    room: Room
    credits: Credits
    index: Index
    windows: Windows

    @classmethod
    def empty(cls, buffer: Buffer) -> Books:
        """Open the books of a new pipeline."""
        room = Room(buffer.capacity, capacity_bytes=buffer.capacity_bytes)
        return cls(Ledger(), room, Credits(buffer.in_flight), Index(), Windows())


def compose(
    specs: Specs,
    source: Observable[RawEvent],
    sink: Sink,
    *,
    books: Books,
    clock: Clock,
    call_later: CallLater,
    now: WallClock,
    tell: Settled,
    begin: Begin | None = None,
) -> Observable[Delivery[Observation]]:
    """Join a source to a sink: what holds, then what decides. Two pipes, because one types seven operators at most."""
    first, second, third = _decisions(specs, books, now=now)
    held = source.pipe(
        deliver(books.ledger, clock=clock, tell=tell, begin=begin),
        bounded_buffer(books.room, books.credits, when_full=specs.buffer.when_full),
        backpressure(books.credits),
    )
    if specs.throttle is not None:
        held = held.pipe(throttle(specs.throttle, clock=clock, call_later=call_later))
    return held.pipe(
        normalise(specs.normalise),
        first,
        second,
        third,
        write_to(sink),
    )


def _decisions(
    specs: Specs, books: Books, *, now: WallClock
) -> tuple[Decision, Decision, Decision]:
    """Filter and deduplication in the order of the document; what deduplication gets is described first.

    For subjects the order is only one of marks (an open Observation that the filter is against is resolved either
    way), but for a body that cannot be decoded: with deduplication first it is looked into, wanted or not.
    """
    wanted, described = keep(specs.filter, books.index), describe(specs.normalise)
    if specs.once is not None:
        new = once(specs.once, books.windows, now=now)
    elif specs.dedup_first:
        new = dedup(specs.dedup, books.index, now=now, wanted=Rules(specs.filter).want)
    else:
        new = dedup(specs.dedup, books.index, now=now)
    return (described, new, wanted) if specs.dedup_first else (wanted, described, new)


def specs_of(plan: Plan) -> Specs:
    """Tell each verb its part of the plan."""
    return Specs(
        buffer=Buffer(
            capacity=plan.capacity,
            capacity_bytes=plan.capacity_bytes,
            in_flight=plan.in_flight,
            when_full=plan.when_full,
        ),
        normalise=Normalise(
            ingester_namespace=plan.namespace,
            ingester=plan.name,
            source=plan.source,
            fields=plan.dedup_fields,
            ignore_departures=plan.on_delete == WhenGone.IGNORE,
            occurrences=plan.occurrences,
        ),
        filter=plan.filter,
        dedup=Dedup(enabled=plan.dedup_enabled, window_seconds=plan.dedup_window_seconds),
        once=Once(enabled=plan.dedup_enabled, window_seconds=plan.dedup_window_seconds)
        if plan.occurrences
        else None,
        dedup_first=plan.order == DEDUP_FIRST,
        throttle=plan.throttle,
    )


def watched_of(plan: Plan) -> Watched:
    """What the plan's informer watches."""
    return Watched(
        plan.group,
        plan.version,
        plan.resource,
        namespace=plan.watch_namespace,
        label_selector=plan.label_selector,
        field_selector=plan.field_selector,
    )


def namer_of(plan: Plan) -> Callable[[str], str]:
    """How the Observation of a subject is named, by its key (``namespace/name``)."""
    spec = specs_of(plan).normalise

    def name_of(key: str) -> str:
        namespace, _, name = key.rpartition("/")
        return subject_name(spec, plan.group, plan.resource, namespace=namespace, name=name)

    return name_of


def owner_of(plan: Plan) -> Owner:
    """Whose the Observations are."""
    return Owner(plan.namespace, plan.name, plan.ttl_seconds)
