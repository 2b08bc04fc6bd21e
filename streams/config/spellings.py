"""Settings that a document may spell in several places: which place is used, and which fields are ignored for it.

The functions named ``..._of`` return what the plan uses; ``shadowed`` finds the fields without effect, for warnings.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from operators.deduplicate import KEY, Deduplication
from operators.model.spec import DecisionOrder, Observe, OnDelete
from operators.model.units import duration_seconds
from operators.rules.lists import Filters
from operators.throttle import Throttle
from sinks.retry import LONGEST_SECONDS, OCCURRENCES, SHORTEST_SECONDS, Retry
from streams.config.findings import path_of, shown
from streams.config.ingester import IngesterSpec
from streams.config.processing import (
    DEFAULT_TTL_SECONDS,
    TTL_SECONDS,
    ErrorHandling,
    Processing,
    RateLimit,
)
from streams.config.tree import Location

T = TypeVar("T")

Spelled = list[tuple[Location, T]]
"""The places at which a spec sets one thing, the one that is used first."""

INFORMER = "informer"
RETRY = "retry"
SECONDS_PER_MINUTE = 60
MOST_PER_MINUTE = 60_000_000_000
"""One per nanosecond, the resolution of the clock: a throttle cannot limit a higher rate."""


def deduplication_of(spec: IngesterSpec) -> Deduplication:
    """The deduplication; of several spellings zen-watcher's contract ranks ``spec.deduplication`` first."""
    return next((each for _, each in _deduplications(spec)), Deduplication())


def filters_of(spec: IngesterSpec) -> Filters:
    """The filters; of several spellings zen-watcher's contract ranks ``spec.filters`` first."""
    return next((each for _, each in _filters(spec)), Filters())


def order_of(spec: IngesterSpec) -> DecisionOrder:
    """The order of filtering and deduplication; zen-watcher's loader reads ``processing.order`` first."""
    orders = _orders(spec)
    return orders[0][1] if orders else DecisionOrder.FILTER_FIRST


def throttle_of(spec: IngesterSpec) -> Throttle | None:
    """The rate limit, by ``throttle`` or else ``rateLimit``; ``None`` for no limit."""
    return next((each for _, each in _throttles(spec)), None)


def observe_of(spec: IngesterSpec) -> Observe:
    """What Observations describe; Kubernetes Events are always counted per subject."""
    if spec.observe is None or _counts_events(spec):
        return Observe.SUBJECT
    return spec.observe


def on_delete_of(spec: IngesterSpec) -> OnDelete:
    """What becomes of the Observation of a removed object; ``resolve`` if unset."""
    return spec.on_delete or OnDelete.RESOLVE


def retry_of(spec: IngesterSpec) -> Retry:
    """How often the write of an occurrence is tried; ``OCCURRENCES`` unless ``errorHandling.strategy`` is ``retry``."""
    failures = spec.error_handling
    if failures is None or failures.strategy != RETRY or failures.retry is None:
        return OCCURRENCES
    return failures.retry


def ttl_seconds_of(spec: IngesterSpec) -> int:
    """How long an Observation is kept, within zen-watcher's bounds; 7 days if unset."""
    if spec.ttl is None or spec.ttl.default is None:
        return DEFAULT_TTL_SECONDS
    return _kept_seconds(spec.ttl.default)


def _kept_seconds(age: str) -> int:
    least, most = TTL_SECONDS
    return int(min(max(duration_seconds(age), least), most))


def shadowed(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    """The fields without effect because of another field of the same spec, each with the reason."""
    yield from _about_deduplication(_deduplications(spec))
    yield from _about_filters(_filters(spec))
    yield from _later(_orders(spec))
    yield from _later(_throttles(spec))
    yield from _about_rates(spec.rate_limit or RateLimit())
    if spec.ingester == INFORMER and spec.buffer is not None and spec.buffer.when_full is not None:
        yield (
            ("spec", "buffer", "whenFull"),
            "ignored: when its buffer is full, an informer reads the object again later",
        )
    yield from _about_occurrences(spec)
    yield from _about_retries(spec)
    yield from _about_ttl(spec)


def _counts_events(spec: IngesterSpec) -> bool:
    gvr = spec.informer.gvr if spec.informer is not None else None
    return gvr is not None and gvr.resource == "events" and gvr.group in {"", "events.k8s.io"}


def _about_occurrences(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    if _counts_events(spec):
        if spec.observe is Observe.OCCURRENCE:
            yield (
                ("spec", "observe"),
                "ignored: Kubernetes Events are always counted per object",
            )
        if spec.on_delete is not None:
            yield (
                ("spec", "onDelete"),
                "ignored: the deletion of a Kubernetes Event does not change its Observation",
            )
    elif spec.observe is Observe.OCCURRENCE and spec.on_delete is not None:
        yield (
            ("spec", "onDelete"),
            "ignored with observe: occurrence: a deletion does not change the Observation of an occurrence",
        )


def _about_retries(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    place: Location = ("spec", "errorHandling")
    failures = spec.error_handling or ErrorHandling()
    is_read = failures.strategy == RETRY
    if is_read and spec.ingester == INFORMER and observe_of(spec) is Observe.SUBJECT:
        reason = "ignored: without observe: occurrence a write is tried again without limit"
        yield (*place, "strategy"), reason
    if failures.retry is None or failures.retry == Retry():
        return  # the defaults that an API server fills in are not the user's choice
    if not is_read:
        yield (*place, "retry"), f"ignored without strategy: {RETRY}"
    if failures.retry.max_attempts < 1:
        yield (*place, "retry", "maxAttempts"), "1 is used: the number includes the first attempt"
    for reason in _about_first_wait(failures.retry):
        yield (*place, "retry", "backoffBase"), reason


def _about_first_wait(retry: Retry) -> Iterator[str]:
    try:
        requested = duration_seconds(retry.backoff_base)
    except ValueError as error:
        yield f"{retry.first_wait_seconds:g} s is used: found {shown(retry.backoff_base)}, allowed: {error}"
        return
    used = retry.first_wait_seconds
    if used != requested:
        least, most = SHORTEST_SECONDS, LONGEST_SECONDS
        yield f"{used:g} s is used: allowed is {least:g} s to {most:g} s"


def _about_ttl(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    age = spec.ttl.default if spec.ttl is not None else None
    if age is not None and _kept_seconds(age) != duration_seconds(age):
        least, most = TTL_SECONDS
        yield (
            ("spec", "ttl", "default"),
            f"{_kept_seconds(age)} s is used: allowed is {least} s to {most} s",
        )


def _about_deduplication(spelled: Spelled[Deduplication]) -> Iterator[tuple[Location, str]]:
    yield from _later(spelled)
    for location, dedup in spelled[:1]:
        if dedup.fields and dedup.strategy != KEY:
            yield (*location, "fields"), f"ignored without strategy: {KEY}"
        if dedup.strategy == KEY and not dedup.fields:
            yield (
                (*location, "strategy"),
                f"strategy: {KEY} without fields compares the whole content, like fingerprint",
            )
        if dedup.window is not None and dedup.window_seconds is not None:
            yield (*location, "windowSeconds"), "ignored: window is set, too, and is preferred"


def _about_filters(spelled: Spelled[Filters]) -> Iterator[tuple[Location, str]]:
    yield from _later(spelled)
    for location, filter_ in spelled[:1]:
        if filter_.include_severity and filter_.min_severity is not None:
            yield (
                (*location, "minSeverity"),
                "ignored: includeSeverity is set, too, and decides alone",
            )


def _about_rates(limit: RateLimit) -> Iterator[tuple[Location, str]]:
    place: Location = ("spec", "rateLimit")
    per_second, per_minute = limit.requests_per_second, limit.observations_per_minute
    if limit.enabled and _paced(limit) is None:
        yield place, "no limit: neither requestsPerSecond nor observationsPerMinute is above 0"
    if (per_second or per_minute) and "enabled" not in limit.model_fields_set:
        yield place, "ignored without enabled: true"
    if per_second and per_minute is not None:
        reason = "ignored: requestsPerSecond is set, too, and is preferred"
        yield (*place, "observationsPerMinute"), reason


def _later(spelled: Spelled[T]) -> Iterator[tuple[Location, str]]:
    for location, _ in spelled[1:]:
        yield location, f"ignored: {path_of(spelled[0][0])} is set, too, and is preferred"


def _given(*spellings: tuple[Location, T | None]) -> Spelled[T]:
    return [(location, given) for location, given in spellings if given is not None]


def _deduplications(spec: IngesterSpec) -> Spelled[Deduplication]:
    return _given(
        (("spec", "deduplication"), spec.deduplication),
        (("spec", "dedup"), spec.dedup),
        (("spec", "processing", "dedup"), (spec.processing or Processing()).dedup),
    )


def _filters(spec: IngesterSpec) -> Spelled[Filters]:
    return _given(
        (("spec", "filters"), spec.filters),
        (("spec", "filter"), spec.filter),
        (("spec", "processing", "filter"), (spec.processing or Processing()).filter),
    )


def _orders(spec: IngesterSpec) -> Spelled[DecisionOrder]:
    processing, optimization = spec.processing or Processing(), spec.optimization
    inner = processing.optimization
    is_set = optimization is not None and "order" in optimization.model_fields_set
    return _given(
        (("spec", "processing", "order"), processing.order),
        (
            ("spec", "optimization", "order"),
            optimization.order if optimization and is_set else None,
        ),
        (("spec", "processing", "optimization", "order"), inner.order if inner else None),
    )


def _throttles(spec: IngesterSpec) -> Spelled[Throttle]:
    return _given(
        (("spec", "throttle"), spec.throttle),
        (("spec", "rateLimit"), _paced(spec.rate_limit or RateLimit())),
    )


def _paced(limit: RateLimit) -> Throttle | None:
    """A rate limit as a throttle; a rate of 0 is no limit (as client-go reads a QPS of 0)."""
    per_minute = min(limit.observations_per_minute or 0, MOST_PER_MINUTE)
    per_second = limit.requests_per_second or per_minute / SECONDS_PER_MINUTE
    if not limit.enabled or per_second <= 0:
        return None
    return Throttle.model_validate({"perSecond": per_second, "burst": limit.burst})
