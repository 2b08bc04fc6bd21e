"""The real pipeline around a scripted API server, traced into a list or to a collector."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from reactivex.subject import Subject

from operators.buffer import Buffer, WhenFull
from operators.flow.clock import CallLater, Clock, utc_now, utc_now_ns
from operators.flow.delivery import Admission, Ticket
from operators.model.event import ApiResource, Change, RawEvent
from operators.model.identity import observation_name
from operators.model.spec import DecisionOrder
from operators.rules.lists import Filters
from operators.throttle import Throttle
from sinks.observations import ObservationExecutor
from sinks.queue import QueueContext, Suspensions, WriteQueue
from sinks.responses import Writer
from streams.config.source import Gvr
from streams.observability.sampler import Sampling
from streams.observability.spans import SourceAttributes, SpanTree
from streams.observability.tracer import TraceExporter, TracerInputs, Tracing
from streams.runtime.pipeline import Parts, origin_of, owner_of, policy_of
from tests.kit.composed import Edges, composed
from tests.kit.plans import plan_of
from tests.kit.raw_events import object_event, tombstone_event

CONFIG_MAPS = ApiResource("", "v1", "configmaps", "ConfigMap", namespaced=True)
GVR = Gvr(group="", version="v1", resource="configmaps")
SOURCE = "maps"
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
        export: TraceExporter | None,
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
        self.plan = plan_of(
            source_name=SOURCE,
            gvr=GVR,
            buffer=buffer,
            throttle=throttle,
            filters=Filters(exclude_namespaces=(UNWANTED,)),
            order=DecisionOrder.DEDUP_FIRST if dedup_first else DecisionOrder.FILTER_FIRST,
        )
        when_full = self.plan.pipeline.buffer.when_full or WhenFull.SPILL
        self.parts = Parts.of(self.plan)
        self.ended: list[Ticket] = []
        self.source: Subject[Admission] = Subject()
        self.tracing = Tracing(
            TracerInputs(clock, wall_ns, dice.getrandbits),
            exporter=export,
            spans_per_second=spans_per_second,
        )
        attributes = SourceAttributes.of(
            SOURCE,
            kind="informer",
            ingester=self.plan.identity.key,
            when_full=when_full,
            server=("127.0.0.1", 6443),
        )
        self.tracer = self.tracing.source(attributes, Sampling(ratio, spans_per_second))
        self.sink = WriteQueue(
            ObservationExecutor(writer, owner=owner_of(self.plan)),
            self.parts.state,
            policy=policy_of(self.plan),
            context=QueueContext(
                Suspensions(clock),
                clock=clock,
                now=utc_now,
                random=lambda: 0.0,
                sleep=sleep,
            ),
        )
        self._empty = asyncio.Event()
        self.stream = composed(
            self.plan,
            self.source,
            self.sink,
            parts=self.parts,
            edges=Edges(
                clock,
                call_later or asyncio.get_running_loop().call_later,
                now=utc_now,
                on_settle=self._settled,
                begin_trace=self.tracer.begin,
            ),
            when_full=when_full,
        ).subscribe()

    def offer(self, *events: RawEvent) -> None:
        for event in events:
            self.source.on_next(Admission(event))

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        while self.parts.ledger.in_flight:
            self._empty.clear()
            await self._empty.wait()

    async def stop(self) -> None:
        """Stop as a process does when its grace is over."""
        self.stream.dispose()
        await self.sink.close()

    def _settled(self, ticket: Ticket) -> None:
        self.tracer.end(ticket)
        self.ended.append(ticket)
        if not self.parts.ledger.in_flight:
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
    """One state of a ConfigMap; ``version`` tells events apart, ``body`` objects."""
    uid = f"uid-{name}"
    metadata = {"namespace": namespace, "name": name, "uid": uid}
    return object_event(
        name,
        {"metadata": metadata, **body} if raw is None else raw,
        resource=CONFIG_MAPS,
        namespace=namespace,
        change=change,
        uid=uid,
        version=str(version),
        source=SOURCE,
    )


def removal(name: str, version: int = 1, *, namespace: str = "n") -> RawEvent:
    """The end of a ConfigMap."""
    return tombstone_event(
        name,
        resource=CONFIG_MAPS,
        namespace=namespace,
        uid=f"uid-{name}",
        version=str(version),
        source=SOURCE,
    )


def observation_of(name: str, namespace: str = "n") -> str:
    """The name of a subject's Observation."""
    identity = origin_of(plan_of(source_name=SOURCE, gvr=GVR)).identity(
        "", "configmaps", namespace=namespace, name=name
    )
    return observation_name(identity, readable=name)
