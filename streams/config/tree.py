"""YAML and JSON text as trees that know their lines, bounded against text that was made to hurt.

Scalars are read as kubectl reads them (go-yaml 2: ``yes`` and ``on`` are true, ``010`` is eight).
No tag makes anything but text, numbers, booleans and null.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import yaml

from streams.config.scalars import Scalar, scalar

MAX_DEPTH = 64
"""Deeper than any manifest, and far from Python's own limit."""
MAX_VALUES = 100_000
"""Values of one document with its aliases written out: a bomb of aliases stays a bomb on paper."""

_CORE = "tag:yaml.org,2002:"
_MERGE = "<<"
_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value and the line it stands on; under a key, the line of the key.

    ``values`` and ``depth`` count with all aliases written out.
    """

    line: int
    value: Scalar | Mapping[str, Node] | Sequence[Node]
    values: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with the text itself."""

    line: int
    message: str


@dataclass(slots=True)
class Document:
    """One document of a stream, and what is wrong with its text; without a root it could not be read."""

    root: Node | None = None
    problems: list[Problem] = field(default_factory=lambda: [])


class _RefusedError(Exception):
    """The text cannot be read on."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(line, message)
