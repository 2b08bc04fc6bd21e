"""What the runtime needs of an Ingester: its settings with the defaults filled in, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from operators.buffer import WhenFull
from operators.filter import Filter
from operators.throttle import Throttle, WhenOver
from sinks.retry import OCCURRENCES, Retry
from streams.config.ingester import Ingester, IngesterSpec
from streams.config.limits import (
    DEFAULT_IN_FLIGHT,
    DEFAULT_TTL_SECONDS,
    Buffer,
    Tracing,
)
from streams.config.rules import Deduplication, Filters
from streams.config.spellings import (
    KEY,
    deduplication_of,
    filters_of,
    first_wait_seconds,
    kept_seconds,
    observes_occurrences,
    order_of,
    retry_of,
    throttle_of,
    when_full_of,
)
from streams.config.units import duration_seconds, quantity_bytes
from streams.config.values import ADAPTIVE, Order

DEFAULT_WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One source to run; an empty ``watch_namespace`` means all, empty selectors select everything."""

    namespace: str
    name: str
    source: str
    group: str
    version: str
    resource: str
    watch_namespace: str
    label_selector: str
    field_selector: str
    resync_seconds: float
    on_delete: str
    capacity: int
    capacity_bytes: int
    in_flight: int
    when_full: WhenFull
    occurrences: bool
    """Whether Observations tell what happened, in the place of what is."""
    dedup_enabled: bool
    dedup_window_seconds: float
    dedup_fields: tuple[str, ...] | None
    """The fields of strategy ``key``; ``None`` for the whole fingerprint."""
    filter: Filter
    order: Order
    throttle: Throttle | None
    """``None`` for no limit."""
    retry: Retry
    """How long an occurrence is tried to be written."""
    ttl_seconds: int
    tracing: Tracing


def plan(ingester: Ingester) -> Plan:
    """Plan a runnable Ingester. Raises ``ValueError`` for one that is not."""
    spec = ingester.spec
    informer = spec.informer
    if informer is None or informer.gvr is None or spec.source is None or not ingester.runnable:
        raise ValueError(f"{ingester.key}: nothing this version can run")
    buffer, dedup = spec.buffer or Buffer(), deduplication_of(spec)
    in_flight = DEFAULT_IN_FLIGHT if buffer.in_flight == ADAPTIVE else buffer.in_flight
    return Plan(
        namespace=ingester.metadata.namespace,
        name=ingester.metadata.name,
        source=spec.source,
        group=informer.gvr.group,
        version=informer.gvr.version,
        resource=informer.gvr.resource,
        watch_namespace=informer.namespace or "",
        label_selector=informer.label_selector or "",
        field_selector=informer.field_selector or "",
        resync_seconds=duration_seconds(informer.resync_period or "0"),
        on_delete=spec.on_delete or "resolve",
        capacity=buffer.capacity,
        capacity_bytes=quantity_bytes(buffer.capacity_bytes),
        in_flight=in_flight,
        when_full=when_full_of(spec),
        occurrences=observes_occurrences(spec),
        dedup_enabled=dedup.enabled,
        dedup_window_seconds=_window_seconds(dedup),
        dedup_fields=dedup.fields if dedup.strategy == KEY and dedup.fields else None,
        filter=_filter(filters_of(spec)),
        order=order_of(spec),
        throttle=_throttle(spec, in_flight),
        retry=_retry(spec),
        ttl_seconds=_ttl_seconds(spec),
        tracing=spec.tracing or Tracing(),
    )


def _throttle(spec: IngesterSpec, in_flight: int) -> Throttle | None:
    said = throttle_of(spec)
    return said and Throttle(
        per_second=said.per_second,
        burst=said.burst or ceil(said.per_second),
        when_over=WhenOver(said.when_over),
        most_waiting=in_flight,
    )


def _filter(filters: Filters) -> Filter:
    """The rules that are built; the expression has no effect yet."""
    return Filter.model_validate(filters.model_dump(exclude={"expression"}))


def _window_seconds(dedup: Deduplication) -> float:
    """The window by whichever spelling; ``window`` goes first."""
    if dedup.window is not None:
        return duration_seconds(dedup.window)
    return float(dedup.window_seconds or DEFAULT_WINDOW_SECONDS)


def _retry(spec: IngesterSpec) -> Retry:
    said = retry_of(spec)
    if said is None:
        return OCCURRENCES
    try:
        first_seconds = first_wait_seconds(said)
    except ValueError:
        first_seconds = OCCURRENCES.first_seconds
    return Retry(first_seconds, attempts=max(said.max_attempts, 1))


def _ttl_seconds(spec: IngesterSpec) -> int:
    if spec.ttl is None or spec.ttl.default is None:
        return DEFAULT_TTL_SECONDS
    return kept_seconds(spec.ttl.default)
