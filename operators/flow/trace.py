"""The trace of one event, as it travels with it: ids made at reception, links, and whether it will be kept.

Spans are made from the ticket's timeline when the event has ended; the ids of the children follow from the root's,
so that a request can carry its span's id before the span exists. Nothing here is ambient: who has the ticket has it.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from operators.model.event import Change, Kind

LINKS_MOST = 32
"""As many of the events it took the place of as a root links to; the count goes on."""

WAIT = 1 << 32
"""Sets the span of a wait inside a request apart from the request's own: no timeline is as long."""

TraceId = int
SpanId = int
Context = tuple[TraceId, SpanId]


class Keeper(Protocol):
    """Whoever decides which traces are kept."""

    def reserve(self) -> bool:
        """Promise to keep a trace of which something durable will speak; false where there is no room for it."""
        ...


class Correlation(msgspec.Struct, frozen=True):
    """By which one request is found again: in the traces, and in the API server's audit log."""

    traceparent: str
    audit_id: str


class Trace(msgspec.Struct):
    """What is known of an event besides its timeline; it holds no body, hence no secret.

    ``wall_ns`` is the time of day at which the timeline began; all other moments are monotonic.
    """

    trace_id: TraceId
    root_id: SpanId
    wall_ns: int
    keeper: Keeper
    kind: Kind
    change: Change
    namespace: str
    name: str
    uid: str
    version: str
    payload_bytes: int
    attempts: int = 0
    """How often the sink tried to carry out the change."""
    observation: tuple[str, str, str] = ("", "", "")
    """Namespace, name and uid of the Observation, as far as they are known."""
    newer: Trace | None = None
    """The event of the same key that takes the place of this one, should this one end ``coalesced``."""
    absorbed: tuple[Context, ...] = ()
    """The events this one took the place of, the newest first, at most 32."""
    absorbed_count: int = 0
    promised: bool | None = None
    """What was answered when it was asked for; ``None`` before."""
    ended_ns: int = 0
    """When the event ended, by the monotonic clock of its ticket."""

    def span_id(self, place: int) -> SpanId:
        """The id of the span that the mark at this place of the timeline ends.

        Different for every place, and never zero, as a root's highest bit is set.
        """
        return self.root_id ^ (place + 1)

    def reserve(self) -> bool:
        """Ask, once, that it be kept whatever becomes of the event; the answer holds until the end."""
        if self.promised is None:
            self.promised = self.keeper.reserve()
        return self.promised

    @property
    def traceparent(self) -> str:
        """The root as W3C Trace Context writes it; the flag says whether it is promised to be kept."""
        return self._traceparent(self.root_id)

    def correlation(self, place: int) -> Correlation:
        """What a request carries whose mark will stand at this place of the timeline."""
        span_id = self.span_id(place)
        audit_id = f"{self.trace_id:032x}-{span_id:016x}"
        return Correlation(self._traceparent(span_id), audit_id)

    def absorb(self, older: Trace) -> None:
        """Take the place of an older event, and of those whose place it had taken."""
        absorbed = ((older.trace_id, older.root_id), *older.absorbed, *self.absorbed)
        self.absorbed = absorbed[:LINKS_MOST]
        self.absorbed_count += 1 + older.absorbed_count

    def _traceparent(self, span_id: SpanId) -> str:
        flags = "01" if self.promised else "00"
        return f"00-{self.trace_id:032x}-{span_id:016x}-{flags}"
