"""What stands twice in lists that are sets or maps (`x-kubernetes-list-type`)."""

from __future__ import annotations

from collections.abc import Iterator

from demo.apiserver import causes
from demo.apiserver.causes import Cause, compact
from demo.apiserver.documents import Schema, Value, as_list, as_object, list_type, steps


def complaints(schema: Schema, value: Value, field: str = "") -> Iterator[Cause]:
    """What stands twice in a list that is a set, or under one key in a list that is a map."""
    elements = as_list(value)
    if elements is not None and list_type(schema) == "set":
        yield from _twice(elements, field)
    elif elements is not None and list_type(schema) == "map":
        yield from _one_key(schema, elements, field)
    for inner, one, at, _ in steps(schema, value, field):
        yield from complaints(inner, one, at)


def _one_key(schema: Schema, elements: list[Value], field: str) -> Iterator[Cause]:
    names = schema.get("x-kubernetes-list-map-keys", ())
    keys: list[Value] = []
    for index, one in enumerate(elements):
        held = {} if one is None else as_object(one)
        if held is None:
            detail = "must be an object for an array of list-type map"
            yield causes.invalid(f"{field}[{index}]", one, detail)
            return
        keys.append({name: held[name] for name in names if name in held})
    yield from _twice(keys, field)


def _twice(elements: list[Value], field: str) -> Iterator[Cause]:
    """Each second appearance; a third is not told again."""
    seen: dict[str, int] = {}
    for index, one in enumerate(elements):
        text = compact(one)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:  # noqa: PLR2004 - the second one
            yield causes.duplicate(f"{field}[{index}]", one)
