"""What the bodies of PATCH requests do to any object: merge patch and JSON patch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from demo.apiserver.documents import Object, Value, as_list, as_object, copied

_REFUSED = "the server rejected our request due to an error in our request"
"""All that the API server says of a JSON patch that cannot be applied."""


class PatchError(Exception):
    """The patch cannot be applied to this object."""


def merge_patched(obj: Value, patch: Value) -> Value:
    """The object after a JSON merge patch (RFC 7386); neither is changed."""
    wanted = as_object(patch)
    if wanted is None:
        return copied(patch)
    merged = dict(as_object(obj) or {})
    for name, value in wanted.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patched(merged.get(name), value)
    return merged


def json_patched(obj: Object, operations: list[Value]) -> Object:
    """The object after a JSON patch (RFC 6902); raises PatchError, and the object is as it was.

    As on a cluster, `replace` makes a field that is not there, and `copy` of such a field copies null.
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
    found, wanted = _at(whole, operation["path"]), operation.get("value")
    if found != wanted or isinstance(found, bool) is not isinstance(wanted, bool):
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
    """What holds the last step of a path, and that step."""
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
