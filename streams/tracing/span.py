"""A span, as it is told and drawn: OpenTelemetry's fields without its code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from operators.redact import redacted_text
from operators.trace import Context, SpanId, TraceId

VALUE_BYTES = 256
"""As much of a text as an attribute carries."""

Value = str | bool | int | float
Attribute = tuple[str, Value]


class SpanKind(Enum):
    """What part a span has in a conversation."""

    INTERNAL = auto()
    CLIENT = auto()
    """A request of ours."""
    PRODUCER = auto()
    """It hands the event on to be looked at later."""
    CONSUMER = auto()
    """It takes what a source said."""


class Span(msgspec.Struct):
    """One stay of an event: wall-clock nanoseconds, and what was decided.

    Its status is an error if ``error_type`` says which; ``parent_id`` is 0 for a root, and only roots have links.
    """

    name: str
    kind: SpanKind
    span_id: SpanId
    parent_id: SpanId
    start_ns: int
    end_ns: int
    attributes: Sequence[Attribute] = ()
    error_type: str = ""
    message: str = ""
    links: Sequence[Context] = ()


class SpanTree(msgspec.Struct):
    """All spans of one event, its root first."""

    trace_id: TraceId
    spans: list[Span]
    tracestate: str = ""


def clean(text: str) -> str:
    """A text as an attribute may carry it: what looks like a token masked, at most 256 bytes."""
    text = redacted_text(text)
    if len(text) <= VALUE_BYTES and text.isascii():
        return text
    return text.encode("utf-8", "replace")[:VALUE_BYTES].decode("utf-8", "ignore")
