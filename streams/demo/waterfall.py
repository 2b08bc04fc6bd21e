"""The timeline of one event as a person sees it: a bar for each stage and each wait, on one scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from operators.delivery import Ticket
from operators.outcome import Outcome
from sinks.asking import NO_ANSWER, Attempt

WIDTH = 40


@dataclass(frozen=True, slots=True)
class Bar:
    """A stage: from when to when, in nanoseconds, and what it decided."""

    name: str
    start_ns: int
    end_ns: int
    note: str = ""


def bars_of(ticket: Ticket) -> list[Bar]:
    """Read an event's timeline: a stage begins where the one before it let go."""
    bars: list[Bar] = []
    began_ns = ticket.began_ns
    for stage, let_go_ns, detail in ticket.marks:
        bars.append(Bar(stage, began_ns, let_go_ns, _note(detail)))
        began_ns = let_go_ns
    return bars


def waterfall(bars: Sequence[Bar], *, block: str = "█") -> list[str]:
    """Draw the bars, a line each: stage, milliseconds, bar, note."""
    if not bars:
        return []
    first_ns, last_ns = bars[0].start_ns, bars[-1].end_ns
    widest = max(len(bar.name) for bar in bars)
    scale = WIDTH / max(last_ns - first_ns, 1)
    lines: list[str] = []
    for bar in bars:
        left = min(int((bar.start_ns - first_ns) * scale), WIDTH - 1)
        right = max(int((bar.end_ns - first_ns) * scale), left + 1)
        drawn = (" " * left + block * (right - left)).ljust(WIDTH)
        took_ms = (bar.end_ns - bar.start_ns) / 1e6
        lines.append(f"{bar.name:<{widest}} {took_ms:>9.3f} ms |{drawn}| {bar.note}".rstrip())
    return lines


def said(outcome: Outcome) -> str:
    """How an event ended, in one line."""
    more = (outcome.operation, outcome.reason, outcome.detail)
    return ": ".join((outcome.ending.value, *(one for one in more if one)))


def _note(detail: object) -> str:
    if isinstance(detail, Outcome):
        return said(detail)
    if isinstance(detail, Attempt):
        answer = (
            f"{detail.method} {detail.status}"
            if detail.status != NO_ANSWER
            else f"{detail.method}, no answer"
        )
        waited = f", {detail.waited_seconds * 1e3:.1f} ms of it for the client's own limit"
        return f"{answer}{waited if detail.waited_seconds else ''}"
    if isinstance(detail, float):
        return f"waited {detail:.1f} s before the next try"
    if isinstance(detail, Mapping):
        attributes = cast("Mapping[str, object]", detail)
        return ", ".join(f"{key}={value}" for key, value in attributes.items())
    return ""
