"""What a reflector asks for, and what came of what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.sources.informer.book import Silence
from streams.sources.informer.notice import Notice


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask whether the server serves what is to be watched."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """Ask for a page of a list."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Open a watch, and tell every line."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask nothing before a moment (monotonic nanoseconds)."""

    until_ns: int


Step = Resolve | ListPage | OpenWatch | Wait


@dataclass(slots=True)
class Heard:
    """What came of one page or one line: notices to tell, and how much is told to nobody, and why."""

    notices: list[Notice] = field(default_factory=list[Notice])
    silent: int = 0
    why: Silence = Silence.DUPLICATE
