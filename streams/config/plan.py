"""The plan of a source: the parts of an Ingester that are run, each by the spelling that counts, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from operators.buffer import Buffer
from operators.deduplicate import Deduplication
from operators.model.spec import DecisionOrder, Observe, OnDelete
from operators.rules.lists import Filters
from operators.throttle import Throttle
from sinks.retry import Retry
from streams.config.destination import Destination
from streams.config.ingester import Ingester
from streams.config.processing import TracingSpec
from streams.config.source import InformerSpec
from streams.config.spellings import (
    deduplication_of,
    filters_of,
    observe_of,
    on_delete_of,
    order_of,
    retry_of,
    throttle_of,
    ttl_seconds_of,
)

SourceSpec = InformerSpec
"""The union of the kinds of source that can be run."""


@dataclass(frozen=True, slots=True)
class PlanIdentity:
    """Which source of which Ingester a plan is of."""

    namespace: str
    name: str
    uid: str = ""
    """``metadata.uid`` of a live Ingester; empty for one from a file."""
    source: str = ""
    """The name of the entry of ``spec.sources``; empty for an Ingester with one source."""

    @property
    def key(self) -> str:
        """The Ingester as ``namespace/name``."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """The specs of one pipeline's operators: the document's own objects, defaults where a block is left out."""

    buffer: Buffer
    throttle: Throttle | None
    """``None`` for no limit; ``spec.rateLimit`` is converted."""
    filters: Filters
    deduplication: Deduplication
    order: DecisionOrder
    observe: Observe
    on_delete: OnDelete
    retry: Retry
    """How often the write of an occurrence is tried."""
    ttl_seconds: int
    tracing: TracingSpec


@dataclass(frozen=True, slots=True)
class Plan:
    """One source to run. Plans compare by value: an equal plan needs no restart."""

    identity: PlanIdentity
    source_name: str
    """``spec.source``: Observations carry it."""
    source: SourceSpec
    pipeline: PipelineSpec
    destinations: tuple[Destination, ...]


def plan(ingester: Ingester, *, uid: str = "") -> Plan:
    """Plan a runnable Ingester; ``uid`` is that of a live one. Raises ``ValueError`` for one that is not runnable."""
    spec = ingester.spec
    informer = spec.informer
    if informer is None or informer.gvr is None or spec.source is None or not ingester.runnable:
        raise ValueError(f"{ingester.key}: nothing this version can run")
    return Plan(
        identity=PlanIdentity(ingester.metadata.namespace, ingester.metadata.name, uid),
        source_name=spec.source,
        source=informer,
        pipeline=PipelineSpec(
            buffer=spec.buffer or Buffer(),
            throttle=throttle_of(spec),
            filters=filters_of(spec),
            deduplication=deduplication_of(spec),
            order=order_of(spec),
            observe=observe_of(spec),
            on_delete=on_delete_of(spec),
            retry=retry_of(spec),
            ttl_seconds=ttl_seconds_of(spec),
            tracing=spec.tracing or TracingSpec(),
        ),
        destinations=spec.destinations,
    )
