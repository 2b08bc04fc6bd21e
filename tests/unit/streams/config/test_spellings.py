from __future__ import annotations

from typing import Any

import pytest

from operators.buffer import WhenFull
from operators.throttle import Throttle
from streams.config.findings import path_of
from streams.config.ingester import Ingester
from streams.config.plan import plan
from streams.config.spellings import shadowed, when_full_of
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


EVENTS = {"gvr": {"group": "", "version": "v1", "resource": "events"}}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"deduplication": {"window": "1m", "windowSeconds": 5}}, "deduplication.windowSeconds"),
        ({"observe": "occurrence", "onDelete": "delete"}, "onDelete"),
        ({"observe": "occurrence", "informer": EVENTS}, "observe"),
        ({"onDelete": "delete", "informer": EVENTS}, "onDelete"),
    ],
)
def test_what_an_occurrence_has_no_use_for_is_told(spec: dict[str, Any], path: str) -> None:
    assert [path_of(location) for location, _ in shadowed(document(**spec).spec)] == [
        f"spec.{path}"
    ]


TRIED = {"strategy": "retry", "retry": {"maxAttempts": 5}}


@pytest.mark.parametrize(
    ("said", "observe", "path"),
    [
        ({"retry": {"maxAttempts": 5}}, "occurrence", "retry"),
        (TRIED, "subject", "strategy"),
        ({"strategy": "retry"}, "subject", "strategy"),
        ({"strategy": "retry", "retry": {"maxAttempts": 0}}, "occurrence", "retry.maxAttempts"),
        (
            {"strategy": "retry", "retry": {"backoffBase": "soon"}},
            "occurrence",
            "retry.backoffBase",
        ),
    ],
)
def test_a_retry_without_effect_is_told(said: dict[str, Any], observe: str, path: str) -> None:
    spec = document(observe=observe, errorHandling=said).spec
    assert [path_of(place) for place, _ in shadowed(spec)] == [f"spec.errorHandling.{path}"]


@pytest.mark.parametrize(
    "spec",
    [
        {"observe": "subject", "informer": EVENTS},
        {"observe": "occurrence"},
        {"observe": "occurrence", "errorHandling": TRIED},
        {"ingester": "webhook", "errorHandling": TRIED},
        {"errorHandling": {"strategy": "fail-fast", "retry": {"maxAttempts": 3}}},
    ],
)
def test_what_has_its_effect_is_not(spec: dict[str, Any]) -> None:
    assert list(shadowed(document(**spec).spec)) == []


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


@pytest.mark.parametrize(
    ("spec", "per_second", "burst"),
    [
        ({"throttle": {"perSecond": 0.1}}, 0.1, 1),
        ({"throttle": {"perSecond": 5, "burst": 2}}, 5, 2),
        ({"rateLimit": {"enabled": True, "requestsPerSecond": 2.5}}, 2.5, 3),
        ({"rateLimit": {"enabled": True, "requestsPerSecond": 5, "burst": 9}}, 5, 9),
        ({"rateLimit": {"enabled": True, "observationsPerMinute": 90}}, 1.5, 2),
        (
            {
                "rateLimit": {
                    "enabled": True,
                    "requestsPerSecond": 5,
                    "observationsPerMinute": 90,
                }
            },
            5,
            5,
        ),
        (
            {
                "throttle": {"perSecond": 5},
                "rateLimit": {"enabled": True, "requestsPerSecond": 1},
            },
            5,
            5,
        ),
        (
            {"rateLimit": {"enabled": True, "observationsPerMinute": 10**400}},
            1_000_000_000,
            1_000_000_000,
        ),
    ],
)
def test_a_rate_may_be_spelled_in_three_ways(
    spec: dict[str, Any], per_second: float, burst: int
) -> None:
    assert plan(document(**spec)).throttle == Throttle(
        per_second=per_second, burst=burst, most_waiting=64
    )


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"enabled": False, "requestsPerSecond": 5},
        {"requestsPerSecond": 5},
        {"enabled": True},
        {"enabled": True, "requestsPerSecond": 0},
        {"enabled": True, "observationsPerMinute": -1},
    ],
)
def test_no_rate_is_no_limit(limit: dict[str, Any]) -> None:
    assert plan(document(rateLimit=limit)).throttle is None


def test_rates_that_lose_their_effect_are_told() -> None:
    def told(**spec: Any) -> list[tuple[str, str]]:
        return [(path_of(place), said) for place, said in shadowed(document(**spec).spec)]

    limit = {"enabled": True, "requestsPerSecond": 1}
    assert told(throttle={"perSecond": 5}, rateLimit=limit) == [
        ("spec.rateLimit", "ignored: spec.throttle says it already")
    ]
    assert told(rateLimit=limit | {"observationsPerMinute": 5}) == [
        ("spec.rateLimit.observationsPerMinute", "ignored: requestsPerSecond says it already")
    ]
    assert told(rateLimit={"enabled": True, "requestsPerSecond": 0}) == [
        ("spec.rateLimit", "enabled, but without a rate: nothing is limited")
    ]
    assert told(rateLimit={"observationsPerMinute": 5}) == [
        ("spec.rateLimit", "ignored: only enabled: true limits anything")
    ]
    assert told(rateLimit={"enabled": False, "requestsPerSecond": 5}) == []
    assert told(rateLimit=limit) == []


@pytest.mark.parametrize(
    ("spec", "when_full"),
    [
        ({"buffer": {"whenFull": "dropOldest"}}, WhenFull.SPILL),
        ({"ingester": "webhook"}, WhenFull.BLOCK),
        ({"ingester": "logs", "buffer": {"capacity": 5}}, WhenFull.BLOCK),
        ({"ingester": "logs", "buffer": {"whenFull": "dropNewest"}}, WhenFull.DROP_NEWEST),
    ],
)
def test_what_becomes_of_an_event_without_room(spec: dict[str, Any], when_full: WhenFull) -> None:
    assert when_full_of(document(**spec).spec) is when_full


def test_what_an_informer_does_not_heed_is_told() -> None:
    spec = document(buffer={"whenFull": "block"}).spec

    assert list(shadowed(spec)) == [
        (("spec", "buffer", "whenFull"), "ignored: an informer reads again what did not fit")
    ]
    assert list(shadowed(document(ingester="webhook", buffer={"whenFull": "block"}).spec)) == []
