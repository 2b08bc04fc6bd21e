r"""The simple JSONPath of printer columns: fields, elements, slices, `*`, and a filter on one field.

`.status.conditions[?(@.type=="Ready")].status`, `.metadata.annotations.a\.b/c`, `.spec.list[*].name`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from demo.apiserver.documents import Object, Value, as_list, as_object

Step = Callable[[Value], list[Value]]

_PARSED = 512
"""Far more columns than the definitions of a demonstration have; the oldest is parsed again."""

_STEP = re.compile(
    r"""(?:\.|\[)(?P<all>\*)\]?
    | \.(?P<field>(?:[^.\[\]\\]|\\.)+)
    | \[\?\(\s*@\.(?P<by>[-\w.]+)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[-\w.]+)\s*\)\]
    | \['(?P<quoted>(?:[^'\\]|\\.)+)'\]
    | \[(?P<start>-?[0-9]*):(?P<end>-?[0-9]*)\]
    | \[(?P<index>-?[0-9]+)\]
    """,
    re.VERBOSE,
)


class PathError(ValueError):
    """A path that is no simple JSONPath."""


def found(path: str, obj: Object) -> list[Value]:
    """What stands at the path; none if nothing does. Raises PathError."""
    values: list[Value] = [obj]
    for step in _parsed(path):
        values = [one for value in values for one in step(value)]
    return values


@lru_cache(maxsize=_PARSED)
def _parsed(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise PathError(f"{path[position:]!r} is no step of a simple JSONPath")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["field"] or match["quoted"]:
        return _field(re.sub(r"\\(.)", r"\1", match["field"] or match["quoted"]))
    if match["by"]:
        return _filter(match["by"], match["value"].strip("\"'"), match["operator"] == "==")
    if match["index"]:
        return _element(int(match["index"]))
    if match["all"]:
        return _all
    return _slice(_bound(match["start"]), _bound(match["end"]))


def _bound(text: str) -> int | None:
    return int(text) if text else None


def _field(name: str) -> Step:
    def step(value: Value) -> list[Value]:
        held = as_object(value) or {}
        return [held[name]] if name in held else []

    return step


def _filter(by: str, wanted: str, equal: bool) -> Step:  # noqa: FBT001 - the two operators
    def is_wanted(element: Value) -> bool:
        values = found(f".{by}", as_object(element) or {})
        return (str(values[0]) == wanted) is equal if values else False

    return lambda value: [one for one in as_list(value) or [] if is_wanted(one)]


def _element(index: int) -> Step:
    def step(value: Value) -> list[Value]:
        elements = as_list(value) or []
        return [elements[index]] if -len(elements) <= index < len(elements) else []

    return step


def _slice(start: int | None, end: int | None) -> Step:
    return lambda value: (as_list(value) or [])[start:end]


def _all(value: Value) -> list[Value]:
    return list((as_object(value) or {}).values()) or list(as_list(value) or [])
