"""The real pipeline around a scripted API server, traced into a list or to a collector."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import msgspec
from reactivex.subject import Subject

from operators.buffer import Buffer
from operators.decode import Normalise, subject_name
from operators.deduplicate import Dedup
from operators.filter import Filter
from operators.flow.clock import CallLater, Clock, utc_now, utc_now_ns
from operators.flow.delivery import Ticket
from operators.model.event import Change, Kind, RawEvent
from operators.throttle import Throttle
from sinks.holds import Holds
from sinks.manifest import Owner
from sinks.observation import ObservationSink
from sinks.writer import Writer
from streams.observability.build import scope_of
from streams.observability.keep import Sampling
from streams.observability.span import SpanTree
from streams.observability.tracer import Export, Moments, Tracing
from streams.runtime.pipeline import Books, Specs, compose

KIND = Kind("", "v1", "configmaps", "ConfigMap", namespaced=True)
NORMALISE = Normalise(ingester_namespace="n", ingester="i", source="maps")
UNWANTED = "unwanted"
"""A namespace that no traced pipeline wants."""
LIFTED = 1_000_000_000
"""A budget that never runs out."""


class Kept:
    """Takes every trace that is kept."""

    def __init__(self) -> None:
        self.trees: list[SpanTree] = []

    def offer(self, tree: SpanTree) -> None:
        self.trees.append(tree)


async def at_once(_seconds: float) -> None:
    """Sleep for as long as it takes others to have a turn."""
    await asyncio.sleep(0)


class TracedPipeline:
    """One source from its subject to its sink; everything but the API server is what runs in production."""

    def __init__(
        self,
        writer: Writer,
        *,
        export: Export | None,
        ratio: float = 1.0,
        spans_per_second: int = LIFTED,
        buffer: Buffer | None = None,
        throttle: Throttle | None = None,
        dedup_first: bool = False,
        clock: Clock = time.monotonic_ns,
        wall_ns: Callable[[], int] = utc_now_ns,
        sleep: Callable[[float], Awaitable[None]] = at_once,
        call_later: CallLater | None = None,
        seed: int = 1,
    ) -> None:
        dice = random.Random(seed)
        buffer = buffer or Buffer()
        self.specs = Specs(
            buffer=buffer,
            throttle=throttle,
            normalise=NORMALISE,
            filter=Filter(exclude_namespaces=(UNWANTED,)),
            dedup=Dedup(),
            dedup_first=dedup_first,
        )
        self.books = Books.empty(buffer)
        self.ended: list[Ticket] = []
        self.source: Subject[RawEvent] = Subject()
        self.tracing = Tracing(
            Moments(clock, wall_ns, dice.getrandbits),
            export=export,
            spans_per_second=spans_per_second,
        )
        scope = scope_of(
            "maps",
            kind="informer",
            ingester="n/i",
            when_full=buffer.when_full,
            server=("127.0.0.1", 6443),
        )
        self.tracer = self.tracing.source(scope, Sampling(ratio, spans_per_second))
        self.sink = ObservationSink(
            writer,
            self.books.index,
            owner=Owner("n", "i", 604_800),
            holds=Holds(clock),
            clock=clock,
            now=utc_now,
            random=lambda: 0.0,
            sleep=sleep,
        )
        self._empty = asyncio.Event()
        later = call_later or asyncio.get_running_loop().call_later
        self.stream = compose(
            self.specs,
            self.source,
            self.sink,
            books=self.books,
            clock=clock,
            call_later=later,
            now=utc_now,
            tell=self._tell,
            begin=self.tracer.begin,
        ).subscribe()

    def offer(self, *events: RawEvent) -> None:
        for event in events:
            self.source.on_next(event)

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        while self.books.ledger.in_flight:
            self._empty.clear()
            await self._empty.wait()

    async def stop(self) -> None:
        """Stop as a process does when its grace is over."""
        self.stream.dispose()
        await self.sink.close()

    def _tell(self, ticket: Ticket) -> None:
        self.tracer.end(ticket)
        self.ended.append(ticket)
        if not self.books.ledger.in_flight:
            self._empty.set()


def event(
    name: str,
    version: int = 1,
    *,
    namespace: str = "n",
    change: Change = Change.MODIFIED,
    raw: bytes | None = None,
    **body: object,
) -> RawEvent:
    """One thing an informer tells; ``version`` tells events apart, ``body`` objects."""
    metadata = {"namespace": namespace, "name": name, "uid": f"uid-{name}"}
    encoded = msgspec.json.encode({"metadata": metadata, **body}) if raw is None else raw
    return RawEvent(KIND, change, namespace, name, f"uid-{name}", str(version), encoded)


def observation_of(name: str, namespace: str = "n") -> str:
    """The name of a subject's Observation."""
    return subject_name(NORMALISE, "", "configmaps", namespace=namespace, name=name)
