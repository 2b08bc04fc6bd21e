"""YAML and JSON text as values with their lines, bounded in depth and size so that no text exhausts the process.

Scalars are read as kubectl reads them (go-yaml 2: ``yes`` and ``on`` are true, ``010`` is eight).
No tag makes anything but text, numbers, booleans and null.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

MAX_DEPTH = 64
"""Deeper than any manifest, and far below Python's recursion limit."""
MAX_VALUES = 100_000
"""Values of one document with its aliases expanded, against exponential expansion (\"billion laughs\")."""

Location = tuple[str | int, ...]
Scalar = str | int | float | bool | None
Value = Scalar | dict[str, Any] | list[Any]

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(
        ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True
    ),
    **dict.fromkeys(
        ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False
    ),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys(
        (".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"),
        math.inf,
    ),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_WHOLE = re.compile(r"([-+]?)(?:0[bB]([01]+)|0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = (2, 8, 16, 10)
_MAX_NUMBER_CHARACTERS = 64
"""Longer text is not read as a number: parsing takes time that grows with its square."""
_LEAST_INTEGER, _MOST_INTEGER = -(2**63), 2**64 - 1
_EXPONENT_FROM = 1e21
"""From here on Go formats a float with an exponent, below without: there a whole float is read as an integer."""

_MERGE = "<<"
_CORE = "tag:yaml.org,2002:"
_RESOLVED = frozenset(_CORE + name for name in ("bool", "int", "float", "null"))
_KNOWN = _RESOLVED | {None, "!", _CORE + "str", _CORE + "map", _CORE + "seq"}
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)")


@dataclass(frozen=True, slots=True)
class Problem:
    """An error of the text itself, which no value can show."""

    line: int
    message: str


@dataclass(slots=True)
class Document:
    """One document of a stream: its value, the line of each place, and the errors of its text."""

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
    """The rest of the text cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, message)


def documents(text: str) -> Iterator[Document]:
    """Read a stream of documents; text that cannot be read ends the stream, as the problem of a last document."""
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
        reason = ", ".join(filter(None, (error.problem, error.context)))
        yield Document(where, problems=[Problem(where, f"not YAML: {reason}")])
    except yaml.YAMLError as error:
        position = getattr(error, "position", 0)
        where = text.count("\n", 0, position) + 1
        reason = str(error).splitlines()[0]
        yield Document(where, problems=[Problem(where, f"not YAML: {reason}")])


def json_as_yaml(text: str) -> str:
    """Replace the two parts of JSON that YAML does not have: tabs, and pairs of surrogates.

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
    """A value with an anchor; its size and its depth count with all aliases expanded."""

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
            message = f"found the tag {tag}, allowed: text, numbers, true, false and null"
            self.document.problems.append(Problem(_line(event), message))
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
                raise _RefusedError(_line(event), "found a key that is not text")
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
            message = f"found the key {key!r} a second time; the first is in line {first}"
            self.document.problems.append(Problem(line, message))
        self.document.lines[*location, key] = line
        fields[key] = self._value(next(self._events), (*location, key))

    def _merge(self, line: int, value: Value, fields: dict[str, Any]) -> None:
        """Add the fields of the mappings that ``<<`` names; the mapping's own fields take precedence."""
        for each in cast("list[Any]", value if isinstance(value, list) else [value]):
            if not isinstance(each, dict):
                raise _RefusedError(line, "found << with a value that is not a mapping")
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


def scalar(text: str) -> Scalar:
    """Read an unquoted scalar: null, a boolean, a number, or else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _MAX_NUMBER_CHARACTERS:
        return text
    number = _number(text.replace("_", ""))
    return text if number is None else number


def _number(plain: str) -> int | float | None:
    match = _WHOLE.fullmatch(plain)
    if match is not None:
        digits = next(
            int(found, base)
            for found, base in zip(match.groups()[1:], _BASES, strict=True)
            if found is not None
        )
        whole = -digits if match[1] == "-" else digits
        if _LEAST_INTEGER <= whole <= _MOST_INTEGER:
            return whole
    if not _FLOAT.fullmatch(plain):
        return None
    number = float(plain)
    if math.isinf(number):
        return None
    return int(number) if number.is_integer() and abs(number) < _EXPONENT_FROM else number
