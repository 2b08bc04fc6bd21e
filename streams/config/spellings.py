"""What may be said in several places: which place counts, and what that takes the effect from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from streams.config.findings import path_of
from streams.config.ingester import IngesterSpec
from streams.config.rules import Deduplication, Filters, Processing
from streams.config.tree import Location
from streams.config.values import Order

T = TypeVar("T")

Spelled = list[tuple[Location, T]]
"""Everything a spec says of one thing, the place that counts first."""

KEY = "key"
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


def shadowed(spec: IngesterSpec) -> Iterator[tuple[Location, str]]:
    """What something else in the same spec takes the effect from: where it stands, and why."""
    deduplications, filters = _deduplications(spec), _filters(spec)
    yield from _later(deduplications)
    for location, dedup in deduplications[:1]:
        if dedup.fields and dedup.strategy != KEY:
            yield (*location, "fields"), f"ignored: only strategy {KEY} compares by them alone"
        if dedup.strategy == KEY and not dedup.fields:
            yield (*location, "strategy"), f"{KEY} without fields compares everything"
    yield from _later(filters)
    for location, filter_ in filters[:1]:
        if filter_.include_severity and filter_.min_severity is not None:
            yield (*location, "minSeverity"), "ignored: includeSeverity decides alone"
    yield from _later(_orders(spec))


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
