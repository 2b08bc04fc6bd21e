"""Tracers: a trace is begun when its event is admitted, and exported or discarded when the event has ended."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from operators.flow.clock import Clock
from operators.flow.delivery import Admission, Ticket
from operators.flow.trace import Trace
from operators.model.outcome import UNSETTLED, Ending
from streams.observability.sampler import SAMPLED, STORED, Sampling, SpanBudget, TraceSampler
from streams.observability.spans import SourceAttributes, Span, SpanTree, build_spans

log = logging.getLogger(__name__)

_FIRST_BIT = 1 << 63


class LossReason(StrEnum):
    """Why a collector did not accept spans built for export; label ``reason`` of zenstreams_spans_lost_total."""

    QUEUE_FULL = "queue_full"
    """The backlog had no room."""
    REJECTED = "rejected"
    """The collector responded, but did not accept them."""
    TIMEOUT = "timeout"
    """The collector did not respond."""
    SHUTDOWN = "shutdown"
    """They were still in the backlog when the process stopped."""


class TraceExporter(Protocol):
    """The destination of exported traces."""

    def offer(self, tree: SpanTree) -> None:
        """Take a whole trace, or refuse it whole and count its spans as lost; never raises, never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class TracerInputs:
    """Time and randomness of tracers.

    ``clock`` is the monotonic clock of the pipelines' tickets, ``wall_ns`` returns nanoseconds since 1970, ``bits(n)``
    returns ``n`` random bits.
    """

    clock: Clock
    wall_ns: Callable[[], int]
    bits: Callable[[int], int]


class Tracing:
    """The tracing of a process: one budget for all sources.

    With ``exporter`` ``None`` nothing is exported; spans are built on request only (``SourceTracer.spans``).
    """

    def __init__(
        self, inputs: TracerInputs, *, exporter: TraceExporter | None, spans_per_second: int = 2000
    ) -> None:
        self.inputs = inputs
        self.exporter = exporter
        self.budget = SpanBudget(spans_per_second, now_ns=inputs.clock())
        self.suppressed: Counter[str] = Counter()
        """Traces that the budget did not allow, by class."""
        self.spans_built = 0
        """Spans built for export; without an exporter, those built on request."""

    def source(self, attributes: SourceAttributes, sampling: Sampling) -> SourceTracer:
        """Make the tracer of one source; one with a lower limit than the process gets a budget of its own too."""
        per_second = sampling.spans_per_second
        budgets = (self.budget,)
        if per_second < self.budget.per_second:
            budgets = (SpanBudget(per_second, now_ns=self.inputs.clock()), self.budget)
        sampler = TraceSampler(sampling, budgets, suppressed=self.suppressed)
        return SourceTracer(self, attributes, sampler)


class SourceTracer:
    """Begins and ends the traces of one source."""

    def __init__(
        self, tracing: Tracing, attributes: SourceAttributes, sampler: TraceSampler
    ) -> None:
        self._tracing = tracing
        self._attributes = attributes
        self._sampler = sampler
        self._clock = tracing.inputs.clock
        self._wall_ns = tracing.inputs.wall_ns
        self._bits = tracing.inputs.bits
        self._reserve = self.reserve  # bound once, not once an event

    def begin(self, admission: Admission) -> Trace:
        """Begin the trace of an event; the only reading of the wall clock in it."""
        bits, event = self._bits, admission.event
        return Trace(
            bits(128) or 1,
            bits(63) | _FIRST_BIT,
            self._wall_ns(),
            self._reserve,
            event.payload,
            event.subject,
            len(event.raw),
        )

    def reserve(self) -> bool:
        """Reserve the export of one trace, whatever its outcome; false without an exporter or budget."""
        return self._tracing.exporter is not None and self._sampler.reserve(self._clock())

    def end(self, ticket: Ticket) -> None:
        """Export or discard the trace of an event that has ended; never raises."""
        trace = ticket.trace
        if trace is None:
            return
        trace.ended_ns = self._clock()
        outcome = ticket.outcome or UNSETTLED
        # Before the choice: the newer event's root links to this one whether or not this one is exported.
        if outcome.ending is Ending.COALESCED and trace.newer is not None:
            trace.newer.absorb(trace)
        try:
            self._export(ticket, trace)
        except Exception:  # a defect here loses the trace; the event has ended and is counted
            log.exception("trace lost: building or encoding its spans failed")

    def spans(self, ticket: Ticket) -> list[Span]:
        """Build the spans of an event that has ended, exported or not; none if it was not traced."""
        trace = ticket.trace
        if trace is None:
            return []
        spans = build_spans(ticket, trace, source=self._attributes, ended_ns=trace.ended_ns)
        if self._tracing.exporter is None:
            self._tracing.spans_built += len(spans)
        return spans

    def _export(self, ticket: Ticket, trace: Trace) -> None:
        exporter = self._tracing.exporter
        if exporter is None:
            return
        tracestate = ""
        if not trace.reserved:
            name = self._class_of(ticket, trace)
            if name == SAMPLED and not self._sampler.is_sampled(trace.trace_id):
                return
            if not self._admits(name, ticket, trace):
                return
            tracestate = self._sampler.tracestate if name == SAMPLED else ""
        spans = self.spans(ticket)
        if trace.reserved:
            self._sampler.settle_reservation(len(spans), now_ns=trace.ended_ns)
        self._tracing.spans_built += len(spans)
        exporter.offer(SpanTree(trace.trace_id, spans, tracestate))

    def _class_of(self, ticket: Ticket, trace: Trace) -> str:
        outcome = ticket.outcome or UNSETTLED
        took_ns = trace.ended_ns - ticket.began_ns
        return self._sampler.class_of(outcome, attempts=trace.attempts, took_ns=took_ns)

    def _admits(self, name: str, ticket: Ticket, trace: Trace) -> bool:
        if name == STORED and trace.reserved is False:
            # Its requests carried the flag "not sampled", and the Observation no traceparent: exporting it now would
            # contradict both.
            self._sampler.suppress(name)
            return False
        # One span a mark and the root; waits inside requests are not counted, which the budget tolerates.
        return self._sampler.admit(name, len(ticket.marks) + 1, now_ns=trace.ended_ns)
