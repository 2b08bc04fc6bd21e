"""Field ownership: sets of paths, how two states differ, and `metadata.managedFields`.

A structural schema decides whether a value is owned whole, field by field, or element by element. A path is a tuple of
the step names of `managedFields`: `f:name`, `k:{"key":"value"}` and `v:"value"`. A value without a schema is owned
field by field, its lists whole but for those of `LIST_KEYS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from demo.apiserver.documents import (
    MISSING,
    Object,
    Schema,
    Value,
    as_list,
    as_object,
    inner,
    key_of,
    list_type,
)
from demo.apiserver.validation import compact

Path = tuple[str, ...]

UNTYPED: Schema = {"x-kubernetes-preserve-unknown-fields": True}
"""The schema of values without one: any field, lists owned whole."""

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
"""The map keys of lists of built-in kinds; other lists are owned whole."""

_ANY_FIELD = "x-any-field"
_BUILT_IN: Schema = {**UNTYPED, _ANY_FIELD: True}
_WHOLE = frozenset({"selector", "nodeSelector"})
"""Maps of built-in kinds that are owned whole."""

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
    """A child of a value: its step in a path, its schema, its value."""

    step: str
    schema: Schema
    value: Value
    declared: bool
    """Whether the schema declares it: a field of an object, not a key of a map."""


def whole_schema(schema: Schema | None, kind: str) -> Schema:
    """Return the schema of a whole object, with the metadata that definitions leave out."""
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
    """Return the children of a value; None if it is owned whole."""
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
    """Return the schema of a child, and whether it is a declared field."""
    if not step.startswith("f:"):
        return schema.get("items", UNTYPED), False
    name, built_in = step[2:], bool(schema.get(_ANY_FIELD))
    one = inner(schema, name) or (_BUILT_IN if built_in else UNTYPED)
    return one, built_in or name in schema.get("properties", {})


def _of_built_in(name: str, value: Value) -> Schema:
    """Return the schema of a field of a built-in kind, derived from its name and value."""
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
    """Return the step of an element of a list of type map or set."""
    if list_type(schema) == "map":
        return f"k:{compact(key_of(schema, element) or {})}"
    return f"v:{compact(element)}"


def to_fields(paths: frozenset[Path]) -> Object:
    """Encode paths as `fieldsV1`."""
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
    """Decode a `fieldsV1`."""
    found: set[Path] = set()
    for step, below in fields.items():
        if step == ".":
            found.add(above)
        elif below:
            found |= from_fields(below, (*above, step))
        else:
            found.add((*above, step))
    return frozenset(found)


def path_text(path: Path) -> str:
    """Format a path as in messages: `.spec.ports[name="web"].port`."""
    return "".join(_step_text(step) for step in path)


def _step_text(step: str) -> str:
    kind, text = step[0], step[2:]
    if kind == "f":
        return f".{text}"
    if kind == "v":
        return f"[={text}]"
    key = json.loads(text)
    return f"[{','.join(f'{name}={compact(value)}' for name, value in sorted(key.items()))}]"


def in_order(paths: frozenset[Path]) -> list[Path]:
    """Sort paths as messages list them: shorter ones of a level first."""
    found: list[Path] = sorted(path for path in paths if len(path) == 1)
    heads = sorted({path[:1] for path in paths if len(path) > 1})
    for head in heads:
        below = frozenset(path[1:] for path in paths if len(path) > 1 and path[:1] == head)
        found += [head + path for path in in_order(below)]
    return found


UPDATE_MANAGERS = 10
"""Bound of Update entries per object (managedfields, MaxUpdateManagers); the oldest beyond it are merged."""

ANCIENT = "ancient-changes"

_UNOWNABLE = frozenset(
    (
        *(("f:apiVersion",), ("f:kind",), ("f:metadata",)),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                *("name", "namespace", "creationTimestamp", "selfLink", "uid"),
                *("clusterName", "generation", "managedFields", "resourceVersion"),
            )
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Owner:
    """One entry of `managedFields`."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    paths: frozenset[Path]
    time: str = ""
    """RFC 3339, to the second; empty for a manager that shares fields without having changed any."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the identity of the entry; Apply entries of several versions are one."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.manager, self.operation, version, self.subresource)

    @property
    def shown(self) -> str:
        """Return the entry's name in conflict messages."""
        name = f'"{self.manager}"'
        if self.subresource:
            name = f'{name} with subresource "{self.subresource}"'
        return name if self.operation == "Apply" else f"{name} using {self.api_version}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The removed paths, and the added or changed ones."""

    removed: frozenset[Path]
    changed: frozenset[Path]


def owned_paths(schema: Schema, value: Value) -> frozenset[Path]:
    """Return the paths owned by a manager that applies the value."""
    found: set[Path] = set()
    _own(schema, value, (), found)
    return frozenset(found)


def _own(schema: Schema, value: Value, path: Path, found: set[Path]) -> None:
    inside = parts(schema, value)
    if inside is None:
        found.add(path)
        return
    for part in inside:
        at = (*path, part.step)
        _own(part.schema, part.value, at, found)
        if part.value is None or part.value == {} or not part.declared:
            found.add(at)


def difference(schema: Schema, before: Value, after: Value) -> Difference:
    """Return the paths at which two states differ."""
    removed: set[Path] = set()
    changed: set[Path] = set()
    _differ(Part("", schema, before, declared=True), after, (), removed=removed, changed=changed)
    return Difference(frozenset(removed), frozenset(changed))


def _differ(
    part: Part, after: Value, path: Path, *, removed: set[Path], changed: set[Path]
) -> None:
    """`part` is the state before; its value or the one after may be MISSING."""
    before = part.value
    old = {one.step: one for one in parts(part.schema, before) or ()}
    new = {one.step: one for one in parts(part.schema, after) or ()}
    for step in {**old, **new}:
        one = old.get(step) or _absent(new[step])
        later = new[step].value if step in new else MISSING
        _differ(one, later, (*path, step), removed=removed, changed=changed)
    if after is MISSING:
        removed.add(path)
    elif before is MISSING or (not (old and new) and not _same(before, after, old or new)):
        changed.add(path)


def _absent(part: Part) -> Part:
    """Return the part with its value missing."""
    return Part(part.step, part.schema, MISSING, part.declared)


def _same(before: Value, after: Value, below: object) -> bool:
    """Return whether two values are equal leaves, or differ only in their children; null has none."""
    if below:
        return before is None or after is None or type(before) is type(after)
    return type(before) is type(after) and before == after


def reachable(paths: Iterable[Path], *, subresource: str, resets_status: bool) -> frozenset[Path]:
    """Return the paths that can be owned through an endpoint: status only through its subresource."""

    def is_kept(path: Path) -> bool:
        is_status = path[:1] == ("f:status",)
        return is_status if subresource == "status" else not (is_status and resets_status)

    return frozenset(path for path in paths if path and is_kept(path))


def ownable(paths: frozenset[Path]) -> frozenset[Path]:
    """Remove the paths that have no owners: type, identity, and fields only the server writes."""
    return paths - _UNOWNABLE


def ensured(schema: Schema, paths: Iterable[Path]) -> frozenset[Path]:
    """Add the declared ancestors of paths."""
    found = set(paths)
    for path in paths:
        at = schema
        for length, step in enumerate(path[:-1], start=1):
            at, declared = below(at, step)
            if declared:
                found.add(path[:length])
    return frozenset(found)


def owners_of(obj: Object | None) -> dict[tuple[str, ...], Owner]:
    """Decode `managedFields` by identity; empty if an entry is invalid."""
    entries = (as_object((obj or {}).get("metadata")) or {}).get("managedFields") or ()
    found: dict[tuple[str, ...], Owner] = {}
    for entry in entries:
        if entry.get("operation") not in ("Apply", "Update") or not entry.get("apiVersion"):
            return {}
        owner = Owner(
            manager=entry.get("manager", ""),
            operation=entry["operation"],
            api_version=entry["apiVersion"],
            subresource=entry.get("subresource", ""),
            paths=from_fields(entry.get("fieldsV1") or {}),
            time=entry.get("time", ""),
        )
        found[owner.identity] = owner
    return found


def to_managed_fields(owners: Iterable[Owner]) -> list[Object]:
    """Encode owners as `managedFields`: Apply entries first, then by time."""
    held = [owner for owner in owners if owner.paths]
    held.sort(key=lambda it: (it.operation, it.time, it.manager, it.api_version, it.subresource))
    return [_managed_fields_entry(owner) for owner in held]


def _managed_fields_entry(owner: Owner) -> Object:
    entry: Object = {
        "manager": owner.manager,
        "operation": owner.operation,
        "apiVersion": owner.api_version,
        "time": owner.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields(owner.paths),
        "subresource": owner.subresource,
    }
    return {name: value for name, value in entry.items() if value != ""}


def without_paths(owner: Owner, paths: frozenset[Path]) -> Owner:
    """Remove paths from an owner."""
    return replace(owner, paths=owner.paths - paths)


def cap_updaters(owners: Iterable[Owner]) -> list[Owner]:
    """Merge the oldest Update entries beyond the bound."""
    everyone = list(owners)
    updaters = sorted(
        (one for one in everyone if one.operation == "Update"),
        key=lambda it: (it.time, it.identity),
    )
    old = updaters[: max(0, len(updaters) - UPDATE_MANAGERS + 1)]
    if len(updaters) <= UPDATE_MANAGERS:
        return everyone
    together: dict[str, Owner] = {}
    for one in old:
        former = together.get(one.api_version)
        paths = one.paths if former is None else one.paths | former.paths
        together[one.api_version] = replace(one, manager=ANCIENT, subresource="", paths=paths)
    return [one for one in everyone if one not in old] + list(together.values())
