"""The spans of one event, from its ticket: no protocol, no clock, no choice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.delivery import Ticket
from operators.flow.trace import WAIT, Context, Trace
from operators.model.outcome import FAULTS, UNSETTLED, Ending, Outcome
from sinks.asking import NO_ANSWER, Attempt
from streams.observability.span import Attribute, Span, SpanKind, Words, clean
from streams.observability.stages import BUFFER, RECEIVE, WRITE, Stage, stage_of, words_of

ERRORS = frozenset({Ending.DROPPED, *FAULTS})
"""Endings that are errors; filtered, deduplicated, coalesced and throttled are not."""

UNEXPLAINED_NS = 1_000_000
"""From here on the time between the last mark and the books is a span too: a machine that had no time for us."""

_FIRST_HTTP_ERROR = 400
_TRACEPARENT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")

Stay = tuple[int, int]
"""From when to when, in wall-clock nanoseconds."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What all traces of one source have in common."""

    root_name: str
    root: Words
    buffer: Words
    request: Words


def scope_of(
    source: str, *, kind: str, ingester: str, when_full: str, server: tuple[str, int]
) -> Scope:
    """Say it once; ``server`` is the host and the port of the API server."""
    host, port = server
    return Scope(
        f"process {source}",
        (
            ("zenstreams.source", source),
            ("zenstreams.source.kind", kind),
            ("zenstreams.ingester", ingester),
        ),
        (("zenstreams.buffer.policy", when_full),),
        (("server.address", host), ("server.port", port)),
    )


def spans_of(ticket: Ticket, trace: Trace, *, scope: Scope, ended_ns: int) -> list[Span]:
    """Make the spans of an event that has ended: its root, then one for every stay and wait.

    A child begins where the one before it ended, so that no time is unexplained.
    """
    return _Builder(ticket, trace, scope=scope, ended_ns=ended_ns).spans()


class _Builder:
    """One event's spans in the making."""

    __slots__ = ("_end_ns", "_marks", "_outcome", "_scope", "_to_wall", "_trace")

    def __init__(self, ticket: Ticket, trace: Trace, *, scope: Scope, ended_ns: int) -> None:
        self._trace = trace
        self._scope = scope
        self._marks = ticket.marks
        self._outcome = ticket.outcome or UNSETTLED
        self._to_wall = trace.wall_ns - ticket.began_ns
        self._end_ns = ended_ns + self._to_wall

    def spans(self) -> list[Span]:
        root_id, to_wall = self._trace.root_id, self._to_wall
        spans = [self._root()]
        began_ns = self._trace.wall_ns
        attempt = 0
        for place, (mark, let_go_ns, detail) in enumerate(self._marks):
            end_ns = let_go_ns + to_wall
            if isinstance(detail, Attempt):
                attempt += mark == "write"
                stay = began_ns, end_ns
                spans += self._request(place, stay, detail=detail, attempt=attempt)
            else:
                stage = stage_of(mark)
                span_id = self._trace.span_id(place)
                span = Span(stage.name, SpanKind.INTERNAL, span_id, root_id, began_ns, end_ns)
                self._describe(span, stage, detail)
                spans.append(span)
            began_ns = end_ns
        if self._outcome.ending is Ending.DEAD_LETTERED:
            spans.append(self._dead_letter(began_ns))
        elif self._end_ns - began_ns >= UNEXPLAINED_NS:
            spans.append(self._child("settle", len(self._marks), (began_ns, self._end_ns)))
        return spans

    def _child(self, name: str, place: int, stay: Stay) -> Span:
        trace = self._trace
        return Span(name, SpanKind.INTERNAL, trace.span_id(place), trace.root_id, *stay)

    def _describe(self, span: Span, stage: Stage, detail: object) -> None:
        if detail is None:
            span.words = stage.passed
        else:
            span.words, span.own = words_of(stage, detail)
            if isinstance(detail, Outcome):
                _fail(span, detail)
        if stage is RECEIVE:
            span.own = (("zenstreams.payload.size", self._trace.payload_bytes),)
        elif stage is BUFFER:
            span.words = self._scope.buffer + span.words

    def _request(self, place: int, stay: Stay, *, detail: Attempt, attempt: int) -> list[Span]:
        stage = stage_of(self._marks[place][0])
        began_ns, end_ns = stay
        waited_ns = int(detail.waited_seconds * NANOSECONDS_PER_SECOND)
        sent_ns = min(began_ns + waited_ns, end_ns)
        span = self._child(stage.name, place, (sent_ns, end_ns))
        span.kind = SpanKind.CLIENT
        span.own = (("k8s.audit_id", f"{self._trace.trace_id:032x}-{span.span_id:016x}"),)
        span.words = (("http.request.method", detail.method), *self._scope.request)
        if detail.status == NO_ANSWER:
            span.error_type = "unanswered"
        else:
            span.words += (("http.response.status_code", detail.status),)
            if detail.status >= _FIRST_HTTP_ERROR:
                span.error_type = str(detail.status)
        if stage is WRITE:
            span.words += (("zenstreams.sink.attempt", attempt),)
        if sent_ns == began_ns:
            return [span]
        return [self._child("client limit", WAIT | place, (began_ns, sent_ns)), span]

    def _dead_letter(self, began_ns: int) -> Span:
        span = self._child("dead letter", len(self._marks), (began_ns, self._end_ns))
        span.kind = SpanKind.PRODUCER
        span.words = (
            ("zenstreams.dlq.name", "memory"),
            ("zenstreams.dlq.reason", clean(self._outcome.reason)),
        )
        return span

    def _root(self) -> Span:
        trace, scope, outcome = self._trace, self._scope, self._outcome
        words = scope.root + _kind(trace) + _outcome(outcome)
        if trace.attempts:
            words += (("zenstreams.sink.attempts", trace.attempts),)
        if trace.absorbed_count:
            words += (("zenstreams.coalesced.count", trace.absorbed_count),)
        span = Span(
            scope.root_name,
            SpanKind.CONSUMER,
            trace.root_id,
            0,
            trace.wall_ns,
            self._end_ns,
            words,
            _subject(trace) + _observation(trace, outcome),
            links=_links(trace, outcome),
        )
        _fail(span, outcome)
        return span


def _fail(span: Span, outcome: Outcome) -> None:
    if outcome.ending in ERRORS:
        span.error_type = outcome.error_type or outcome.reason or outcome.ending.value
        span.message = clean(outcome.detail)


def _kind(trace: Trace) -> Words:
    kind = trace.kind
    return (
        ("zenstreams.event.type", trace.change.value),
        ("zenstreams.object.gvr", f"{kind.api_version}/{kind.resource}"),
    )


def _subject(trace: Trace) -> list[Attribute]:
    values = (
        ("zenstreams.object.namespace", trace.namespace),
        ("zenstreams.object.name", trace.name),
        ("zenstreams.object.uid", trace.uid),
        ("zenstreams.object.resource_version", trace.version),
    )
    return [(key, clean(value)) for key, value in values if value]


def _outcome(outcome: Outcome) -> Words:
    said: Words = (("zenstreams.outcome", outcome.ending.value),)
    if outcome.operation:
        said += (("zenstreams.observation.operation", outcome.operation),)
    if outcome.reason:
        reason = clean(outcome.reason)
        said += (("zenstreams.outcome.reason", reason),)
        if outcome.ending is Ending.FILTERED:
            said += (("zenstreams.filter.rule", reason),)
    return said


def _observation(trace: Trace, outcome: Outcome) -> list[Attribute]:
    """Which Observation it came to; its name is ours, and no other is any text of a user's."""
    namespace, name, uid = trace.observation
    values = (
        ("zenstreams.observation.namespace", namespace),
        ("zenstreams.observation.name", outcome.observation or name),
        ("zenstreams.observation.uid", outcome.observation_uid or uid),
    )
    return [pair for pair in values if pair[1]]


def _links(trace: Trace, outcome: Outcome) -> Sequence[Context]:
    """The newer event of the same key, those whose place this one took, and the first of which it is a duplicate."""
    newer = trace.newer if outcome.ending is Ending.COALESCED else None
    if newer is None and not outcome.link:
        return trace.absorbed
    first = context_of(outcome.link)
    before = [first] if first is not None else []
    if newer is not None:
        before.append((newer.trace_id, newer.root_id))
    return (*before, *trace.absorbed)


def context_of(traceparent: str) -> Context | None:
    """Read a ``traceparent``; what somebody else bent out of shape links nowhere."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None:
        return None
    context = int(found[1], 16), int(found[2], 16)
    return context if all(context) else None
