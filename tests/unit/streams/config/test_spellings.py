from __future__ import annotations

from typing import Any

import pytest

from streams.config.ingester import Ingester
from streams.config.plan import plan
from streams.config.spellings import shadowed
from tests.kit.acceptance import ingester


def document(**spec: Any) -> Ingester:
    return Ingester.model_validate(ingester(**spec))


@pytest.mark.parametrize(
    "spec",
    [
        {"deduplication": {"enabled": False}},
        {"dedup": {"enabled": False}},
        {"processing": {"dedup": {"enabled": False}}},
        {"deduplication": {"enabled": False}, "dedup": {"enabled": True}},
    ],
)
def test_deduplication_may_be_spelled_in_three_ways(spec: dict[str, Any]) -> None:
    assert plan(document(**spec)).dedup_enabled is False


def test_what_loses_its_effect_is_told() -> None:
    spec = document(
        deduplication={"fields": ["a"]},
        dedup={"enabled": False},
        processing={"dedup": {"strategy": "key"}},
    ).spec

    assert list(shadowed(spec)) == [
        (("spec", "dedup"), "ignored: spec.deduplication says it already"),
        (("spec", "processing", "dedup"), "ignored: spec.deduplication says it already"),
        (("spec", "deduplication", "fields"), "ignored: only strategy key compares by them alone"),
    ]
    assert list(shadowed(document(dedup={"strategy": "key"}).spec)) == [
        (("spec", "dedup", "strategy"), "key without fields compares everything")
    ]
    assert list(shadowed(document(dedup={"strategy": "key", "fields": ["a"]}).spec)) == []


HIGH = {"minSeverity": "HIGH"}
LOW = {"minSeverity": "LOW"}


@pytest.mark.parametrize(
    "spec",
    [
        {"filters": HIGH},
        {"filter": HIGH},
        {"processing": {"filter": HIGH}},
        {"filters": HIGH, "filter": LOW, "processing": {"filter": LOW}},
        {"filter": HIGH, "processing": {"filter": LOW}},
    ],
)
def test_filters_may_be_spelled_in_three_ways(spec: dict[str, Any]) -> None:
    assert plan(document(**spec)).filter.min_severity == "HIGH"


@pytest.mark.parametrize(
    "spec",
    [
        {"processing": {"order": "dedup_first"}},
        {"optimization": {"order": "dedup_first"}},
        {"processing": {"optimization": {"order": "dedup_first"}}},
        {"processing": {"order": "dedup_first"}, "optimization": {"order": "filter_first"}},
        {
            "optimization": {"processing": {"a": {"warning": 1}}},
            "processing": {"optimization": {"order": "dedup_first"}},
        },
    ],
)
def test_the_order_may_be_spelled_in_three_ways(spec: dict[str, Any]) -> None:
    assert plan(document(**spec)).order == "dedup_first"


def test_filters_and_orders_that_lose_their_effect_are_told() -> None:
    spec = document(
        filters=HIGH | {"includeSeverity": ["LOW"]},
        filter=LOW,
        processing={"order": "filter_first", "filter": LOW},
        optimization={"order": "filter_first"},
    ).spec

    assert list(shadowed(spec)) == [
        (("spec", "filter"), "ignored: spec.filters says it already"),
        (("spec", "processing", "filter"), "ignored: spec.filters says it already"),
        (("spec", "filters", "minSeverity"), "ignored: includeSeverity decides alone"),
        (("spec", "optimization", "order"), "ignored: spec.processing.order says it already"),
    ]
