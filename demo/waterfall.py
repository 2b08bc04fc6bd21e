"""The trace of one event as a person sees it: a bar for each stage and each wait, on one scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from operators.model.outcome import Outcome
from streams.observability.span import Span

WIDTH = 40
_PREFIXES = ("zenstreams.", "http.")
_THE_SAME_EVERYWHERE = frozenset(
    {"k8s.audit_id", "server.address", "server.port", "zenstreams.buffer.policy"}
)
"""Attributes that tell a person nothing about this event."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stay: from when to when, in nanoseconds, and what was decided."""

    name: str
    start_ns: int
    end_ns: int
    note: str = ""


def bars_of(spans: Sequence[Span]) -> list[Bar]:
    """Read an event's trace: all spans but its root, which is the event as a whole."""
    return [
        Bar(span.name, span.start_ns, span.end_ns, ", ".join(_notes(span))) for span in spans[1:]
    ]


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


def _notes(span: Span) -> Iterator[str]:
    for key, value in span.attributes:
        if key not in _THE_SAME_EVERYWHERE:
            for prefix in _PREFIXES:
                key = key.removeprefix(prefix)  # noqa: PLW2901
            yield f"{key}={value}"
    if span.error_type:
        yield f"error={span.error_type}"
