from __future__ import annotations

from typing import Any

import pytest

from streams.config.findings import path_of
from streams.config.ingester import Ingester, IngesterSpec
from streams.config.schema import known_fields
from streams.config.unbuilt import UNBUILT
from tests.kit.acceptance import CRD, GVR, ingester

# With UNBUILT, every field there is: whoever adds one decides in which of the two it stands.
FILTERS = {
    "enabled",
    "excludeCategories",
    "excludeEventTypes",
    "excludeKinds",
    "excludeNamespaces",
    "excludeRules",
    "ignoreKinds",
    "includeCategories",
    "includeEventTypes",
    "includeKinds",
    "includeNamespaces",
    "includeSeverity",
    "minPriority",
    "minSeverity",
}
BUILT = {
    "buffer.capacity",
    "buffer.capacityBytes",
    "buffer.inFlight",
    "buffer.whenFull",
    "deduplication.enabled",
    "deduplication.fields",
    "deduplication.strategy",
    "dedup.enabled",
    "dedup.fields",
    "dedup.strategy",
    "destinations[].gvr.group",
    "destinations[].gvr.resource",
    "destinations[].gvr.version",
    "destinations[].type",
    "destinations[].value",
    *(f"{spelling}.{name}" for spelling in ("filters", "filter") for name in FILTERS),
    *(f"processing.filter.{name}" for name in FILTERS),
    "errorHandling.retry.backoffBase",
    "errorHandling.retry.maxAttempts",
    "errorHandling.strategy",
    "informer.fieldSelector",
    "informer.gvr.group",
    "informer.gvr.resource",
    "informer.gvr.version",
    "informer.labelSelector",
    "informer.namespace",
    "informer.resyncPeriod",
    "ingester",
    "dedup.window",
    "dedup.windowSeconds",
    "deduplication.window",
    "deduplication.windowSeconds",
    "observe",
    "onDelete",
    "optimization.order",
    "processing.dedup.enabled",
    "processing.dedup.fields",
    "processing.dedup.strategy",
    "processing.dedup.window",
    "processing.dedup.windowSeconds",
    "processing.optimization.order",
    "processing.order",
    "rateLimit.burst",
    "rateLimit.enabled",
    "rateLimit.observationsPerMinute",
    "rateLimit.requestsPerSecond",
    "source",
    "throttle.burst",
    "throttle.perSecond",
    "throttle.whenOver",
    "tracing.enabled",
    "tracing.maxSpansPerSecond",
    "tracing.ratio",
    "ttl.default",
}


def reported(**spec: Any) -> list[tuple[str, str]]:
    document = Ingester.model_validate(ingester(**spec))
    return [(path_of(found.location), found.message) for found in document.unbuilt]


def leaves(location: tuple[str | int, ...], path: str, *, depth: int = 0) -> set[str]:
    names = known_fields(IngesterSpec, location)
    entries = known_fields(IngesterSpec, (*location, 0)) if location else []
    if depth > 3 or not (names or entries):
        return {path}
    if not names:
        return leaves((*location, 0), f"{path}[]", depth=depth)
    return {
        leaf
        for name in names
        for leaf in leaves((*location, name), f"{path}.{name}".lstrip("."), depth=depth + 1)
    }


def test_every_field_is_either_built_or_in_the_unbuilt_table() -> None:
    # Rows with a condition on the value speak of fields that are built otherwise.
    unbuilt = {field.path for field in UNBUILT if field.path not in BUILT} - {
        "destinations",
        "destinations[]",
    }
    undecided = {
        leaf
        for leaf in leaves((), "")
        if leaf not in BUILT
        and not any(leaf == path or leaf.startswith((f"{path}.", f"{path}[")) for path in unbuilt)
    }

    assert undecided == set()


def test_a_minimal_document_has_nothing_unbuilt() -> None:
    assert reported() == []


def test_a_default_filled_in_by_a_server_is_not_reported() -> None:
    live = reported(
        deduplication={
            "enabled": True,
            "learningRate": 0.1,
            "minChange": 0.05,
            "strategy": "fingerprint",
        },
        filters={"enabled": True},
        optimization={"order": "filter_first"},
        rateLimit={"enabled": False},
        webhook={"bufferSize": 100, "auth": {"type": "none"}, "tls": {"enabled": True}},
        logs={"pollInterval": "1s", "sinceSeconds": 300},
        errorHandling={
            "strategy": "fail-fast",
            "retry": {"maxAttempts": 3, "backoff": "exponential", "backoffBase": "1s"},
            "dlq": {"enabled": False, "replay": {"interval": "5m"}},
            "logging": {"level": "error", "includeBody": False},
        },
    )

    assert live == []


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("spec.filters.expression", {"filters": {"minSeverity": "HIGH", "expression": "true"}}),
        ("spec.processing.filter.expression", {"processing": {"filter": {"expression": "true"}}}),
        ("spec.deduplication.minChange", {"deduplication": {"minChange": 0}}),
        (
            "spec.optimization.thresholds",
            {"optimization": {"thresholds": {"observationsPerMinute": {"warning": 5}}}},
        ),
        ("spec.ttl.max", {"ttl": {"default": "7d", "max": "30d"}}),
        (
            "spec.destinations[0].mapping",
            {"destinations": [CRD | {"mapping": {"domain": "security"}}]},
        ),
        ("spec.destinations[0].name", {"destinations": [CRD | {"name": "main"}]}),
        (
            "spec.destinations[1]",
            {"destinations": [CRD, {"type": "crd", "value": "securityevents"}]},
        ),
    ],
)
def test_a_field_without_effect_is_named(path: str, spec: dict[str, Any]) -> None:
    assert reported(**spec) == [(path, "has no effect in this version")]
    assert Ingester.model_validate(ingester(**spec)).runnable


def test_the_value_used_instead_is_reported() -> None:
    assert reported(buffer={"inFlight": "adaptive"}, deduplication={"strategy": "hybrid"}) == [
        ("spec.buffer.inFlight", "has no effect in this version: 64 is used"),
        (
            "spec.deduplication.strategy",
            "has no effect in this version: fingerprint is used",
        ),
    ]


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("spec.ingester", {"ingester": "webhook", "webhook": {"path": "/a"}}),
        ("spec.ingester", {"ingester": "logs", "logs": {"podSelector": "a=b"}}),
        (
            "spec.sources",
            {
                "source": None,
                "ingester": None,
                "sources": [{"name": "a", "type": "informer", "informer": {"gvr": GVR}}],
            },
        ),
        ("spec.destinations", {"destinations": [{"type": "crd", "value": "securityevents"}]}),
        (
            "spec.destinations",
            {
                "destinations": [
                    {"type": "crd", "gvr": {"version": "v1", "resource": "observations"}}
                ]
            },
        ),
    ],
)
def test_of_an_ingester_that_cannot_run_only_the_reason_is_reported(
    path: str, spec: dict[str, Any]
) -> None:
    assert reported(**spec, filters={"expression": "true"}) == [
        (path, "not supported by this version: this Ingester is not run")
    ]
    assert not Ingester.model_validate(ingester(**spec)).runnable


@pytest.mark.parametrize("version", ["v1alpha1", "v1"])
def test_our_observations_by_their_gvr_are_ours(version: str) -> None:
    gvr = {"group": "zen.kube-zen.io", "version": version, "resource": "observations"}

    assert reported(destinations=[{"type": "crd", "gvr": gvr}]) == []
