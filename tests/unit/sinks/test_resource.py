from __future__ import annotations

from typing import Any

import pytest

from sinks.resource import InvalidObservationError, validate
from tests.kit.acceptance import CREATED, LEGACY, OBSERVATIONS, SIX, Case, manifest


def refusal(body: dict[str, Any]) -> InvalidObservationError:
    with pytest.raises(InvalidObservationError) as caught:
        validate(body)
    return caught.value


@pytest.mark.parametrize("case", OBSERVATIONS, ids=lambda case: case.name)
def test_the_model_accepts_what_the_contract_accepts(case: Case) -> None:
    if case.ours == CREATED:
        validate(case.manifest)
    else:
        refusal(case.manifest)


def test_what_is_refused_says_where_and_why() -> None:
    error = refusal(manifest("Observation", LEGACY | {"severity": "HIGH"}))

    assert error.path == "spec.severity"
    assert error.found == "'HIGH'"
    assert error.allowed == "'critical', 'high', 'medium', 'low' or 'info'"
    assert str(error) == f"spec.severity: found 'HIGH', allowed: {error.allowed}"


def test_a_large_value_is_not_repeated() -> None:
    assert refusal(manifest("Observation", {"details": {"a": "secret"}})).found == "an object"
    assert len(refusal(manifest("Observation", LEGACY | {"title": ["x" * 5000]})).found) <= 80


@pytest.mark.parametrize(
    ("path", "metadata"),
    [
        ("metadata.name", {"namespace": "a"}),
        ("metadata.name", {"name": "Upper", "namespace": "a"}),
        ("metadata.name", {"name": "a" * 254, "namespace": "a"}),
        ("metadata.namespace", {"name": "a"}),
        ("metadata.labels.a", {"name": "a", "namespace": "a", "labels": {"a": 1}}),
    ],
)
def test_metadata_that_cannot_be_is_refused(path: str, metadata: dict[str, Any]) -> None:
    assert refusal(manifest("Observation", LEGACY) | {"metadata": metadata}).path == path


@pytest.mark.parametrize(
    "moment",
    [
        "2026-11-24T10:00:00Z",
        "2026-11-24T10:00:00.123456789Z",
        "2026-11-24T10:00:00+05:30",
        "2026-11-24t10:00:00z",
    ],
)
def test_a_moment_is_rfc_3339(moment: str) -> None:
    validate(manifest("Observation", LEGACY | {"firstSeen": moment, "resolvedAt": moment}))


@pytest.mark.parametrize(
    "moment",
    ["", "2026-11-24", "2026-11-24T10:00:00", "2026-13-24T10:00:00Z", "20261124T100000Z", 5],
)
def test_what_is_no_moment_is_refused(moment: object) -> None:
    error = refusal(manifest("Observation", LEGACY | {"lastSeen": moment}))

    assert error.path == "spec.lastSeen"


def test_details_are_not_looked_into() -> None:
    deep: Any = {}
    for _ in range(50_000):
        deep = {"a": deep}

    validate(manifest("Observation", LEGACY | {"details": {"a": deep}, "raw": {"a": deep}}))
    while deep:
        deep = deep["a"]


def test_an_observation_that_was_read_validates() -> None:
    read = manifest("Observation", SIX | LEGACY, version="v1")
    read["metadata"] |= {"uid": "1", "resourceVersion": "2", "managedFields": []}

    validate(read | {"status": {"conditions": []}})
