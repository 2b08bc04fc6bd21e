"""YAML and JSON text as values that know their lines, bounded against text that was made to hurt.

Scalars are read as kubectl reads them (go-yaml 2: ``yes`` and ``on`` are true, ``010`` is eight).
No tag makes anything but text, numbers, booleans and null.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from streams.config.scalars import Scalar, scalar

MAX_DEPTH = 64
"""Deeper than any manifest, and far from Python's own limit."""
MAX_VALUES = 100_000
"""Values of one document with its aliases written out: a bomb of aliases never goes off."""

Location = tuple[str | int, ...]
Value = Scalar | dict[str, Any] | list[Any]

_MERGE = "<<"
_CORE = "tag:yaml.org,2002:"
_RESOLVED = frozenset(_CORE + name for name in ("bool", "int", "float", "null"))
_KNOWN = _RESOLVED | {None, "!", _CORE + "str", _CORE + "map", _CORE + "seq"}
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the text itself."""

    line: int
    message: str


@dataclass(slots=True)
class Document:
    """One document of a stream: its value, the lines of its places, and what is wrong with its text."""

    line: int
    value: Value = None
    lines: dict[Location, int] = field(default_factory=dict[Location, int])
    problems: list[Problem] = field(default_factory=list[Problem])

    def line_of(self, location: Location) -> int:
        """The line of a place, or of the nearest place around it."""
        while location not in self.lines and location:
            location = location[:-1]
        return self.lines.get(location, self.line)


class _RefusedError(Exception):
    """The text cannot be read on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, message)


def documents(text: str) -> Iterator[Document]:
    """Read a stream of documents; what cannot be read ends it, as the problem of a last one."""
    line = 1
    try:
        events = _events(text)
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                builder = _Builder(events)
                line = builder.document.line
                builder.build()
                yield builder.document
    except _RefusedError as error:
        yield Document(error.problem.line, problems=[error.problem])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = mark.line + 1 if mark is not None else line
        said = ", ".join(filter(None, (error.problem, error.context)))
        yield Document(where, problems=[Problem(where, f"not YAML: {said}")])
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        where = text.count("\n", 0, position) + 1
        said = str(error).splitlines()[0]
        yield Document(where, problems=[Problem(where, f"not YAML: {said}")])


def json_as_yaml(text: str) -> str:
    """Take from JSON the two things that YAML does not have: tabs, and pairs of surrogates.

    A tab is legal JSON only between values, so that no value changes.
    """
    return _ESCAPE.sub(_joined, text.replace("\t", " "))


def _joined(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]
    return bytes.fromhex(match[1] + match[2]).decode("utf-16-be")


def _events(text: str) -> Iterator[yaml.Event]:
    # The compiled parser is twenty times as fast; a Python without it reads the same.
    parser: object = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    parse = cast("Callable[..., Iterator[yaml.Event]]", yaml.parse)  # pyright: ignore[reportUnknownMemberType]  half typed
    return parse(text, Loader=parser)


@dataclass(frozen=True, slots=True)
class _Anchored:
    """A value with an anchor; its size and its depth count with all aliases written out."""

    value: Value
    values: int
    depth: int


class _Builder:
    """Builds one document of its events; recursion is bounded by ``MAX_DEPTH``."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, _Anchored] = {}
        self._values = 0
        self._deepest = 0
        self._first = next(events)
        self.document = Document(_line(self._first))

    def build(self) -> None:
        self.document.value = self._value(self._first, ())

    def _value(self, event: yaml.Event, location: Location) -> Value:
        self.document.lines.setdefault(location, _line(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, len(location))
        values, deepest, self._deepest = self._values, self._deepest, 0
        self._count(event, values=1, depth=len(location))
        value = self._made(event, location)
        anchor = getattr(event, "anchor", None)
        if isinstance(anchor, str):
            depth = self._deepest - len(location)
            self._anchors[anchor] = _Anchored(value, self._values - values, depth)
        self._deepest = max(deepest, self._deepest)
        return value

    def _made(self, event: yaml.Event, location: Location) -> Value:
        tag = getattr(event, "tag", None)
        if tag not in _KNOWN:
            said = f"found the tag {tag}; text, numbers, true, false and null are allowed"
            self.document.problems.append(Problem(_line(event), said))
        if isinstance(event, yaml.ScalarEvent):
            plain = (tag is None and event.implicit[0]) or tag in _RESOLVED
            return scalar(event.value) if plain else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(location)
        return self._mapping(location)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Value:
        known = self._anchors.get(event.anchor)
        if known is None:
            raise _RefusedError(_line(event), f"the alias *{event.anchor} has no anchor before it")
        self._count(event, values=known.values, depth=depth + known.depth)
        return known.value

    def _sequence(self, location: Location) -> Value:
        entries: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            entries.append(self._value(event, (*location, len(entries))))
        return entries

    def _mapping(self, location: Location) -> Value:
        fields: dict[str, Any] = {}
        merged: list[tuple[int, Value]] = []
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _RefusedError(_line(event), "found a key that is no text")
            if event.value == _MERGE and event.implicit[0]:
                value = self._value(next(self._events), (*location, _MERGE))
                merged.append((_line(event), value))
            else:
                self._field(event, fields, location=location)
        for line, value in merged:
            self._merge(line, value, fields)
        return fields

    def _field(
        self, event: yaml.ScalarEvent, fields: dict[str, Any], *, location: Location
    ) -> None:
        key, line = event.value, _line(event)
        if key in fields:
            first = self.document.lines[*location, key]
            said = f"the key {key!r} stands twice, first in line {first}"
            self.document.problems.append(Problem(line, said))
        self.document.lines[*location, key] = line
        fields[key] = self._value(next(self._events), (*location, key))

    def _merge(self, line: int, value: Value, fields: dict[str, Any]) -> None:
        """Add what ``<<`` names; what a mapping says itself goes before it."""
        for each in cast("list[Any]", value if isinstance(value, list) else [value]):
            if not isinstance(each, dict):
                raise _RefusedError(line, "found << with something else than a mapping")
            for key, inner in cast("dict[str, Any]", each).items():
                fields.setdefault(key, inner)

    def _count(self, event: yaml.Event, *, values: int, depth: int) -> None:
        self._values += values
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            raise _RefusedError(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        if self._values > MAX_VALUES:
            raise _RefusedError(_line(event), f"more than {MAX_VALUES} values in one document")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1
