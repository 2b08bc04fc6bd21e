"""The spans of one event, built from its ticket's timeline after it has ended.

A span has OpenTelemetry's fields without OpenTelemetry's classes (``streams.observability.otlp`` encodes it). Building
reads no clock and makes no choice: the caller passes the end time and has decided that the trace is exported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, auto
from functools import lru_cache
from typing import cast

import msgspec

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.delivery import Ticket
from operators.flow.trace import WAIT, SpanContext, SpanId, Trace, TraceId
from operators.model.content import redacted_text
from operators.model.event import ObjectState, Tombstone
from operators.model.outcome import FAULTS, UNSETTLED, Ending, Outcome
from sinks.sink import NO_RESPONSE, Attempt

VALUE_BYTES = 256
"""The longest text of an attribute, in bytes of UTF-8 (OpenTelemetry's SDK limits nothing unless configured)."""

UNEXPLAINED_NS = 1_000_000
"""From here on the time between the last mark and the settlement is a span: the process was not scheduled."""

ERRORS = frozenset({Ending.DROPPED, *FAULTS})
"""Endings with span status Error. Filtered, deduplicated, coalesced and throttled are not errors."""

_SHORTEST_TOKEN = 20
"""No shorter text matches a token's pattern (``operators.model.content``)."""
_FIRST_HTTP_ERROR = 400
_TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

AttributeValue = str | bool | int | float
Attribute = tuple[str, AttributeValue]
SharedAttributes = tuple[tuple[str, str | int], ...]
"""Attributes that many spans have, hashable, so that their encoding is cached. Texts and integers only: ``True`` and
``1.0`` equal ``1`` and would get its cached encoding."""
Interval = tuple[int, int]
"""Start and end, in wall-clock nanoseconds."""


class SpanKind(IntEnum):
    """OpenTelemetry's span kinds. Hashed once a span, and an ``IntEnum`` is hashed in C, a plain ``Enum`` in Python."""

    INTERNAL = auto()
    CLIENT = auto()
    """A request to the API server."""
    PRODUCER = auto()
    """The event is stored for later processing (dead letter)."""
    CONSUMER = auto()
    """The event is received from a source."""


class Span(msgspec.Struct):
    """One stage, wait or request of an event; times are wall-clock nanoseconds.

    The status is Error where ``error_type`` is set. ``parent_id`` is 0 for the root, which is the parent of every other
    span and the only one with links. ``attributes`` are this span's alone, ``shared_attributes`` recur in other spans.
    """

    name: str
    kind: SpanKind
    span_id: SpanId
    parent_id: SpanId
    start_ns: int
    end_ns: int
    shared_attributes: SharedAttributes = ()
    attributes: Sequence[Attribute] = ()
    error_type: str = ""
    message: str = ""
    links: Sequence[SpanContext] = ()

    @property
    def all_attributes(self) -> list[Attribute]:
        """Shared and own attributes, without ``error.type``."""
        return [*self.shared_attributes, *self.attributes]

    @property
    def is_root(self) -> bool:
        """Whether this is the span of the event as a whole."""
        return not self.parent_id


class SpanTree(msgspec.Struct):
    """All spans of one event, the root first."""

    trace_id: TraceId
    spans: list[Span]
    tracestate: str = ""


def clean(text: str) -> str:
    """Return a text as an attribute may carry it: tokens masked, then cut to 256 bytes of UTF-8."""
    is_ascii = text.isascii()
    if is_ascii and len(text) < _SHORTEST_TOKEN:
        return text
    # Masked before it is cut: half a token would not match a token's pattern.
    text = redacted_text(text)
    if is_ascii and len(text) <= VALUE_BYTES:
        return text
    return text.encode("utf-8", "replace")[:VALUE_BYTES].decode("utf-8", "ignore")


# --- how the mark of a stage becomes a span -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpanTemplate:
    """Name and attributes of a stage's spans.

    ``passed`` is set where the stage passed the event on without a detail, ``ended`` where the event ended in it.
    ``reason_key`` is the attribute for the outcome's reason, ``seconds_key`` for a detail that is a number of seconds.
    """

    name: str
    passed: SharedAttributes = ()
    ended: SharedAttributes = ()
    reason_key: str = ""
    seconds_key: str = ""


_RECEIVE = SpanTemplate("receive")
_BUFFER = SpanTemplate("buffer", reason_key="zenstreams.buffer.reason")
_WRITE = SpanTemplate("write Observation")
_TEMPLATES: Mapping[str, SpanTemplate] = {
    "receive": _RECEIVE,
    "buffer": _BUFFER,
    "deduplicate": SpanTemplate(
        "deduplicate",
        passed=(("zenstreams.dedup.verdict", "new"),),
        ended=(("zenstreams.dedup.verdict", "duplicate"),),
        reason_key="zenstreams.dedup.reason",
    ),
    "read": SpanTemplate("read Observation"),
    "write": _WRITE,
    "retry wait": SpanTemplate("retry wait", seconds_key="zenstreams.retry.wait_s"),
}
"""Stages whose span has another name or attributes; every other stage is a span of its own name without attributes."""

_DETAIL_KEYS: Mapping[str, str] = {
    key: f"zenstreams.{key}"
    for key in (
        "buffer.depth_out",
        "dedup.verdict",
        "filter.rule",
        "filter.verdict",
        "throttle.wait_ms",
    )
}
"""The keys of a mark's detail that are exported, and their attributes. Any other key is left out: an allow-list, so
that no stage can export a payload."""


def _template_of(stage: str) -> SpanTemplate:
    return _TEMPLATES.get(stage) or _plain(stage)


@lru_cache(maxsize=64)
def _plain(stage: str) -> SpanTemplate:
    return SpanTemplate(stage)


def _attributes_of(
    template: SpanTemplate, detail: object
) -> tuple[SharedAttributes, Sequence[Attribute]]:
    """Return the attributes for a mark's detail: an outcome, a number of seconds, or a mapping of allowed keys."""
    if isinstance(detail, dict):
        return (), list(_allowed(cast("Mapping[str, AttributeValue]", detail)))
    if isinstance(detail, Outcome):
        return _ended(template, detail), ()
    if isinstance(detail, int | float) and template.seconds_key:
        return (), [(template.seconds_key, float(detail))]
    return (), ()


def _ended(template: SpanTemplate, outcome: Outcome) -> SharedAttributes:
    if outcome.ending in FAULTS:
        return ()  # the stage failed before it came to a verdict
    if template.reason_key and outcome.reason:
        return (*template.ended, (template.reason_key, clean(outcome.reason)))
    return template.ended


def _allowed(detail: Mapping[str, AttributeValue]) -> Iterator[Attribute]:
    for key, value in detail.items():
        attribute = _DETAIL_KEYS.get(key)
        if attribute is not None:
            yield attribute, clean(value) if isinstance(value, str) else value


# --- the spans of one event -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SourceAttributes:
    """What the traces of one source have in common."""

    root_name: str
    root: SharedAttributes
    buffer: SharedAttributes
    request: SharedAttributes

    @classmethod
    def of(
        cls, source: str, *, kind: str, ingester: str, when_full: str, server: tuple[str, int]
    ) -> SourceAttributes:
        """Make them once for a source; ``server`` is host and port of the API server."""
        host, port = server
        return cls(
            f"process {source}",
            (
                ("zenstreams.source", source),
                ("zenstreams.source.kind", kind),
                ("zenstreams.ingester", ingester),
            ),
            (("zenstreams.buffer.policy", when_full),),
            (("server.address", host), ("server.port", port)),
        )


def build_spans(
    ticket: Ticket, trace: Trace, *, source: SourceAttributes, ended_ns: int
) -> list[Span]:
    """Build the spans of an event that ended at ``ended_ns`` (the ticket's clock): the root, then one a stage and wait.

    Every child starts where the one before it ended, so the children cover the root but for less than a millisecond.
    """
    return _SpanBuilder(ticket, trace, source=source, ended_ns=ended_ns).build()


class _SpanBuilder:
    """Builds the spans of one event."""

    __slots__ = ("_end_ns", "_marks", "_outcome", "_source", "_to_wall_ns", "_trace")

    def __init__(
        self, ticket: Ticket, trace: Trace, *, source: SourceAttributes, ended_ns: int
    ) -> None:
        self._trace = trace
        self._source = source
        self._marks = ticket.marks
        self._outcome = ticket.outcome or UNSETTLED
        # One reading of the wall clock anchors the monotonic timeline: a step of the wall clock while the event is in
        # flight cannot make a span negative.
        self._to_wall_ns = trace.wall_ns - ticket.began_ns
        self._end_ns = ended_ns + self._to_wall_ns

    def build(self) -> list[Span]:
        root_id, to_wall_ns = self._trace.root_id, self._to_wall_ns
        spans = [self._root()]
        start_ns = self._trace.wall_ns
        attempt = 0
        for place, (stage, mark_ns, detail) in enumerate(self._marks):
            end_ns = mark_ns + to_wall_ns
            if isinstance(detail, Attempt):
                attempt += stage == "write"
                spans += self._request(place, (start_ns, end_ns), detail=detail, attempt=attempt)
            else:
                template = _template_of(stage)
                span_id = self._trace.span_id(place)
                span = Span(template.name, SpanKind.INTERNAL, span_id, root_id, start_ns, end_ns)
                self._describe(span, template, detail)
                spans.append(span)
            start_ns = end_ns
        if self._outcome.ending is Ending.DEAD_LETTERED:
            spans.append(self._dead_letter(start_ns))
        elif self._end_ns - start_ns >= UNEXPLAINED_NS:
            spans.append(self._child("settle", len(self._marks), (start_ns, self._end_ns)))
        return spans

    def _child(self, name: str, place: int, interval: Interval) -> Span:
        trace = self._trace
        return Span(name, SpanKind.INTERNAL, trace.span_id(place), trace.root_id, *interval)

    def _describe(self, span: Span, template: SpanTemplate, detail: object) -> None:
        if detail is None:
            span.shared_attributes = template.passed
        else:
            span.shared_attributes, span.attributes = _attributes_of(template, detail)
            if isinstance(detail, Outcome):
                _set_error(span, detail)
        if template is _RECEIVE:
            span.attributes = (("zenstreams.payload.size", self._trace.payload_bytes),)
        elif template is _BUFFER:
            span.shared_attributes = self._source.buffer + span.shared_attributes

    def _request(
        self, place: int, interval: Interval, *, detail: Attempt, attempt: int
    ) -> list[Span]:
        """Return the span of a request; before it, that of its wait for the client's rate limit, if it waited."""
        template = _template_of(self._marks[place][0])
        start_ns, end_ns = interval
        waited_ns = int(detail.waited_seconds * NANOSECONDS_PER_SECOND)
        sent_ns = min(start_ns + waited_ns, end_ns)
        span = self._child(template.name, place, (sent_ns, end_ns))
        span.kind = SpanKind.CLIENT
        # The same text as in the request's Audit-ID header (Trace.correlation): by it the trace is joined with the API
        # server's audit log and its own spans.
        span.attributes = (("k8s.audit_id", f"{self._trace.trace_id:032x}-{span.span_id:016x}"),)
        span.shared_attributes = (("http.request.method", detail.method), *self._source.request)
        if detail.status == NO_RESPONSE:
            span.error_type = "unanswered"
        else:
            span.shared_attributes += (("http.response.status_code", detail.status),)
            if detail.status >= _FIRST_HTTP_ERROR:
                span.error_type = str(detail.status)
        if template is _WRITE:
            span.shared_attributes += (("zenstreams.sink.attempt", attempt),)
        if sent_ns == start_ns:
            return [span]
        return [self._child("client limit", WAIT | place, (start_ns, sent_ns)), span]

    def _dead_letter(self, start_ns: int) -> Span:
        span = self._child("dead letter", len(self._marks), (start_ns, self._end_ns))
        span.kind = SpanKind.PRODUCER
        span.shared_attributes = (
            ("zenstreams.dlq.name", "memory"),
            ("zenstreams.dlq.reason", clean(self._outcome.reason)),
        )
        return span

    def _root(self) -> Span:
        trace, source, outcome = self._trace, self._source, self._outcome
        shared = source.root + _event_attributes(trace) + _outcome_attributes(outcome)
        if trace.attempts:
            shared += (("zenstreams.sink.attempts", trace.attempts),)
        if trace.absorbed_count:
            shared += (("zenstreams.coalesced.count", trace.absorbed_count),)
        span = Span(
            source.root_name,
            SpanKind.CONSUMER,
            trace.root_id,
            0,
            trace.wall_ns,
            self._end_ns,
            shared,
            _object_attributes(trace) + _observation_attributes(trace, outcome),
            links=_links(trace, outcome),
        )
        _set_error(span, outcome)
        return span


def _set_error(span: Span, outcome: Outcome) -> None:
    if outcome.ending in ERRORS:
        span.error_type = outcome.error_type or outcome.reason or outcome.ending.value
        span.message = clean(outcome.detail)


def _event_attributes(trace: Trace) -> SharedAttributes:
    payload = trace.payload
    if not isinstance(payload, ObjectState | Tombstone):
        return (("zenstreams.event.type", "RECEIVED"),)
    change = payload.change.value if isinstance(payload, ObjectState) else "DELETED"
    resource = payload.resource
    return (
        ("zenstreams.event.type", change),
        ("zenstreams.object.gvr", f"{resource.api_version}/{resource.resource}"),
    )


def _object_attributes(trace: Trace) -> list[Attribute]:
    subject, payload = trace.subject, trace.payload
    is_object = isinstance(payload, ObjectState | Tombstone)
    values = (
        ("zenstreams.object.namespace", subject.namespace if subject is not None else ""),
        ("zenstreams.object.name", subject.name if subject is not None else ""),
        ("zenstreams.object.uid", payload.uid if is_object else ""),
        ("zenstreams.object.resource_version", payload.version if is_object else ""),
    )
    return [(key, clean(value)) for key, value in values if value]


def _outcome_attributes(outcome: Outcome) -> SharedAttributes:
    attributes: SharedAttributes = (("zenstreams.outcome", outcome.ending.value),)
    if outcome.operation:
        attributes += (("zenstreams.observation.operation", outcome.operation),)
    if outcome.reason:
        reason = clean(outcome.reason)
        attributes += (("zenstreams.outcome.reason", reason),)
        if outcome.ending is Ending.FILTERED:
            attributes += (("zenstreams.filter.rule", reason),)
    return attributes


def _observation_attributes(trace: Trace, outcome: Outcome) -> list[Attribute]:
    """Return namespace, name and uid of the Observation, as far as known; generated texts, so they need no masking."""
    namespace, name, uid = trace.observation
    values = (
        ("zenstreams.observation.namespace", namespace),
        ("zenstreams.observation.name", outcome.observation or name),
        ("zenstreams.observation.uid", outcome.observation_uid or uid),
    )
    return [pair for pair in values if pair[1]]


def _links(trace: Trace, outcome: Outcome) -> Sequence[SpanContext]:
    """Return links: of a duplicate to the first event, of a coalesced event to the newer one, and to those absorbed."""
    newer = trace.newer if outcome.ending is Ending.COALESCED else None
    if newer is None and not outcome.link:
        return trace.absorbed
    first = _context_of(outcome.link)
    before = [first] if first is not None else []
    if newer is not None:
        before.append((newer.trace_id, newer.root_id))
    return (*before, *trace.absorbed)


def _context_of(traceparent: str) -> SpanContext | None:
    """Parse a ``traceparent`` (W3C Trace Context, version 00); ``None`` for anything else, zero ids included."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    context = int(found[1], 16), int(found[2], 16)
    return context if all(context) else None
