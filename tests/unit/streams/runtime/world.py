"""Pipelines over the model API server and the Observations of a cluster in memory, under a clock that jumps."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import ObjectRef
from operators.model.identity import Identity, observation_name
from operators.model.observation import Classified, Observation
from operators.model.state import StoredObservation
from operators.reconcile import Upsert
from sinks.dead_letters import DeadLetters
from sinks.observations import manifest
from sinks.queue import Suspensions
from streams.cluster.observations import Observations
from streams.config.ingester import Ingester
from streams.config.plan import Plan, plan
from streams.runtime.pipeline import OnEnded, Pipeline, PipelineContext, origin_of, owner_of
from tests.kit import acceptance
from tests.kit.observation_server import ObservationServer
from tests.kit.raw_events import object_event
from tests.unit.streams.sources.informer.world import World

MOMENT = "2026-11-20T06:00:00Z"
NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
GVR = {"group": "", "version": "v1", "resource": "configmaps"}


def planned(source: str = "maps", *, observe: str = "subject", **informer: str) -> Plan:
    """The plan of a document on the ConfigMaps of the namespace ``default``."""
    document = acceptance.ingester(
        source=source,
        observe=observe,
        informer={"gvr": GVR, "namespace": "default", **informer},
    )
    return plan(Ingester.model_validate(document))


class Cluster(ObservationServer):
    """The Observations of one pipeline's former run, too."""

    def __init__(self, of: Plan) -> None:
        super().__init__()
        self._origin = origin_of(of)
        self._owner = owner_of(of)

    def identity(self, subject: str) -> Identity:
        return self._origin.identity("", "configmaps", namespace="default", name=subject)

    def name(self, subject: str) -> str:
        return observation_name(self.identity(subject), readable=subject)

    def remember(
        self, subject: str, *, uid: str, identity: Identity | None = None, **spec: Any
    ) -> None:
        """Store the Observation of a ConfigMap as a former run left it."""
        identity = identity or self.identity(subject)
        reference = ObjectRef("v1", "ConfigMap", "default", subject)
        classified = Classified(
            object_event(subject, namespace="default", uid=uid),
            reference,
            namespace="default",
            source=self._origin.source,
        )
        observation = Observation(classified, identity, "default", "a title", "before", {})
        name = observation_name(identity, readable=subject)
        stored = StoredObservation("before", MOMENT, MOMENT, name=name)
        body = manifest(Upsert(identity, observation, stored), self._owner)
        body["spec"] |= spec
        self.put(body)

    def spec(self, subject: str) -> dict[str, Any]:
        return self.stored["default", self.name(subject)]["spec"]


def pipeline_of(
    world: World,
    of: Plan,
    observations: Observations,
    *,
    at: datetime = NOW,
    listeners: tuple[OnEnded, ...] = (),
) -> Pipeline:
    """A pipeline in the world, whose wall clock stands ``at`` a moment."""
    clock = world.loop.clock
    pipelines: list[Pipeline] = []

    def notify_resumed() -> None:
        for pipeline in pipelines:
            pipeline.notify_resumed()

    context = PipelineContext(
        manager=world.manager,
        observations=observations,
        suspensions=Suspensions(clock, on_resumed=notify_resumed),
        dead_letters=DeadLetters(now=lambda: at),
        clock=clock,
        now=lambda: at,
        now_ns=lambda: int(at.timestamp()) * NANOSECONDS_PER_SECOND,
        random=lambda: 0.0,
        listeners=listeners,
    )
    pipelines.append(Pipeline(of, context))
    return pipelines[0]


async def complete(world: World, pipeline: Pipeline) -> None:
    """Wait until a pipeline has restored, listed and compared."""
    await world.until(lambda: pipeline.complete)


async def stop(world: World, pipeline: Pipeline) -> None:
    """Wait until everything is emitted and settled, check the balances, and stop."""
    await complete(world, pipeline)
    await world.until(lambda: not pipeline.source_status().dirty_objects)
    await pipeline.drained()
    assert pipeline.ledger.balance == 0
    read = pipeline.source_status().counters["read"]
    assert read["received"] == pipeline.ledger.received
    pipeline.stop_intake()
    await pipeline.abandon()
    # What was cancelled ends with its next step.
    await asyncio.sleep(0)
