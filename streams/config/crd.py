"""The CustomResourceDefinitions, made of the models: a pydantic schema is not structural, so it is mapped.

Structural (apiextensions, KEP-1979) means: no references, no alternatives with null, one type for every value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import yaml
from pydantic import BaseModel

from sinks.resource import ObservationSpec
from streams.config.ingester import IngesterSpec
from streams.config.source import GROUP, VERSIONS

Schema = dict[str, Any]

_KEPT = frozenset(
    {
        "description",
        "enum",
        "format",
        "maximum",
        "minItems",
        "minimum",
        "nullable",
        "pattern",
        "required",
        "type",
    }
)
_MAPPED = frozenset(
    {
        "$defs",
        "additionalProperties",
        "const",
        "default",
        "exclusiveMinimum",
        "items",
        "properties",
        "title",
    }
)
_OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_CONDITION = {
    "type": "object",
    "required": ["type", "status"],
    "properties": {
        "type": {"type": "string"},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "observedGeneration": {"type": "integer"},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "reason": {"type": "string"},
        "message": {"type": "string"},
    },
}
_STATUS = _OPEN | {
    "properties": {
        "observedGeneration": {"type": "integer"},
        "conditions": {
            "type": "array",
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}


def _column(name: str, path: str, *, kind: str = "string", wide: bool = False) -> Schema:
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": 1} if wide else {})


_AGE = _column("Age", ".metadata.creationTimestamp", kind="date")
_OBSERVATION_COLUMNS = [
    _column("Source", ".spec.source"),
    _column("Severity", ".spec.severity"),
    _column("Category", ".spec.category"),
    _column("Kind", ".spec.resource.kind"),
    _column("Subject", ".spec.resource.name"),
    _column("Resolved", ".spec.resolvedAt", kind="date"),
    _column("Type", ".spec.eventType", wide=True),
    _column("Priority", ".spec.priority", kind="number", wide=True),
    _column("Count", ".spec.count", kind="integer", wide=True),
    _column("Title", ".spec.title", wide=True),
    _AGE,
]
_INGESTER_COLUMNS = [
    _column("Source", ".spec.source"),
    _column("Ingester", ".spec.ingester"),
    _column("Ready", '.status.conditions[?(@.type=="Ready")].status'),
    _AGE,
]


def manifests() -> list[Schema]:
    """The definitions of Ingester and Observation, as the API server takes them."""
    return [
        _definition("Ingester", ["ing", "ingester"], spec=IngesterSpec, columns=_INGESTER_COLUMNS),
        _definition(
            "Observation", ["obs", "obsv"], spec=ObservationSpec, columns=_OBSERVATION_COLUMNS
        ),
    ]


def render() -> str:
    """The definitions as YAML, a document each."""
    return "".join(files().values())


def files() -> dict[str, str]:
    """What stands in ``deploy/crds``, by the name of the file."""
    return {
        f"{one['spec']['names']['plural']}.yaml": f"---\n{rendered(one)}" for one in manifests()
    }


def rendered(definition: Mapping[str, Any]) -> str:
    """One definition as YAML."""
    return yaml.dump(
        dict(definition), Dumper=_WithoutAliases, sort_keys=False, width=100, allow_unicode=True
    )


class _WithoutAliases(yaml.SafeDumper):
    """Writes both versions' schema out: a manifest with anchors is hard to read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  every object is written out
        return True


def _definition(
    kind: str, short_names: list[str], *, spec: type[BaseModel], columns: list[Schema]
) -> Schema:
    plural = f"{kind.lower()}s"
    schema = _schema(kind, spec)
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": short_names,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": names,
            "conversion": {"strategy": "None"},
            "versions": [_version(name, schema, columns) for name in VERSIONS],
        },
    }


def _schema(kind: str, spec: type[BaseModel]) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(spec.model_json_schema(by_alias=True)),
            "status": _STATUS,
        },
    }
    if kind == "Ingester":
        schema["required"] = ["spec"]
    return schema


def _version(name: str, schema: Schema, columns: list[Schema]) -> Schema:
    return {
        "name": name,
        "served": True,
        "storage": name == VERSIONS[0],
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }


def structural(schema: Schema) -> Schema:
    """Map a pydantic schema to a structural one. Raises ``ValueError`` for what has no such form."""
    return _mapped(schema, cast("Schema", schema.get("$defs", {})))


def _mapped(schema: Schema, definitions: Schema) -> Schema:
    schema = _resolved(schema, definitions)
    result = {key: value for key, value in schema.items() if _is_kept(key)}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "exclusiveMinimum" in schema:  # a number to pydantic, a flag to OpenAPI 3.0
        result |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if isinstance(schema.get("default"), bool | int | float | str):
        result["default"] = schema["default"]
    return result | _descended(schema, definitions)


def _is_kept(key: str) -> bool:
    if key in _KEPT or key.startswith("x-kubernetes-"):
        return True
    if key not in _MAPPED:
        raise ValueError(f"{key} has no place in a structural schema")
    return False


def _descended(schema: Schema, definitions: Schema) -> Schema:
    result: Schema = {}
    if "properties" in schema:
        result["properties"] = {
            name: _mapped(inner, definitions) for name, inner in schema["properties"].items()
        }
    if "items" in schema:
        result["items"] = _mapped(schema["items"], definitions)
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and values and "x-kubernetes-preserve-unknown-fields" not in schema:
        result["additionalProperties"] = _mapped(cast("Schema", values), definitions)
    return result


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Put what a schema refers to in its place, and take null out of its alternatives."""
    rest = dict(schema)
    options = [each for each in rest.pop("anyOf", []) if each.get("type") != "null"]
    if len(options) > 1:
        raise ValueError("alternatives have no place in a structural schema")
    if "$ref" in rest:
        options.append(definitions[str(rest.pop("$ref")).rpartition("/")[2]])
    for option in options:
        rest = _resolved(option, definitions) | rest
    return rest
