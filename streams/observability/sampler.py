"""Which traces are exported, decided when the event has ended: outcome, attempts and duration are then known.

Exported are events that were lost or failed, then those retried, slow, or stored; of the rest a share by trace id, as
W3C Trace Context level 2 defines it, so that every other sampler of the same ratio chooses the same traces. All within
one budget of spans a second; a class for which the budget is spent still exports one trace a second and source.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.rate import TokenBucket
from operators.model.outcome import LOST, Ending, Outcome

SLOW_NS = 5 * NANOSECONDS_PER_SECOND
"""The tail sampling policy ``slow`` of otel-collector.yaml has the same threshold."""
RESERVED_SPANS = 12
"""What a reservation takes from the budget: the spans of a throttled event that is stored at the second attempt."""

RETRIED, SLOW, STORED, SAMPLED = "retried", "slow", "stored", "sampled"
"""The classes beside the endings that are always exported."""

_RANDOM_BITS = 56
_RANDOM = (1 << _RANDOM_BITS) - 1
"""The part of a trace id that is random by W3C Trace Context level 2."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """``spec.tracing`` of one Ingester: the share of unremarkable events, and the budget."""

    ratio: float = 1.0
    spans_per_second: int = 2000


class SpanBudget(TokenBucket):
    """Spans a second, up to one second's worth at once; what exceeds it is a debt, of one second's worth at most."""

    __slots__ = ("per_second",)

    def __init__(self, per_second: int, *, now_ns: int) -> None:
        super().__init__(per_second, burst=per_second, now_ns=now_ns, debt=per_second)
        self.per_second = per_second


class TraceSampler:
    """Chooses the traces of one source to export; ``suppressed`` counts by class what the budget did not allow."""

    def __init__(
        self, sampling: Sampling, budgets: tuple[SpanBudget, ...], *, suppressed: Counter[str]
    ) -> None:
        self._budgets = budgets
        self._suppressed = suppressed
        self._next_ns: dict[str, int] = {}
        self._threshold = round((1 - sampling.ratio) * (1 << _RANDOM_BITS))
        self.tracestate = f"ot=th:{f'{self._threshold:014x}'.rstrip('0') or '0'}"
        """The W3C ``tracestate`` of a trace chosen by ratio: the threshold that its id had to reach."""

    def class_of(self, outcome: Outcome, *, attempts: int, took_ns: int) -> str:
        """Return the class of an event that has ended: its first reason to be exported."""
        if outcome.ending in LOST:
            return outcome.ending.value
        if attempts > 1:
            return RETRIED
        if took_ns > SLOW_NS:
            return SLOW
        return STORED if outcome.ending is Ending.STORED else SAMPLED

    def is_sampled(self, trace_id: int) -> bool:
        """Whether a trace id is in the share that the ratio exports."""
        return (trace_id & _RANDOM) >= self._threshold

    def reserve(self, now_ns: int) -> bool:
        """Take ``RESERVED_SPANS`` from the budget for a trace that is exported whatever its outcome, if they are there.

        Counted under class ``stored``, the outcome expected of an event that is about to be written.
        """
        return self._take(STORED, RESERVED_SPANS, now_ns)

    def settle_reservation(self, spans: int, *, now_ns: int) -> None:
        """Replace what a reservation took from the budget by the number of spans that the trace has."""
        self._spend(spans - RESERVED_SPANS, now_ns)

    def admit(self, name: str, spans: int, *, now_ns: int) -> bool:
        """Take the spans of a trace of class ``name`` from the budget; if there are too few, count it as suppressed.

        Traces of events interrupted at the stop are always admitted: no second follows that they could use up, and the
        buffer's capacity bounds their number.
        """
        if name == Ending.INTERRUPTED or self._take(name, spans, now_ns):
            return True
        self.suppress(name)
        return False

    def suppress(self, name: str) -> None:
        """Count a trace of class ``name`` that the budget did not allow."""
        self._suppressed[name] += 1

    def _take(self, name: str, spans: int, now_ns: int) -> bool:
        for budget in self._budgets:
            # Sampled traces leave half of the budget to the classes that are always exported.
            spare = budget.per_second // 2 if name == SAMPLED else 0
            if not budget.has(now_ns, tokens=spans, spare=spare):
                if now_ns < self._next_ns.get(name, now_ns) or not self._budgets[0].per_second:
                    return False
                self._next_ns[name] = now_ns + NANOSECONDS_PER_SECOND
                break
        self._spend(spans, now_ns)
        return True

    def _spend(self, spans: int, now_ns: int) -> None:
        for budget in self._budgets:
            budget.spend(now_ns, tokens=spans)
