from __future__ import annotations

from typing import Any

import pytest

from streams.config.findings import path_of
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
    assert not plan(document(**spec)).pipeline.deduplication.enabled


def test_a_second_deduplication_is_reported_as_ignored() -> None:
    spec = document(
        deduplication={"fields": ["a"]},
        dedup={"enabled": False},
        processing={"dedup": {"strategy": "key"}},
    ).spec

    assert list(shadowed(spec)) == [
        (("spec", "dedup"), "ignored: spec.deduplication is set, too, and is preferred"),
        (
            ("spec", "processing", "dedup"),
            "ignored: spec.deduplication is set, too, and is preferred",
        ),
        (("spec", "deduplication", "fields"), "ignored without strategy: key"),
    ]
    assert list(shadowed(document(dedup={"strategy": "key"}).spec)) == [
        (
            ("spec", "dedup", "strategy"),
            "strategy: key without fields compares the whole content, like fingerprint",
        )
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
def test_a_field_without_meaning_for_an_occurrence_is_reported(
    spec: dict[str, Any], path: str
) -> None:
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
def test_a_retry_without_effect_is_reported(said: dict[str, Any], observe: str, path: str) -> None:
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
    assert plan(document(**spec)).pipeline.filters.min_severity == "HIGH"


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
    assert plan(document(**spec)).pipeline.order == "dedup_first"


def test_ignored_filters_and_orders_are_reported() -> None:
    spec = document(
        filters=HIGH | {"includeSeverity": ["LOW"]},
        filter=LOW,
        processing={"order": "filter_first", "filter": LOW},
        optimization={"order": "filter_first"},
    ).spec

    assert list(shadowed(spec)) == [
        (("spec", "filter"), "ignored: spec.filters is set, too, and is preferred"),
        (("spec", "processing", "filter"), "ignored: spec.filters is set, too, and is preferred"),
        (
            ("spec", "filters", "minSeverity"),
            "ignored: includeSeverity is set, too, and decides alone",
        ),
        (
            ("spec", "optimization", "order"),
            "ignored: spec.processing.order is set, too, and is preferred",
        ),
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
    throttle = plan(document(**spec)).pipeline.throttle
    assert throttle is not None
    assert (throttle.per_second, throttle.burst_size) == (per_second, burst)


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
    assert plan(document(rateLimit=limit)).pipeline.throttle is None


def test_ignored_rates_are_reported() -> None:
    def reported(**spec: Any) -> list[tuple[str, str]]:
        return [(path_of(place), reason) for place, reason in shadowed(document(**spec).spec)]

    limit = {"enabled": True, "requestsPerSecond": 1}
    assert reported(throttle={"perSecond": 5}, rateLimit=limit) == [
        ("spec.rateLimit", "ignored: spec.throttle is set, too, and is preferred")
    ]
    assert reported(rateLimit=limit | {"observationsPerMinute": 5}) == [
        (
            "spec.rateLimit.observationsPerMinute",
            "ignored: requestsPerSecond is set, too, and is preferred",
        )
    ]
    assert reported(rateLimit={"enabled": True, "requestsPerSecond": 0}) == [
        (
            "spec.rateLimit",
            "no limit: neither requestsPerSecond nor observationsPerMinute is above 0",
        )
    ]
    assert reported(rateLimit={"observationsPerMinute": 5}) == [
        ("spec.rateLimit", "ignored without enabled: true")
    ]
    assert reported(rateLimit={"enabled": False, "requestsPerSecond": 5}) == []
    assert reported(rateLimit=limit) == []


def test_a_field_that_an_informer_ignores_is_reported() -> None:
    spec = document(buffer={"whenFull": "block"}).spec

    assert list(shadowed(spec)) == [
        (
            ("spec", "buffer", "whenFull"),
            "ignored: when its buffer is full, an informer reads the object again later",
        )
    ]
    assert list(shadowed(document(ingester="webhook", buffer={"whenFull": "block"}).spec)) == []
