"""The trace of one event as it travels with it: ids made at reception, links, and whether its export is reserved.

Spans are built from the ticket's timeline when the event has ended. The ids of the children follow from the root's, so
that a request can carry its span's id before the span exists. Context is never ambient: it is reached by the ticket.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from operators.model.event import ObjectRef, Payload

LINKS_MAXIMUM = 32
"""How many of the events it replaced a root links to; their count continues beyond."""

WAIT = 1 << 32
"""Distinguishes the span of a wait inside a request from the request's own: no timeline has as many marks."""

TraceId = int
SpanId = int
SpanContext = tuple[TraceId, SpanId]


Reserve = Callable[[], bool]
"""Reserves the export of one trace; false where nothing is exported, or the budget does not allow it."""


class Correlation(msgspec.Struct, frozen=True):
    """What one request carries, so that it is found in the traces and in the API server's audit log."""

    traceparent: str
    audit_id: str


class TraceContext(msgspec.Struct, frozen=True):
    """The trace context that a sender passed with an event (W3C Trace Context)."""

    traceparent: str
    tracestate: str = ""


class Trace(msgspec.Struct):
    """The trace of one event; of the event it refers to what identifies it, never to its bytes, hence to no secret.

    ``wall_ns`` is the wall-clock time at which the timeline began; all other times are monotonic.
    """

    trace_id: TraceId
    root_id: SpanId
    wall_ns: int
    reserve_export: Reserve
    payload: Payload
    subject: ObjectRef | None
    payload_bytes: int
    attempts: int = 0
    """How often the sink has tried to write the change."""
    observation: tuple[str, str, str] = ("", "", "")
    """Namespace, name and uid of the Observation, as far as they are known."""
    newer: Trace | None = None
    """The event of the same key that replaces this one, should this one end ``coalesced``."""
    absorbed: tuple[SpanContext, ...] = ()
    """The events that this one replaced, newest first, at most 32."""
    absorbed_count: int = 0
    reserved: bool | None = None
    """Whether the export is reserved; None before ``reserve`` was called."""
    ended_ns: int = 0
    """When the event ended, by the monotonic clock of its ticket."""

    def span_id(self, place: int) -> SpanId:
        """Return the id of the span that ends at a mark, by its place in the timeline.

        Different for every place, and never zero, as the root's highest bit is set.
        """
        return self.root_id ^ (place + 1)

    def reserve(self) -> bool:
        """Reserve the export before something durable (a request, an Observation) names this trace; idempotent."""
        if self.reserved is None:
            self.reserved = self.reserve_export()
        return self.reserved

    @property
    def traceparent(self) -> str:
        """The root as W3C Trace Context; the sampled flag is set if the export is reserved."""
        return self._traceparent(self.root_id)

    def correlation(self, place: int) -> Correlation:
        """Return what a request carries whose mark will stand at this place of the timeline."""
        span_id = self.span_id(place)
        audit_id = f"{self.trace_id:032x}-{span_id:016x}"
        return Correlation(self._traceparent(span_id), audit_id)

    def absorb(self, older: Trace) -> None:
        """Link to an older event that this one replaces, and to those that the older one replaced."""
        absorbed = ((older.trace_id, older.root_id), *older.absorbed, *self.absorbed)
        self.absorbed = absorbed[:LINKS_MAXIMUM]
        self.absorbed_count += 1 + older.absorbed_count

    def _traceparent(self, span_id: SpanId) -> str:
        flags = "01" if self.reserved else "00"
        return f"00-{self.trace_id:032x}-{span_id:016x}-{flags}"
