from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from streams.config.crd import files, manifests, render
from streams.config.ingester import Ingester
from streams.config.schema import known_fields, structural
from tests.kit.acceptance import ingester

Schema = dict[str, Any]
# Of apiextensions' JSONSchemaProps, what a structural schema of ours may hold.
KEYWORDS = {
    *("default", "description", "enum", "exclusiveMinimum", "format", "maximum", "minItems"),
    *("minimum", "nullable", "pattern", "required", "type", "items", "properties"),
    *("additionalProperties", "x-kubernetes-int-or-string", "x-kubernetes-list-map-keys"),
    *("x-kubernetes-list-type", "x-kubernetes-map-type", "x-kubernetes-preserve-unknown-fields"),
    "x-kubernetes-validations",
}
UNTYPED = {"x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"}
CLIENT_SIDE_APPLY_BYTES = 262_144
"""What ``kubectl apply`` can remember in an annotation (apimachinery, TotalAnnotationSizeLimitB)."""


def schemas() -> dict[str, Schema]:
    return {
        one["spec"]["names"]["kind"]: one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for one in manifests()
    }


def inside(schema: Schema, path: str) -> Schema:
    for step in path.split("."):
        schema = schema["items"] if step == "[]" else schema["properties"][step]
    return schema


def below(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from below(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from below(schema[key], f"{path}[]")


@pytest.mark.parametrize("kind", ["Ingester", "Observation"])
def test_a_schema_is_structural(kind: str) -> None:
    for path, schema in below(schemas()[kind]):
        assert set(schema) <= KEYWORDS, path
        assert "type" in schema or UNTYPED & set(schema), path
        assert not {"properties", "additionalProperties"} <= set(schema), path


@pytest.mark.parametrize("kind", ["Ingester", "Observation"])
def test_every_field_of_a_spec_is_documented(kind: str) -> None:
    spec = inside(schemas()[kind], "spec")

    undocumented = [
        f"{path}.{name}"
        for path, schema in below(spec)
        for name, inner in schema.get("properties", {}).items()
        if "description" not in inner
    ]
    assert undocumented == []


def test_every_field_of_the_model_is_in_the_schema() -> None:
    spec = inside(schemas()["Ingester"], "spec")

    assert list(spec["properties"]) == known_fields(Ingester, ("spec",))
    assert "x-kubernetes-preserve-unknown-fields" not in spec


@pytest.mark.parametrize(
    ("parent", "defaults"),
    [
        (
            "deduplication",
            {"enabled": True, "learningRate": 0.1, "minChange": 0.05, "strategy": "fingerprint"},
        ),
        ("filters", {"enabled": True}),
        ("optimization", {"order": "filter_first"}),
        ("rateLimit", {"enabled": False}),
        ("webhook", {"bufferSize": 100}),
        ("webhook.auth", {"type": "none"}),
        ("webhook.tls", {"enabled": True}),
        ("informer", {"resyncPeriod": "0"}),
        ("logs", {"pollInterval": "1s", "sinceSeconds": 300}),
        ("errorHandling", {"strategy": "fail-fast"}),
        (
            "errorHandling.retry",
            {"maxAttempts": 3, "backoff": "exponential", "backoffBase": "1s"},
        ),
        ("errorHandling.dlq", {"enabled": False}),
        (
            "errorHandling.dlq.replay",
            {
                "enabled": False,
                "interval": "5m",
                "maxBatchSize": 100,
                "maxConcurrent": 10,
                "maxReplayAge": "24h",
                "maxReplayCount": 3,
            },
        ),
        ("errorHandling.logging", {"level": "error", "includeBody": False}),
        ("", {}),
    ],
)
def test_defaults_are_the_contracts(parent: str, defaults: Schema) -> None:
    schema = inside(schemas()["Ingester"], f"spec.{parent}".rstrip("."))

    assert {
        name: inner["default"] for name, inner in schema["properties"].items() if "default" in inner
    } == defaults


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("source", {"type": "string", "pattern": "^[a-z0-9-]+$"}),
        ("ingester", {"type": "string", "enum": ["informer", "webhook", "logs"]}),
        ("destinations.[].type", {"type": "string", "enum": ["crd"]}),
        (
            "destinations.[].mapping.priority",
            {
                "type": "object",
                "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1},
            },
        ),
        ("throttle.perSecond", {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        (
            "buffer.inFlight",
            {
                "x-kubernetes-int-or-string": True,
                "pattern": "^adaptive$",
                "minimum": 1,
                "default": 64,
            },
        ),
        ("errorHandling.dlq.destination", {"x-kubernetes-preserve-unknown-fields": True}),
        ("rateLimit.requestsPerSecond", {"type": "number", "minimum": 0.1}),
    ],
)
def test_a_field_is_as_the_contract_has_it(path: str, schema: Schema) -> None:
    found = dict(inside(schemas()["Ingester"], f"spec.{path}"))
    found.pop("description")

    assert found == schema


@pytest.mark.parametrize("field", ["details", "raw"])
def test_large_objects_are_atomic(field: str) -> None:
    schema = inside(schemas()["Observation"], f"spec.{field}")

    assert schema["x-kubernetes-map-type"] == "atomic"
    assert schema["x-kubernetes-preserve-unknown-fields"] is True
    assert schema["type"] == "object"


def test_names_and_versions_are_the_contracts() -> None:
    ingesters, observations = (one["spec"] for one in manifests())

    assert ingesters["group"] == observations["group"] == "zen.kube-zen.io"
    assert ingesters["names"]["shortNames"] == ["ing", "ingester"]
    assert observations["names"]["shortNames"] == ["obs", "obsv"]
    for spec in (ingesters, observations):
        assert spec["scope"] == "Namespaced"
        assert [(each["name"], each["served"], each["storage"]) for each in spec["versions"]] == [
            ("v1alpha1", True, True),
            ("v1", True, False),
        ]
        assert all(each["subresources"] == {"status": {}} for each in spec["versions"])
        assert spec["versions"][0]["schema"] == spec["versions"][1]["schema"]


def test_the_yaml_has_the_content_of_the_manifests() -> None:
    read = list(yaml.safe_load_all(render()))

    assert read == manifests()
    assert render() == "".join(files().values())
    assert "&id" not in render()


def test_client_side_apply_can_remember_them() -> None:
    assert all(len(msgspec.json.encode(one)) < CLIENT_SIDE_APPLY_BYTES // 2 for one in manifests())


class Either(BaseModel):
    value: int | str


class Exactly(BaseModel):
    value: tuple[int, str]


@pytest.mark.parametrize("model", [Either, Exactly])
def test_what_is_not_structural_is_refused(model: type[BaseModel]) -> None:
    with pytest.raises(ValueError, match="no place in a structural schema"):
        structural(model.model_json_schema())


@pytest.mark.parametrize("path", ["spec", "spec.filters", "spec.destinations.[]"])
def test_the_models_refuse_what_the_schema_does_not_know(path: str) -> None:
    # Both come from one model; this is the seam where they could part.
    assert "unheard" not in inside(schemas()["Ingester"], path)["properties"]
    manifest = ingester(filters={"enabled": True})
    Ingester.model_validate(manifest)
    place: Any = copy.deepcopy(manifest)
    changed = place
    for step in path.split("."):
        place = place[0 if step == "[]" else step]
    place["unheard"] = 1

    with pytest.raises(ValidationError) as refused:
        Ingester.model_validate(changed)
    assert [one["type"] for one in refused.value.errors()] == ["extra_forbidden"]
