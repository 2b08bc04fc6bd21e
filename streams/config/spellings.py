"""What may be said in several places: which place counts, and what that takes the effect from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from operators.buffer import WhenFull
from sinks.retry import LONGEST_SECONDS, SUBJECTS
from streams.config.failure import ErrorHandling, Retry
from streams.config.findings import path_of
from streams.config.ingester import IngesterSpec
from streams.config.limits import TTL_SECONDS, RateLimit, Throttle
from streams.config.rules import Deduplication, Filters, Processing
from streams.config.tree import Location
from streams.config.units import duration_seconds
from streams.config.values import Order

T = TypeVar("T")

Spelled = list[tuple[Location, T]]
"""Everything a spec says of one thing, the place that counts first."""

INFORMER = "informer"
KEY = "key"
OCCURRENCE = "occurrence"
RETRY = "retry"
SECONDS_PER_MINUTE = 60
MOST_PER_MINUTE = 60_000_000_000
"""A nanosecond each, which a throttle cannot tell from no limit."""
FILTER_FIRST: Order = "filter_first"
DEDUP_FIRST: Order = "dedup_first"


def deduplication_of(spec: IngesterSpec) -> Deduplication:
    """The deduplication by whichever spelling it was given; the contract's own goes first."""
    return next((each for _, each in _deduplications(spec)), Deduplication())


def filters_of(spec: IngesterSpec) -> Filters:
    """The filters by whichever spelling they were given; the contract's own goes first."""
    return next((each for _, each in _filters(spec)), Filters())


def order_of(spec: IngesterSpec) -> Order:
    """Which of filter and deduplication comes first; what zen-watcher's loader reads goes first."""
    orders = _orders(spec)
    return orders[0][1] if orders else FILTER_FIRST


def throttle_of(spec: IngesterSpec) -> Throttle | None:
    """How fast events may pass, by our own field or in zen-watcher's words; ``None`` for no limit."""
    return next((each for _, each in _throttles(spec)), None)


def when_full_of(spec: IngesterSpec) -> WhenFull:
    """What becomes of an event without room: an informer reads it again; others wait, unless told otherwise."""
    if spec.ingester == INFORMER:
        return WhenFull.SPILL
    said = spec.buffer.when_full if spec.buffer is not None else None
    return WhenFull(said or WhenFull.BLOCK)


def observes_occurrences(spec: IngesterSpec) -> bool:
    """Whether Observations tell what happened; Kubernetes Events are counted whatever is said."""
    return spec.observe == OCCURRENCE and not _counts_events(spec)


def retry_of(spec: IngesterSpec) -> Retry | None:
    """How often an occurrence is tried; ``None`` where nothing is said that counts."""
    failures = spec.error_handling
    return failures.retry if failures is not None and failures.strategy == RETRY else None


def first_wait_seconds(retry: Retry) -> float:
    """How long the first wait between two attempts is, within its bounds. Raises ``ValueError`` for no duration."""
    seconds = duration_seconds(retry.backoff_base)
    return min(max(seconds, SUBJECTS.first_seconds), LONGEST_SECONDS)


def kept_seconds(age: str) -> int:
    """How long an Observation is kept whose document says so, within the bounds."""
    least, most = TTL_SECONDS
    return int(min(max(duration_seconds(age), least), most))


def shadowed(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    """What something else in the same spec takes the effect from: where it stands, and why."""
    yield from _about_deduplication(_deduplications(spec))
    yield from _about_filters(_filters(spec))
    yield from _later(_orders(spec))
    yield from _later(_throttles(spec))
    yield from _about_rates(spec.rate_limit or RateLimit())
    if spec.ingester == INFORMER and spec.buffer is not None and spec.buffer.when_full is not None:
        yield ("spec", "buffer", "whenFull"), "ignored: an informer reads again what did not fit"
    yield from _about_occurrences(spec)
    yield from _about_retries(spec)
    yield from _about_ttl(spec)


def _counts_events(spec: IngesterSpec) -> bool:
    gvr = spec.informer.gvr if spec.informer is not None else None
    return gvr is not None and gvr.resource == "events" and gvr.group in {"", "events.k8s.io"}


def _about_occurrences(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    if _counts_events(spec):
        if spec.observe == OCCURRENCE:
            yield (
                ("spec", "observe"),
                "ignored: Kubernetes Events are counted, whatever is observed",
            )
        if spec.on_delete is not None:
            yield ("spec", "onDelete"), "ignored: the end of a Kubernetes Event says nothing"
    elif spec.observe == OCCURRENCE and spec.on_delete is not None:
        yield ("spec", "onDelete"), "ignored: what happened stays when its object is gone"


def _about_retries(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    place: Location = ("spec", "errorHandling")
    failures = spec.error_handling or ErrorHandling()
    is_read = failures.strategy == RETRY
    if is_read and spec.ingester == INFORMER and not observes_occurrences(spec):
        said = "ignored: the state of a subject is tried to be written without limit"
        yield (*place, "strategy"), said
    if failures.retry is None or failures.retry == Retry():
        return  # what a server fills in is nobody's wish
    if not is_read:
        yield (*place, "retry"), f"ignored: only strategy {RETRY} reads it"
    if failures.retry.max_attempts < 1:
        yield (*place, "retry", "maxAttempts"), "ignored: there is at least one attempt"
    for said in _about_first_wait(failures.retry):
        yield (*place, "retry", "backoffBase"), said


def _about_first_wait(retry: Retry) -> Iterator[str]:
    try:
        used = first_wait_seconds(retry)
    except ValueError as error:
        yield f"ignored: allowed is {error}"
        return
    if used != duration_seconds(retry.backoff_base):
        least, most = SUBJECTS.first_seconds, LONGEST_SECONDS
        yield f"{used:g} s is used: the first wait is {least:g} s to {most:g} s"


def _about_ttl(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    said = spec.ttl.default if spec.ttl is not None else None
    if said is not None and kept_seconds(said) != duration_seconds(said):
        least, most = TTL_SECONDS
        yield (
            ("spec", "ttl", "default"),
            f"{kept_seconds(said)} s is used: an Observation is kept {least} s to {most} s",
        )


def _about_deduplication(spelled: Spelled[Deduplication]) -> Iterator[tuple[Location, str]]:
    yield from _later(spelled)
    for location, dedup in spelled[:1]:
        if dedup.fields and dedup.strategy != KEY:
            yield (*location, "fields"), f"ignored: only strategy {KEY} compares by them alone"
        if dedup.strategy == KEY and not dedup.fields:
            yield (*location, "strategy"), f"{KEY} without fields compares everything"
        if dedup.window is not None and dedup.window_seconds is not None:
            yield (*location, "windowSeconds"), "ignored: window says it already"


def _about_filters(spelled: Spelled[Filters]) -> Iterator[tuple[Location, str]]:
    yield from _later(spelled)
    for location, filter_ in spelled[:1]:
        if filter_.include_severity and filter_.min_severity is not None:
            yield (*location, "minSeverity"), "ignored: includeSeverity decides alone"


def _about_rates(limit: RateLimit) -> Iterator[tuple[Location, str]]:
    place: Location = ("spec", "rateLimit")
    per_second, per_minute = limit.requests_per_second, limit.observations_per_minute
    if limit.enabled and _paced(limit) is None:
        yield place, "enabled, but without a rate: nothing is limited"
    if (per_second or per_minute) and "enabled" not in limit.model_fields_set:
        yield place, "ignored: only enabled: true limits anything"
    if per_second and per_minute is not None:
        said = "ignored: requestsPerSecond says it already"
        yield (*place, "observationsPerMinute"), said


def _later(spelled: Spelled[T]) -> Iterator[tuple[Location, str]]:
    for location, _ in spelled[1:]:
        yield location, f"ignored: {path_of(spelled[0][0])} says it already"


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


def _orders(spec: IngesterSpec) -> Spelled[Order]:
    processing, optimization = spec.processing or Processing(), spec.optimization
    inner = processing.optimization
    said = optimization is not None and "order" in optimization.model_fields_set
    return _given(
        (("spec", "processing", "order"), processing.order),
        (("spec", "optimization", "order"), optimization.order if optimization and said else None),
        (("spec", "processing", "optimization", "order"), inner.order if inner else None),
    )


def _throttles(spec: IngesterSpec) -> Spelled[Throttle]:
    return _given(
        (("spec", "throttle"), spec.throttle),
        (("spec", "rateLimit"), _paced(spec.rate_limit or RateLimit())),
    )


def _paced(limit: RateLimit) -> Throttle | None:
    """A rate limit as a throttle; a rate of nothing is none (client-go's reading of a QPS of 0)."""
    per_minute = min(limit.observations_per_minute or 0, MOST_PER_MINUTE)
    per_second = limit.requests_per_second or per_minute / SECONDS_PER_MINUTE
    if not limit.enabled or per_second <= 0:
        return None
    return Throttle.model_validate({"perSecond": per_second, "burst": limit.burst})
