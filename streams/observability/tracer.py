"""The tracers of a process and of its sources: a trace is begun with its event, and let go when that has ended."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from operators.flow.clock import Clock
from operators.flow.delivery import Ticket
from operators.flow.trace import Trace
from operators.model.event import RawEvent
from operators.model.outcome import UNSETTLED, Ending
from streams.observability.build import Scope, spans_of
from streams.observability.keep import SAMPLED, STORED, Budget, Keeping, Sampling
from streams.observability.span import Span, SpanTree

log = logging.getLogger(__name__)

_FIRST_BIT = 1 << 63


class Export(Protocol):
    """Where kept traces go."""

    def offer(self, tree: SpanTree) -> None:
        """Take a whole trace, or refuse the whole, and count it; never raises, never blocks."""
        ...


@dataclass(frozen=True, slots=True)
class Moments:
    """From where traces have their time and their chance.

    ``clock`` is the pipelines' own; ``wall_ns`` the time of day in nanoseconds; ``bits`` gives so many random bits.
    """

    clock: Clock
    wall_ns: Callable[[], int]
    bits: Callable[[int], int]


class Tracing:
    """The traces of a process, under one budget. Without an ``export`` nothing is kept; spans can be asked for."""

    def __init__(
        self, moments: Moments, *, export: Export | None, spans_per_second: int = 2000
    ) -> None:
        self.moments = moments
        self.export = export
        self.budget = Budget(spans_per_second, clock=moments.clock)
        self.suppressed: Counter[str] = Counter()
        """How many traces the budget kept back, by class."""
        self.spans_built = 0
        """How many spans were made to be sent; where nothing is sent, those that somebody asked for."""

    def source(self, scope: Scope, sampling: Sampling) -> SourceTracer:
        """A tracer for one source. A source that wants fewer spans than the process has a budget of its own too."""
        own = sampling.spans_per_second
        budgets = (self.budget,)
        if own < self.budget.per_second:
            budgets = (Budget(own, clock=self.moments.clock), self.budget)
        return SourceTracer(self, scope, Keeping(sampling, budgets, suppressed=self.suppressed))


class SourceTracer:
    """Begins and ends the traces of one source."""

    def __init__(self, tracing: Tracing, scope: Scope, keeping: Keeping) -> None:
        self._tracing = tracing
        self._scope = scope
        self._keeping = keeping
        self._clock = tracing.moments.clock
        self._wall_ns = tracing.moments.wall_ns
        self._bits = tracing.moments.bits

    def begin(self, event: RawEvent) -> Trace:
        """Begin the trace of an event; the time of day is read once, here."""
        bits = self._bits
        return Trace(
            bits(128) or 1,
            bits(63) | _FIRST_BIT,
            self._wall_ns(),
            self,
            event.kind,
            event.change,
            event.namespace,
            event.name,
            event.uid,
            event.version,
            len(event.raw),
        )

    def reserve(self) -> bool:
        """Promise to keep a trace, if there is an exit and the budget allows."""
        return self._tracing.export is not None and self._keeping.reserve(self._clock())

    def end(self, ticket: Ticket) -> None:
        """Let the trace of an event that has ended go; a defect here costs the trace, never the event."""
        trace = ticket.trace
        if trace is None:
            return
        trace.ended_ns = self._clock()
        outcome = ticket.outcome or UNSETTLED
        if outcome.ending is Ending.COALESCED and trace.newer is not None:
            trace.newer.absorb(trace)
        try:
            self._let_go(ticket, trace)
        except Exception:
            log.exception("a trace was lost to a defect")

    def spans(self, ticket: Ticket) -> list[Span]:
        """The spans of an event that has ended, whether they were kept or not; none if it was not traced."""
        trace = ticket.trace
        if trace is None:
            return []
        spans = spans_of(ticket, trace, scope=self._scope, ended_ns=trace.ended_ns)
        if self._tracing.export is None:
            self._tracing.spans_built += len(spans)
        return spans

    def _let_go(self, ticket: Ticket, trace: Trace) -> None:
        export = self._tracing.export
        if export is None:
            return
        tracestate = ""
        if not trace.promised:
            name = self._class(ticket, trace)
            if name == SAMPLED and not self._keeping.chooses(trace.trace_id):
                return
            if not self._lets(name, ticket, trace):
                return
            tracestate = self._keeping.tracestate if name == SAMPLED else ""
        spans = self.spans(ticket)
        if trace.promised:
            self._keeping.redeem(len(spans))
        self._tracing.spans_built += len(spans)
        export.offer(SpanTree(trace.trace_id, spans, tracestate))

    def _class(self, ticket: Ticket, trace: Trace) -> str:
        outcome = ticket.outcome or UNSETTLED
        took_ns = trace.ended_ns - ticket.began_ns
        return self._keeping.class_of(outcome, attempts=trace.attempts, took_ns=took_ns)

    def _lets(self, name: str, ticket: Ticket, trace: Trace) -> bool:
        if name == STORED and trace.promised is False:
            self._keeping.refused(name)  # its requests said that it is not kept
            return False
        return self._keeping.lets(name, len(ticket.marks) + 1, now_ns=trace.ended_ns)
