"""YAML and JSON text as trees that know their lines, bounded against text that was made to hurt.

Scalars are read as kubectl reads them (go-yaml 2: ``yes`` and ``on`` are true, ``010`` is eight).
No tag makes anything but text, numbers, booleans and null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from streams.config.scalars import Scalar, scalar

MAX_DEPTH = 64
"""Deeper than any manifest, and far from Python's own limit."""
MAX_VALUES = 100_000
"""Values of one document with its aliases written out: a bomb of aliases stays a bomb on paper."""

Location = tuple[str | int, ...]
Value = Scalar | dict[str, Any] | list[Any]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the text itself."""

    line: int
    message: str


@dataclass(slots=True)
class Document:
    """One document of a stream: its value, the lines of all its places, and what is wrong with its text."""

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
    """Read a stream of documents; what cannot be read ends the stream, with a problem in its last document."""
    line = 1
    try:
        parse = cast("Callable[[str], Iterator[yaml.Event]]", yaml.parse)  # pyright: ignore[reportUnknownMemberType]  half typed
        events = parse(text)
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
        yield Document(where, problems=[Problem(where, f"not YAML: {error.problem}")])
    except yaml.YAMLError as error:
        said = str(error).splitlines()[0]
        yield Document(line, problems=[Problem(line, f"not YAML: {said}")])


class _Builder:
    """Builds one document of its events; recursion is bounded by ``MAX_DEPTH``."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._anchors: dict[str, tuple[Value, int]] = {}
        self._values = 0
        first = next(events)
        self._first = first
        self.document = Document(_line(first))

    def build(self) -> None:
        self.document.value = self._value(self._first, ())

    def _value(self, event: yaml.Event, location: Location) -> Value:
        self.document.lines.setdefault(location, _line(event))
        if len(location) > MAX_DEPTH:
            raise _RefusedError(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._values
        self._count(event, 1)
        value = self._made(event, location)
        anchor = getattr(event, "anchor", None)
        if isinstance(anchor, str):
            self._anchors[anchor] = value, self._values - before
        return value

    def _made(self, event: yaml.Event, location: Location) -> Value:
        if isinstance(event, yaml.ScalarEvent):
            plain = event.implicit[0] and event.tag is None
            return scalar(event.value) if plain else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(location)
        return self._mapping(location)

    def _alias(self, event: yaml.AliasEvent) -> Value:
        if event.anchor not in self._anchors:
            raise _RefusedError(_line(event), f"the alias *{event.anchor} has no anchor before it")
        value, size = self._anchors[event.anchor]
        self._count(event, size)
        return value

    def _sequence(self, location: Location) -> Value:
        items: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._value(event, (*location, len(items))))
        return items

    def _mapping(self, location: Location) -> Value:
        fields: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _RefusedError(line, "found a key that is no text")
            key = event.value
            if key in fields:
                first = self.document.lines[*location, key]
                self.document.problems.append(
                    Problem(line, f"the key {key!r} stands twice, first in line {first}")
                )
            self.document.lines[*location, key] = line
            fields[key] = self._value(next(self._events), (*location, key))
        return fields

    def _count(self, event: yaml.Event, values: int) -> None:
        self._values += values
        if self._values > MAX_VALUES:
            raise _RefusedError(_line(event), f"more than {MAX_VALUES} values in one document")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1
