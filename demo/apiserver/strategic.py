"""Strategic merge patches, which only built-in kinds have: lists are merged where the kind says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from demo.apiserver.causes import compact
from demo.apiserver.documents import Object, Value, as_list, as_object, copied
from demo.apiserver.patches import PatchError
from demo.apiserver.shapes import LIST_KEYS

_PATCH = "$patch"
_ORDER = "$setElementOrder/"
_LESS = "$deleteFromPrimitiveList/"
_KEEP = "$retainKeys"
_SETS = frozenset({"finalizers"})
"""The lists of plain values that are merged."""

_MERGED_BY: Mapping[str, tuple[str, ...]] = {
    **{name: (keys[0],) for name, keys in LIST_KEYS.items()},
    "addresses": ("type",),
    "ports": ("containerPort", "port"),
    "secrets": ("name",),
}
"""By which key lists of objects are merged: the first that all elements of the patch have."""


def strategically_patched(obj: Value, patch: Value) -> Value:
    """The object of a built-in kind after a strategic merge patch; neither is changed.

    The directives `$patch`, `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys` are
    obeyed. Raises PatchError for a `$patch` that is none.
    """
    wanted = as_object(patch)
    if wanted is None:
        return copied(patch)
    directive = wanted.get(_PATCH)
    fields = {name: value for name, value in wanted.items() if not name.startswith("$")}
    if directive == "delete":
        return None
    if directive == "replace":
        return copied(fields)
    if directive not in (None, "merge"):
        raise PatchError(f"unknown patch type: {directive} in map: map[{_PATCH}:{directive}]")
    there = _less(dict(as_object(obj) or {}), wanted)
    for name, value in fields.items():
        order = as_list(wanted.get(f"{_ORDER}{name}"))
        after = None if value is None else _field(name, there.get(name), value, order=order)
        if after is None:
            there.pop(name, None)
        else:
            there[name] = after
    return there


def _less(there: Object, wanted: Object) -> Object:
    """What the patch leaves of an object before it adds to it."""
    if _KEEP in wanted:
        there = {name: one for name, one in there.items() if name in wanted[_KEEP]}
    for name, gone in wanted.items():
        if name.startswith(_LESS):
            of = name.removeprefix(_LESS)
            there[of] = [one for one in as_list(there.get(of)) or [] if one not in gone]
    return there


def _field(name: str, there: Value, wanted: Value, *, order: list[Value] | None) -> Value:
    elements = as_list(wanted)
    if elements is None:
        return strategically_patched(there, wanted)
    replacing: Object = {_PATCH: "replace"}
    if replacing in elements:
        return [copied(one) for one in elements if one != replacing]
    former = as_list(there) or []
    if name in _SETS:
        values = {compact(one): one for one in (*former, *elements)}
        first = [compact(one) for one in (order or elements)]
        return [values[one] for one in _ordered([compact(one) for one in former], first, values)]
    keys = _MERGED_BY.get(name, ())
    key = next((one for one in keys if all(one in (as_object(it) or {}) for it in elements)), None)
    if key is None:
        return copied(elements)
    return _by_key(key, former, elements, order=order)


def _by_key(
    key: str, there: list[Value], wanted: list[Value], *, order: list[Value] | None
) -> list[Value]:
    """Both lists, the elements with one key made one."""
    merged: dict[str, Value] = {compact((as_object(one) or {}).get(key)): one for one in there}
    former = list(merged)
    for one in wanted:
        named = compact(one[key])
        after = strategically_patched(merged.get(named), one)
        if after is None:
            merged.pop(named, None)
        else:
            merged[named] = after
    first = [compact((as_object(one) or {}).get(key)) for one in (order or wanted)]
    return [merged[one] for one in _ordered(former, first, merged)]


def _ordered(there: Sequence[str], first: Sequence[str], of: Mapping[str, Value]) -> list[str]:
    """The names of what there is after the patch, in the API server's order.

    What the patch orders keeps that order; the rest comes before what it stood before, else after.
    """
    places = {name: place for place, name in enumerate(there)}
    rest = [name for name in there if name not in first and name in of]
    found: list[str] = []
    for name in (one for one in first if one in of):
        while rest and name in places and places[rest[0]] < places[name]:
            found.append(rest.pop(0))
        found.append(name)
    return found + rest
