"""JSON documents, structural schemas, the resources they belong to, and how to walk document and schema together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

Value = Any
"""Any JSON."""

Object = dict[str, Value]
Schema = Mapping[str, Any]

MISSING = object()
"""Stands for an absent value, as distinct from null."""


def copied(value: Value) -> Value:
    """Copy JSON; `deepcopy` takes ten times as long, because it does not assume a tree."""
    if isinstance(value, dict):
        return {name: copied(one) for name, one in cast("Object", value).items()}
    if isinstance(value, list):
        return [copied(one) for one in cast("list[Value]", value)]
    return value


def as_object(value: Value) -> Object | None:
    """Return the value if it is an object, else None."""
    return cast("Object", value) if isinstance(value, dict) else None


def as_list(value: Value) -> list[Value] | None:
    """Return the value if it is a list, else None."""
    return cast("list[Value]", value) if isinstance(value, list) else None


def child(field: str, name: str) -> str:
    """Return the path of a field of an object."""
    return f"{field}.{name}" if field else name


def inner(schema: Schema | None, name: str) -> Schema | None:
    """Return the schema of a field of an object, or None."""
    if schema is None:
        return None
    if name in schema.get("properties", {}):
        return cast("Schema", schema["properties"][name])
    return as_object(schema.get("additionalProperties"))


def list_type(schema: Schema | None) -> str:
    """`map`, `set` or `atomic`."""
    return "atomic" if schema is None else str(schema.get("x-kubernetes-list-type", "atomic"))


def key_of(schema: Schema, element: Value) -> Object | None:
    """Return the key of an element of a list of type map; None if a part without a default is missing."""
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
    """Return the element with the same key in another state of a list of type map, or `MISSING`."""
    elements = as_list(among)
    if list_type(schema) != "map" or elements is None:
        return MISSING
    key = key_of(schema, element)
    same = (one for one in elements if key is not None and key_of(schema, one) == key)
    return next(same, MISSING)


def steps(
    schema: Schema, value: Value, field: str, *, old: Value = MISSING
) -> Iterator[tuple[Schema, Value, str, Value]]:
    """Yield the children of a value that have a schema: schema, child, path, and its former value in `old`."""
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


@dataclass(frozen=True, slots=True)
class ServedResource:
    """One resource of one group and version, as discovery names it."""

    group: str
    version: str
    resource: str
    kind: str
    list_kind: str
    singular: str
    short_names: tuple[str, ...]
    namespaced: bool
    has_status: bool
    schema: Mapping[str, Any] | None = None
    """The structural schema of the whole object; None for built-in kinds, which are not validated."""

    columns: tuple[Mapping[str, Any], ...] = ()
    """The definition's ``additionalPrinterColumns``."""

    storage: str = ""
    """The storage version; conversion rewrites ``apiVersion`` alone."""

    @property
    def api_version(self) -> str:
        """The ``apiVersion`` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """The resource with its group, as messages name it: ``pods``, ``deployments.apps``."""
        return f"{self.resource}.{self.group}" if self.group else self.resource
