"""PATCH bodies: JSON patch, merge patch, strategic merge patch (built-in kinds only), and apply configurations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from demo.apiserver.apply import ConflictError, UndeclaredError, server_side_apply
from demo.apiserver.bodies import check_name, check_namespace, media_type, read_yaml
from demo.apiserver.documents import Object, Value, as_list, as_object, copied
from demo.apiserver.errors import (
    StatusError,
    apply_conflict,
    bad_request,
    internal,
    unsupported_media_type,
)
from demo.apiserver.kinds import NEW_EVENTS
from demo.apiserver.ownership import LIST_KEYS
from demo.apiserver.requests import Call, WriteOptions
from demo.apiserver.resources import to_core_event, to_new_event
from demo.apiserver.validation import compact

_REFUSED = "the server rejected our request due to an error in our request"
"""The API server's message for any JSON patch that cannot be applied."""


class PatchError(Exception):
    """The patch cannot be applied to this object."""


def merge_patched(obj: Value, patch: Value) -> Value:
    """Apply a JSON merge patch (RFC 7386); neither argument is changed."""
    changes = as_object(patch)
    if changes is None:
        return copied(patch)
    merged = dict(as_object(obj) or {})
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patched(merged.get(name), value)
    return merged


def json_patched(obj: Object, operations: list[Value]) -> Object:
    """Apply a JSON patch (RFC 6902) to a copy. Raises PatchError.

    As on a cluster, `replace` creates a missing field, and `copy` of a missing field copies null.
    """
    whole: Object = copied(obj)
    for each in operations:
        operation = as_object(each) or {}
        do = _OPERATIONS.get(str(operation.get("op")))
        if do is None or not isinstance(operation.get("path"), str):
            raise PatchError(_REFUSED)
        do(whole, operation)
    return whole


def _add(whole: Object, operation: Object) -> None:
    _put(whole, operation["path"], copied(operation.get("value")))


def _remove(whole: Object, operation: Object) -> None:
    _take(whole, operation["path"])


def _replace(whole: Object, operation: Object) -> None:
    holder, step = _holder(whole, operation["path"])
    value = copied(operation.get("value"))
    elements, held = as_list(holder), as_object(holder)
    if elements is not None:
        elements[_index(step, len(elements) - 1)] = value
    elif held is not None:
        held[step] = value


def _move(whole: Object, operation: Object) -> None:
    _put(whole, operation["path"], _take(whole, str(operation.get("from"))))


def _copy(whole: Object, operation: Object) -> None:
    _put(whole, operation["path"], copied(_at(whole, str(operation.get("from")))))


def _test(whole: Object, operation: Object) -> None:
    found, expected = _at(whole, operation["path"]), operation.get("value")
    if found != expected or isinstance(found, bool) is not isinstance(expected, bool):
        raise PatchError(_REFUSED)


_OPERATIONS: Mapping[str, Callable[[Object, Object], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


def _steps(path: str) -> list[str]:
    if not path.startswith("/"):
        raise PatchError(_REFUSED)
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def _holder(whole: Object, path: str) -> tuple[Value, str]:
    """Return the container of the last step of a path, and that step."""
    *above, last = _steps(path)
    holder: Value = whole
    for step in above:
        holder = _in(holder, step)
        if as_object(holder) is None and as_list(holder) is None:
            raise PatchError(_REFUSED)
    return holder, last


def _in(holder: Value, step: str) -> Value:
    elements = as_list(holder)
    if elements is not None:
        return elements[_index(step, len(elements) - 1)]
    return (as_object(holder) or {}).get(step)


def _at(whole: Object, path: str) -> Value:
    holder, step = _holder(whole, path)
    return _in(holder, step)


def _put(whole: Object, path: str, value: Value) -> None:
    holder, step = _holder(whole, path)
    elements, held = as_list(holder), as_object(holder)
    if elements is not None:
        elements.insert(len(elements) if step == "-" else _index(step, len(elements)), value)
    elif held is not None:
        held[step] = value


def _take(whole: Object, path: str) -> Value:
    holder, step = _holder(whole, path)
    elements, held = as_list(holder), as_object(holder)
    if elements is not None:
        return elements.pop(_index(step, len(elements) - 1))
    if held is None or step not in held:
        raise PatchError(_REFUSED)
    return held.pop(step)


def _index(step: str, last: int) -> int:
    if not (step.isascii() and step.isdigit()) or int(step) > last:
        raise PatchError(_REFUSED)
    return int(step)


_PATCH = "$patch"
_ORDER = "$setElementOrder/"
_LESS = "$deleteFromPrimitiveList/"
_KEEP = "$retainKeys"
_SETS = frozenset({"finalizers"})
"""The lists of scalars that are merged."""

_MERGED_BY: Mapping[str, tuple[str, ...]] = {
    **{name: (keys[0],) for name, keys in LIST_KEYS.items()},
    "addresses": ("type",),
    "ports": ("containerPort", "port"),
    "secrets": ("name",),
}
"""The merge keys of lists of objects: the first one that all elements of the patch have is used."""


def strategically_patched(obj: Value, patch: Value) -> Value:
    """Apply a strategic merge patch to an object of a built-in kind; neither argument is changed.

    The directives `$patch`, `$deleteFromPrimitiveList`, `$setElementOrder` and `$retainKeys` are
    obeyed. Raises PatchError for a `$patch` that is none.
    """
    changes = as_object(patch)
    if changes is None:
        return copied(patch)
    directive = changes.get(_PATCH)
    fields = {name: value for name, value in changes.items() if not name.startswith("$")}
    if directive == "delete":
        return None
    if directive == "replace":
        return copied(fields)
    if directive not in (None, "merge"):
        raise PatchError(f"unknown patch type: {directive} in map: map[{_PATCH}:{directive}]")
    there = _less(dict(as_object(obj) or {}), changes)
    for name, value in fields.items():
        order = as_list(changes.get(f"{_ORDER}{name}"))
        after = None if value is None else _field(name, there.get(name), value, order=order)
        if after is None:
            there.pop(name, None)
        else:
            there[name] = after
    return there


def _less(there: Object, changes: Object) -> Object:
    """Apply the removals of a patch (`$retainKeys`, `$deleteFromPrimitiveList`)."""
    if _KEEP in changes:
        there = {name: one for name, one in there.items() if name in changes[_KEEP]}
    for name, removed in changes.items():
        if name.startswith(_LESS):
            of = name.removeprefix(_LESS)
            there[of] = [one for one in as_list(there.get(of)) or [] if one not in removed]
    return there


def _field(name: str, there: Value, changes: Value, *, order: list[Value] | None) -> Value:
    elements = as_list(changes)
    if elements is None:
        return strategically_patched(there, changes)
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
    key: str, there: list[Value], changes: list[Value], *, order: list[Value] | None
) -> list[Value]:
    """Merge two lists by the key of their elements."""
    merged: dict[str, Value] = {compact((as_object(one) or {}).get(key)): one for one in there}
    former = list(merged)
    for one in changes:
        named = compact(one[key])
        after = strategically_patched(merged.get(named), one)
        if after is None:
            merged.pop(named, None)
        else:
            merged[named] = after
    first = [compact((as_object(one) or {}).get(key)) for one in (order or changes)]
    return [merged[one] for one in _ordered(former, first, merged)]


def _ordered(there: Sequence[str], first: Sequence[str], of: Mapping[str, Value]) -> list[str]:
    """Return the names of the elements after the patch, in the API server's order.

    Elements in the patch keep its order; the others come before the elements they preceded, else at the end.
    """
    places = {name: place for place, name in enumerate(there)}
    rest = [name for name in there if name not in first and name in of]
    found: list[str] = []
    for name in (one for one in first if one in of):
        while rest and name in places and places[rest[0]] < places[name]:
            found.append(rest.pop(0))
        found.append(name)
    return found + rest


JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_CUSTOM = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
_BUILT_IN = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


@dataclass(frozen=True, slots=True)
class Patch:
    """A decoded PATCH body."""

    kind: str
    """The media type."""

    content: Value

    @property
    def creates(self) -> bool:
        """Whether it is a server-side apply, which creates what is not there."""
        return self.kind == APPLY_PATCH

    def result(self, live: Object | None, call: Call, options: WriteOptions, *, now: str) -> Object:
        """Return the patched object. Raises StatusError (400, 409, 422, 500)."""
        if self.creates:
            return _apply(live, self.content, call, options, now=now)
        assert live is not None  # noqa: S101 - only an apply does without
        newer_group = call.resource.kind is NEW_EVENTS
        shown = to_new_event(live) if newer_group else live
        try:
            patched = _PATCHED[self.kind](shown, self.content)
        except PatchError as error:
            raise StatusError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", str(error), details={}
            ) from None
        return to_core_event(patched) if newer_group else patched


_PATCHED: dict[str, Callable[[Object, Value], Object]] = {
    JSON_PATCH: json_patched,
    MERGE_PATCH: merge_patched,
    STRATEGIC_PATCH: strategically_patched,
}


def read_patch(body: bytes, content_type: str, call: Call) -> Patch:
    """Decode a PATCH body. Raises StatusError (400, 415)."""
    kind = media_type(content_type)
    if kind not in (_CUSTOM if call.resource.custom else _BUILT_IN):
        if call.resource.custom:
            raise unsupported_media_type(_CUSTOM)
        raise StatusError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "415: Unsupported Media Type",
            details={},
        )
    if kind == APPLY_PATCH:
        return Patch(kind, read_yaml(body, kind=call.resource.served.kind))
    try:
        content: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding patch: {error}") from None
    expected = "list" if kind == JSON_PATCH else "object"
    if (as_list(content) if kind == JSON_PATCH else as_object(content)) is None:
        raise bad_request(f"error decoding patch: it is no JSON {expected}")
    return Patch(kind, content)


def _apply(
    live: Object | None, changes: Object, call: Call, options: WriteOptions, *, now: str
) -> Object:
    served = call.resource.served
    _check_applied(changes, call)
    metadata = {**(as_object(changes.get("metadata")) or {}), "name": call.name}
    try:
        return server_side_apply(
            live,
            {**changes, "metadata": metadata},
            manager=options.manager,
            force=options.force,
            schema=served.schema,
            now=now,
            api_version=served.api_version,
            subresource=call.subresource,
            has_status=served.has_status,
        )
    except ConflictError as error:
        raise apply_conflict(str(error), error.causes) from None
    except UndeclaredError as error:
        raise internal(str(error)) from None


def _check_applied(changes: Object, call: Call) -> None:
    """Raise StatusError (400) unless it is an apply configuration of this object."""
    served = call.resource.served
    kind, api_version = str(changes.get("kind") or ""), str(changes.get("apiVersion") or "")
    if (kind, api_version) != (served.kind, served.api_version):
        raise bad_request(f"invalid object type: {api_version or '/'}, Kind={kind}")
    metadata = as_object(changes.get("metadata")) or {}
    check_name(call, changes)
    check_namespace(call, metadata)
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
