"""One source at work: its pipeline, its books, and the condition a person reads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from reactivex import abc

from operators.flow.capacity import Room
from operators.flow.clock import Clock, WallClock
from operators.flow.delivery import Ledger, Ticket
from operators.model.index import Index
from operators.model.outcome import LOST
from operators.model.windows import Windows
from sinks.change import WhenGone
from sinks.dead_letters import DeadLetters
from sinks.holds import Holds
from sinks.observation import ObservationSink
from streams.cluster.observations import Observations
from streams.config.plan import Plan
from streams.observability.span import Span
from streams.observability.timings import Timings
from streams.runtime.pipeline import Books, compose, namer_of, owner_of, specs_of, watched_of
from streams.runtime.rebuild import departed, rebuild_in_time
from streams.runtime.renamed import resolve_renamed
from streams.runtime.traces import UNTRACED, Traces
from streams.sources.informer.defects import defect_of, log_defect
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.source import informer_source
from streams.sources.informer.subscription import Subscription

log = logging.getLogger(__name__)

WhenEnded = Callable[["RunningSource", Ticket], None]
"""Told of every event of a source that ended, after the books; it must not raise."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every source of a process shares."""

    manager: InformerManager
    observations: Observations
    holds: Holds
    dead_letters: DeadLetters
    clock: Clock
    now: WallClock
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    traces: Traces = UNTRACED
    listeners: tuple[WhenEnded, ...] = ()


class RunningSource:
    """A source from its rebuild to its drain."""

    kind = "informer"

    def __init__(self, plan: Plan, around: Surroundings) -> None:
        self.plan = plan
        self.source = plan.source
        self.ingester = f"{plan.namespace}/{plan.name}"
        self.timings = Timings()
        self.condition = "Starting"
        self.complete = False
        """Whether the state was rebuilt, the list read, and what ended meanwhile found."""
        self._around = around
        self._specs = specs_of(plan)
        self.books = Books.empty(self._specs.buffer)
        self._name_of = namer_of(plan)
        self._informer = informer_source(
            around.manager,
            watched_of(plan),
            room=self.books.room,
            resync_seconds=plan.resync_seconds,
            matters=self._matters,
        )
        self._sink = self._write_to(around)
        self._tracer = around.traces.source(
            plan, kind=self.kind, when_full=self._specs.buffer.when_full
        )
        self._pipeline: abc.DisposableBase | None = None
        self._task: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()

    @property
    def ledger(self) -> Ledger:
        """What came in, and how it ended."""
        return self.books.ledger

    @property
    def room(self) -> Room:
        """What the pipeline holds, and may hold."""
        return self.books.room

    @property
    def index(self) -> Index:
        """The Observations it knows of."""
        return self.books.index

    @property
    def windows(self) -> Windows:
        """The windows of its occurrences."""
        return self.books.windows

    @property
    def subscription(self) -> Subscription | None:
        """Its share in an informer, once it has one."""
        return self._informer.subscription

    @property
    def said(self) -> str:
        """What stands in the way, for a person: the informer's condition, else the source's own."""
        subscription = self._informer.subscription
        trouble = subscription.condition if subscription is not None else None
        return f"{trouble.reason}: {trouble.message}" if trouble is not None else self.condition

    @property
    def lost(self) -> int:
        """How many events did not get what they came for."""
        return sum(self.books.ledger.ended(ending) for ending in LOST)

    @property
    def failure(self) -> BaseException | None:
        """Why the source's own task ended before its time: a defect, for the liveness probe."""
        return defect_of(self._task) if self._task is not None else None

    def start(self) -> None:
        """Begin; whatever is in the way becomes the condition, and is tried again."""
        self._task = asyncio.create_task(self._run(), name=f"source {self.ingester}")
        self._task.add_done_callback(log_defect)

    def stop_intake(self) -> None:
        """Take nothing in any more; what is on its way goes on."""
        if self._task is not None:
            self._task.cancel()
        if self._informer.subscription is not None:
            self._informer.subscription.close()
        self.condition = "Draining"

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        while self.books.ledger.in_flight:
            self._empty.clear()
            await self._empty.wait()

    async def abandon(self) -> None:
        """End what is still in flight as interrupted."""
        if self._pipeline is not None:
            self._pipeline.dispose()
        await self._sink.close()
        self.condition = "Stopped"

    def poke(self) -> None:
        """A hold was released: what was put aside may be read again."""
        if self._informer.subscription is not None:
            self._informer.subscription.poke()

    def spans(self, ticket: Ticket) -> list[Span]:
        """The spans of an event of this source that has ended; none if it was not traced."""
        return self._tracer.spans(ticket) if self._tracer is not None else []

    async def _run(self) -> None:
        around = self._around
        subjects = await rebuild_in_time(
            lambda: around.observations.own(owner_of(self.plan).label),
            self.books,
            now=around.now,
            waits=self._waits,
            sleep=lambda seconds: around.sleep(seconds * (1 + around.random())),
        )
        self._pipeline = compose(
            self._specs,
            self._informer.events,
            self._sink,
            books=self.books,
            clock=around.clock,
            call_later=asyncio.get_running_loop().call_later,
            now=around.now,
            tell=self._tell,
            begin=self._tracer.begin if self._tracer is not None else None,
        ).subscribe(on_error=self._broken)
        subscription = self._informer.subscription
        if subscription is None:
            raise AssertionError("a source that was subscribed to has a subscription")
        self.condition = "Syncing"
        await subscription.synced.wait()
        for gone in departed(subjects, subscription.keys(), name_of=self._name_of):
            subscription.mark_dirty(gone.key, uid=gone.uid)
        self.complete, self.condition = True, "Running"
        log.info("source runs", extra={"ingester": self.ingester, "objects": subscription.known})
        await resolve_renamed(
            subjects,
            self._sink,
            name_of=self._name_of,
            namespace=self.plan.namespace,
            book=subscription.book,
            new_ticket=lambda: Ticket(self.books.ledger, around.clock, self._tell),
            sleep=around.sleep,
        )

    def _waits(self, error: Exception) -> None:
        self.condition = f"Waiting for the list of Observations: {error}"
        log.warning(
            "the list of Observations cannot be read yet",
            extra={"ingester": self.ingester, "detail": str(error)},
        )

    def _tell(self, ticket: Ticket) -> None:
        try:
            self.timings.note(ticket)
            if self._tracer is not None:
                self._tracer.end(ticket)
            self._around.dead_letters.note(self.ingester, ticket)
            for listener in self._around.listeners:
                listener(self, ticket)
        except Exception:  # behind this wait the callbacks that give back room and credit
            log.exception("an ending could not be told", extra={"ingester": self.ingester})
        if not self.books.ledger.in_flight:
            self._empty.set()

    def _broken(self, error: Exception) -> None:
        self.condition = f"Broken: {error}"
        log.error("source broke", extra={"ingester": self.ingester, "detail": str(error)})

    def _matters(self, key: str) -> bool:
        """Whether there is an Observation to resolve, should the object depart."""
        return self.books.index.is_open(self._name_of(key))

    def _write_to(self, around: Surroundings) -> ObservationSink:
        return ObservationSink(
            around.observations,
            self.books.index,
            owner=owner_of(self.plan),
            holds=around.holds,
            clock=around.clock,
            now=around.now,
            random=around.random,
            when_gone=WhenGone(self.plan.on_delete),
            is_alive=self._is_alive,
            retry=self.plan.retry,
        )

    def _is_alive(self, namespace: str, name: str) -> bool:
        subscription = self._informer.subscription
        return subscription is not None and subscription.knows(f"{namespace}/{name}")
