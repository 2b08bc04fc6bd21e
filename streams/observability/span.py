"""A span, as it is told and drawn: OpenTelemetry's fields without its code."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, auto

import msgspec

from operators.flow.trace import Context, SpanId, TraceId
from operators.model.masking import redacted_text

VALUE_BYTES = 256
"""As much of a text as an attribute carries."""

Value = str | bool | int | float
Attribute = tuple[str, Value]
Words = tuple[tuple[str, str | int], ...]
"""Attributes that many spans have: texts and whole numbers, so that equal ones say the same."""


class SpanKind(IntEnum):
    """What part a span has in a conversation; numbers, because they are looked up by the million."""

    INTERNAL = auto()
    CLIENT = auto()
    """A request of ours."""
    PRODUCER = auto()
    """It hands the event on to be looked at later."""
    CONSUMER = auto()
    """It takes what a source said."""


class Span(msgspec.Struct):
    """One stay of an event: wall-clock nanoseconds, and what was decided.

    Its status is an error if ``error_type`` says which; ``parent_id`` is 0 for a root, the parent of all others, and
    only roots have links. What many spans say the same is in ``words``, what this one alone says in ``own``.
    """

    name: str
    kind: SpanKind
    span_id: SpanId
    parent_id: SpanId
    start_ns: int
    end_ns: int
    words: Words = ()
    own: Sequence[Attribute] = ()
    error_type: str = ""
    message: str = ""
    links: Sequence[Context] = ()

    @property
    def attributes(self) -> list[Attribute]:
        """All it says, but for its error."""
        return [*self.words, *self.own]

    @property
    def is_root(self) -> bool:
        """Whether it is the event's own span."""
        return not self.parent_id


class SpanTree(msgspec.Struct):
    """All spans of one event, its root first."""

    trace_id: TraceId
    spans: list[Span]
    tracestate: str = ""


SHORTEST_TOKEN = 20
"""Nothing shorter looks like a token (``operators.model.masking``)."""


def clean(text: str) -> str:
    """A text as an attribute may carry it: what looks like a token masked, at most 256 bytes."""
    is_ascii = text.isascii()
    if is_ascii and len(text) < SHORTEST_TOKEN:
        return text
    text = redacted_text(text)
    if is_ascii and len(text) <= VALUE_BYTES:
        return text
    return text.encode("utf-8", "replace")[:VALUE_BYTES].decode("utf-8", "ignore")
