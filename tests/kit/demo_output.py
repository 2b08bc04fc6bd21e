"""The structure of what a demonstration says to a person: what stays when the numbers change."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"\d+(?:\.\d+)?"
_ENDED = r"\d+ \w+(?: \([^)]*\))?"
_PROGRESS = re.compile(
    rf" *{_NUMBER} s  \d+ received = {_ENDED}(?: \+ {_ENDED})* \+ \d+ in flight;"
    rf" {_NUMBER}/s, p50 {_NUMBER} ms, p95 {_NUMBER} ms"
)
_EQUATION = re.compile(
    rf"  (\S+) +\d+ received = {_ENDED}(?: \+ {_ENDED})* \+ 0 in flight; balance 0"
)
_TIMELINE = re.compile(rf"[\w-]+/[\w-]+: \S+, {_NUMBER} ms, (\w+): .+")
_BAR = re.compile(rf"  (\w[\w ]*?) +{_NUMBER} ms \|[█# ]{{40}}\|(?: .+)?")


@dataclass(frozen=True)
class Shape:
    """What was said, without its numbers."""

    speed: str
    shows_progress: bool
    columns: tuple[str, ...]
    rows: int
    sources: tuple[str, ...]
    timelines: tuple[tuple[str, ...], ...]
    """For each event explained: its ending, then its stages in order."""


def shape_of(text: str) -> Shape:
    """Read an output; a line that is out of shape is not found in it."""
    lines = text.splitlines()
    timelines: list[list[str]] = []
    for line in lines:
        if found := _TIMELINE.fullmatch(line):
            timelines.append([found.group(1)])
        elif timelines and (found := _BAR.fullmatch(line)):
            timelines[-1].append(found.group(1))
    (header,) = [at for at, line in enumerate(lines) if line.startswith("NAMESPACE ")]
    after = lines[header + 1 :]
    return Shape(
        speed=next((line for line in lines if "--write-qps" in line), ""),
        shows_progress=any(map(_PROGRESS.fullmatch, lines)),
        columns=tuple(lines[header].split()),
        rows=next(at for at, line in enumerate(after) if not line or line.startswith("...")),
        sources=tuple(found.group(1) for found in map(_EQUATION.fullmatch, lines) if found),
        timelines=tuple(map(tuple, timelines)),
    )
