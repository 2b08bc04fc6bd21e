"""A definition that uses every word of a structural schema, and what a genuine API server said of its objects.

`things.jsonl` holds its answers, kube-apiserver 1.37.2's; the suite in `tests/contract/api` asks it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

GROUP = "example.com"
Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A spec, and what is wrong with it as (field, reason, message), or how it is stored."""

    spec: Any
    causes: tuple[tuple[str, str, str], ...] = ()
    stored: Any = None


CASES = msgspec.json.decode(
    b"[" + b",".join(Path(__file__).with_suffix(".jsonl").read_bytes().splitlines()) + b"]",
    type=list[Case],
)

SPEC: Fields = {
    "type": "object",
    "required": ["need"],
    "properties": {
        "need": {"type": "string"},
        "str": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "int": {"type": "integer", "minimum": 1, "maximum": 10},
        "i32": {"type": "integer", "format": "int32"},
        "num": {
            "type": "number",
            "minimum": 0.5,
            "exclusiveMinimum": True,
            "maximum": 9.5,
            "exclusiveMaximum": True,
            "multipleOf": 0.5,
        },
        "bool": {"type": "boolean"},
        "enum": {"type": "string", "enum": ["a", "b"]},
        "ienum": {"type": "integer", "enum": [1, 2]},
        "arr": {"type": "array", "minItems": 1, "maxItems": 2, "items": {"type": "string"}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {"name": {"type": "string"}, "v": {"type": "integer"}},
            },
        },
        "obj": {
            "type": "object",
            "maxProperties": 2,
            "minProperties": 1,
            "additionalProperties": {"type": "integer"},
        },
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "ios": {"x-kubernetes-int-or-string": True, "minimum": 1, "pattern": "^adaptive$"},
        "when": {"type": "string", "format": "date-time"},
        "null": {"type": "string", "nullable": True},
        "dflt": {"type": "string", "default": "d"},
        "deep": {
            "type": "object",
            "properties": {
                "a": {"type": "object", "properties": {"b": {"type": "string", "default": "x"}}},
                "c": {
                    "type": "object",
                    "default": {},
                    "properties": {"d": {"type": "integer", "default": 3}},
                },
            },
        },
        "emb": {
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "email": {"type": "string", "format": "email"},
        "uuid": {"type": "string", "format": "uuid"},
        "byte": {"type": "string", "format": "byte"},
        "any": {
            "type": "array",
            "items": {"type": "object", "properties": {"k": {"type": "string"}}},
        },
        "anyof": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        "oneof": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        "not": {
            "type": "object",
            "properties": {"a": {"type": "string"}},
            "not": {"required": ["a"]},
        },
        "rule": {
            "type": "integer",
            "x-kubernetes-validations": [
                {"rule": "self > 3", "message": "too low"},
                {"rule": "self<100"},
            ],
        },
        "trans": {
            "type": "string",
            "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "immutable"}],
        },
        "robj": {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.a)",
                    "message": "a please",
                    "reason": "FieldValueRequired",
                    "fieldPath": ".a",
                },
                {"rule": "self.b > 1", "messageExpression": "'b is small'"},
            ],
        },
    },
}


SCHEMA: Fields = {
    "type": "object",
    "properties": {
        "spec": SPEC,
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def definition() -> Fields:
    """The definition of Things, with a status."""
    version: Fields = {
        "name": "v1",
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": SCHEMA},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [version],
        },
    }


def thing(spec: object, *, name: str = "one") -> Fields:
    """A Thing with that spec."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Thing",
        "metadata": {"name": name},
        "spec": spec,
    }
