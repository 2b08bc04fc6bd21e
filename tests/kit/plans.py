"""Plans for pipelines under test: a document's defaults, with what a test wants to differ."""

from __future__ import annotations

from operators.buffer import Buffer
from operators.deduplicate import Deduplication
from operators.model.spec import DecisionOrder, Observe, OnDelete
from operators.rules.lists import Filters
from operators.throttle import Throttle
from sinks.retry import OCCURRENCES, Retry
from streams.config.destination import Destination
from streams.config.plan import PipelineSpec, Plan, PlanIdentity
from streams.config.processing import TracingSpec
from streams.config.source import Gvr, InformerSpec

GVR = Gvr(group="example.org", version="v1", resource="widgets")


def plan_of(
    *,
    namespace: str = "n",
    name: str = "i",
    source_name: str = "widgets",
    gvr: Gvr = GVR,
    buffer: Buffer | None = None,
    throttle: Throttle | None = None,
    filters: Filters | None = None,
    deduplication: Deduplication | None = None,
    order: DecisionOrder = DecisionOrder.FILTER_FIRST,
    observe: Observe = Observe.SUBJECT,
    on_delete: OnDelete = OnDelete.RESOLVE,
    retry: Retry = OCCURRENCES,
    ttl_seconds: int = 604_800,
    tracing: TracingSpec | None = None,
) -> Plan:
    """A plan of an informer on widgets."""
    return Plan(
        PlanIdentity(namespace, name),
        source_name,
        InformerSpec(gvr=gvr),
        PipelineSpec(
            buffer=buffer or Buffer(),
            throttle=throttle,
            filters=filters or Filters(),
            deduplication=deduplication or Deduplication(),
            order=order,
            observe=observe,
            on_delete=on_delete,
            retry=retry,
            ttl_seconds=ttl_seconds,
            tracing=tracing or TracingSpec(),
        ),
        (Destination(type="crd", value="observations"),),
    )
