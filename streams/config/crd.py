"""The CustomResourceDefinitions of Ingesters and Observations, generated from the models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from operators.model.api import GROUP, VERSIONS
from sinks.resource import ObservationSpec
from streams.config.ingester import IngesterSpec
from streams.config.schema import Schema, structural

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
    """The definitions of Ingester and Observation as objects of the API server."""
    return [
        _definition("Ingester", ["ing", "ingester"], spec=IngesterSpec, columns=_INGESTER_COLUMNS),
        _definition(
            "Observation", ["obs", "obsv"], spec=ObservationSpec, columns=_OBSERVATION_COLUMNS
        ),
    ]


def render() -> str:
    """The definitions as YAML, one document each."""
    return "".join(files().values())


def files() -> dict[str, str]:
    """The content of the files in ``deploy/crds``, by file name."""
    return {
        f"{one['spec']['names']['plural']}.yaml": f"---\n{rendered(one)}" for one in manifests()
    }


def rendered(definition: Mapping[str, Any]) -> str:
    """One definition as YAML."""
    return yaml.dump(
        dict(definition), Dumper=_WithoutAliases, sort_keys=False, width=100, allow_unicode=True
    )


class _WithoutAliases(yaml.SafeDumper):
    """Repeats the schema for each version: a manifest with anchors is hard to read."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  no object gets an anchor
        return True


def _definition(
    kind: str, short_names: list[str], *, spec: type[BaseModel], columns: list[Schema]
) -> Schema:
    plural = f"{kind.lower()}s"
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": short_names,
    }
    schema = _schema(spec)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": names,
            "conversion": {"strategy": "None"},
            "versions": [_version(name, schema, columns=columns) for name in VERSIONS],
        },
    }


def _version(name: str, schema: Schema, *, columns: list[Schema]) -> Schema:
    """One served version; both have one schema, and the first is stored."""
    return {
        "name": name,
        "served": True,
        "storage": name == VERSIONS[0],
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
        "additionalPrinterColumns": columns,
    }


def _schema(spec: type[BaseModel]) -> Schema:
    inner = structural(spec.model_json_schema(by_alias=True))
    schema: Schema = {
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": inner,
            "status": _STATUS,
        },
    }
    # As in zen-watcher's contract, a spec without required fields may be omitted.
    return schema | ({"required": ["spec"]} if "required" in inner else {})
