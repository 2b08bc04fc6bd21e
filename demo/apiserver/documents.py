"""JSON documents and their structural schemas: the types, and how to walk both together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

Value = Any
"""Any JSON."""

Object = dict[str, Value]
Schema = Mapping[str, Any]

MISSING = object()
"""In the place of a value that is not there, which null is not."""


def copied(value: Value) -> Value:
    """A copy of any JSON; it is a tree, which `deepcopy` does not know, and takes ten times as long."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in cast("Object", value).items()}
    if isinstance(value, list):
        return [copied(one) for one in cast("list[Value]", value)]
    return value


def as_object(value: Value) -> Object | None:
    """The value if it is an object."""
    return cast("Object", value) if isinstance(value, dict) else None


def as_list(value: Value) -> list[Value] | None:
    """The value if it is a list."""
    return cast("list[Value]", value) if isinstance(value, list) else None


def child(field: str, name: str) -> str:
    """The path of one field of an object."""
    return f"{field}.{name}" if field else name


def inner(schema: Schema | None, name: str) -> Schema | None:
    """The schema of one field of an object, None if it has none."""
    if schema is None:
        return None
    if name in schema.get("properties", {}):
        return cast("Schema", schema["properties"][name])
    return as_object(schema.get("additionalProperties"))


def list_type(schema: Schema | None) -> str:
    """`map`, `set` or `atomic`."""
    return "atomic" if schema is None else str(schema.get("x-kubernetes-list-type", "atomic"))


def key_of(schema: Schema, element: Value) -> Object | None:
    """The key of an element of a list of type map, None if it lacks a part that has no default."""
    held = as_object(element)
    if held is None:
        return None
    fields = schema.get("items", {}).get("properties", {})
    key: Object = {}
    for name in schema.get("x-kubernetes-list-map-keys", ()):
        if name in held:
            key[name] = held[name]
        elif "default" in fields.get(name, {}):
            key[name] = fields[name]["default"]
        else:
            return None
    return key


def counterpart(schema: Schema, element: Value, among: Value) -> Value:
    """The element with the same key in another state of a list of type map, or `MISSING`."""
    elements = as_list(among)
    if list_type(schema) != "map" or elements is None:
        return MISSING
    key = key_of(schema, element)
    same = (one for one in elements if key is not None and key_of(schema, one) == key)
    return next(same, MISSING)


def steps(
    schema: Schema, value: Value, field: str, *, old: Value = MISSING
) -> Iterator[tuple[Schema, Value, str, Value]]:
    """What stands in a value and has a schema: that, itself, its path, and what it was in `old`."""
    held, before = as_object(value), as_object(old) or {}
    if held is not None:
        properties = schema.get("properties", {})
        for name in sorted(held):
            one = inner(schema, name)
            if one is not None:
                at = child(field, name) if name in properties else f"{field}[{name}]"
                yield one, held[name], at, before.get(name, MISSING)
        return
    items = as_object(schema.get("items"))
    for index, element in enumerate(as_list(value) or ()):
        if items is not None:
            yield items, element, f"{field}[{index}]", counterpart(schema, element, old)
