"""How a value is owned: whole, field by field, or element by element. A structural schema says which.

A path is a tuple of the names that `managedFields` have for its steps: `f:name`, `k:{"key":"value"}`
and `v:"value"`. What has no schema is owned field by field, its lists
whole but for those of `LIST_KEYS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from demo.apiserver.causes import compact
from demo.apiserver.documents import (
    Object,
    Schema,
    Value,
    as_list,
    as_object,
    inner,
    key_of,
    list_type,
)

Path = tuple[str, ...]

UNTYPED: Schema = {"x-kubernetes-preserve-unknown-fields": True}
"""The schema of what has none: any name, lists whole."""

LIST_KEYS: Mapping[str, tuple[str, ...]] = {
    "conditions": ("type",),
    "containers": ("name",),
    "env": ("name",),
    "ephemeralContainers": ("name",),
    "hostAliases": ("ip",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""By which keys the lists of built-in kinds are maps; those not named here are taken whole."""

_ANY_FIELD = "x-any-field"
_BUILT_IN: Schema = {**UNTYPED, _ANY_FIELD: True}
_WHOLE = frozenset({"selector", "nodeSelector"})
"""The maps of built-in kinds that are owned whole."""

_KEY_DEFAULTS: Schema = {"protocol": {**_BUILT_IN, "default": "TCP"}}

_STRING: Schema = {"type": "string"}
_STRINGS: Schema = {"type": "object", "additionalProperties": _STRING}
_METADATA: Schema = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("name", "namespace", "generateName", "resourceVersion"), _STRING),
        **dict.fromkeys(("creationTimestamp", "deletionTimestamp", "uid"), _STRING),
        **{name: {"type": "integer"} for name in ("generation", "deletionGracePeriodSeconds")},
        "annotations": _STRINGS,
        "labels": _STRINGS,
        "finalizers": {"type": "array", "items": _STRING, "x-kubernetes-list-type": "set"},
        "managedFields": {"type": "array", "items": UNTYPED},
        "ownerReferences": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["uid"],
            "items": {**UNTYPED, "x-kubernetes-map-type": "atomic"},
        },
        "selfLink": _STRING,
    },
}
_CONFIG_MAP: Schema = {
    "type": "object",
    "properties": {"data": _STRINGS, "binaryData": _STRINGS, "immutable": {"type": "boolean"}},
}


@dataclass(frozen=True, slots=True)
class Part:
    """One step below a value: its name in a path, the schema and the value there."""

    step: str
    schema: Schema
    value: Value
    declared: bool
    """Whether the schema names it, as it names the fields of an object but not the keys of a map."""


def whole(schema: Schema | None, kind: str) -> Schema:
    """The schema of a whole object: with its metadata, which no definition describes."""
    if schema is None:
        schema = _CONFIG_MAP if kind == "ConfigMap" else _BUILT_IN
    properties = {
        "apiVersion": _STRING,
        "kind": _STRING,
        **schema.get("properties", {}),
        "metadata": _METADATA,
    }
    return {**schema, "properties": properties}


def parts(schema: Schema, value: Value) -> list[Part] | None:
    """What a value consists of; None if it is owned whole."""
    held, elements = as_object(value), as_list(value)
    if held is not None and schema.get("x-kubernetes-map-type") != "atomic":
        return list(_fields(schema, held))
    if elements is not None and list_type(schema) in ("map", "set"):
        return list(_elements(schema, elements))
    return None


def _fields(schema: Schema, value: Object) -> Iterator[Part]:
    declared, built_in = schema.get("properties", {}), bool(schema.get(_ANY_FIELD))
    for name, one in value.items():
        below = inner(schema, name) or (_of_built_in(name, one) if built_in else UNTYPED)
        yield Part(f"f:{name}", below, one, built_in or name in declared)


def below(schema: Schema, step: str) -> tuple[Schema, bool]:
    """The schema one step below, and whether the step is a field that it declares."""
    if not step.startswith("f:"):
        return schema.get("items", UNTYPED), False
    name, built_in = step[2:], bool(schema.get(_ANY_FIELD))
    one = inner(schema, name) or (_BUILT_IN if built_in else UNTYPED)
    return one, built_in or name in schema.get("properties", {})


def _of_built_in(name: str, value: Value) -> Schema:
    """The schema of a field of a built-in kind, by its name and what it holds."""
    elements, keys = as_list(value), LIST_KEYS.get(name, ("",))
    if name in _WHOLE:
        return {**_BUILT_IN, "x-kubernetes-map-type": "atomic"}
    if not elements or not all(keys[0] in (as_object(one) or {}) for one in elements):
        return _BUILT_IN
    return {
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": list(keys),
        "items": {**_BUILT_IN, "properties": _KEY_DEFAULTS},
    }


def _elements(schema: Schema, value: list[Value]) -> Iterator[Part]:
    for one in value:
        yield Part(step_of(schema, one), schema.get("items", UNTYPED), one, declared=False)


def step_of(schema: Schema, element: Value) -> str:
    """What names an element of a list that is a map or a set."""
    if list_type(schema) == "map":
        return f"k:{compact(key_of(schema, element) or {})}"
    return f"v:{compact(element)}"


def to_fields(paths: frozenset[Path]) -> Object:
    """Paths as `fieldsV1` writes them."""
    tree: Object = {}
    longer = {path[:length] for path in paths for length in range(1, len(path))}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        if path in longer:
            node["."] = {}
    return tree


def from_fields(fields: Mapping[str, Any], above: Path = ()) -> frozenset[Path]:
    """The paths of a `fieldsV1`."""
    found: set[Path] = set()
    for step, below in fields.items():
        if step == ".":
            found.add(above)
        elif below:
            found |= from_fields(below, (*above, step))
        else:
            found.add((*above, step))
    return frozenset(found)


def shown(path: Path) -> str:
    """A path as messages write it: `.spec.ports[name="web"].port`."""
    return "".join(_shown(step) for step in path)


def _shown(step: str) -> str:
    kind, text = step[0], step[2:]
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    key = json.loads(text)
    return f"[{','.join(f'{name}={compact(value)}' for name, value in sorted(key.items()))}]"


def in_order(paths: frozenset[Path]) -> list[Path]:
    """Paths as messages list them: what ends at a level first, then what is below."""
    found: list[Path] = sorted(path for path in paths if len(path) == 1)
    heads = sorted({path[:1] for path in paths if len(path) > 1})
    for head in heads:
        below = frozenset(path[1:] for path in paths if len(path) > 1 and path[:1] == head)
        found += [head + path for path in in_order(below)]
    return found
