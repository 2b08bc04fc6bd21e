"""A pydantic schema as Kubernetes takes it.

Structural (apiextensions, KEP-1979) means: no references, no alternatives with null, one type for every value.
"""

from __future__ import annotations

from typing import Any, cast

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
