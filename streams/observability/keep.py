"""Which traces are kept: decided when the event has ended, so that the outcome, the attempts and the time are known.

Kept, in this order: what was lost or failed, what was tried more than once, what took long, what was stored; of the
rest a share by trace id, as W3C Trace Context has it, so that every other sampler of the same ratio agrees. All under
one budget of spans a second; of a class for which it has nothing left, one trace a second and source goes through.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.outcome import LOST, Ending, Outcome

SLOW_NS = 5 * NANOSECONDS_PER_SECOND
RESERVED_SPANS = 12
"""What a promise takes from the budget before the spans are known; corrected when they are."""

RETRIED, SLOW, STORED, SAMPLED = "retried", "slow", "stored", "sampled"
"""The classes beside the endings that are always kept."""

_RANDOM_BITS = 56
_RANDOM = (1 << _RANDOM_BITS) - 1
"""The part of a trace id that W3C Trace Context level 2 says is random."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """What a document's ``spec.tracing`` says of the choice."""

    ratio: float = 1.0
    spans_per_second: int = 2000


class Budget:
    """Spans a second, up to a second's worth at once; what must go through makes a debt of as much at most."""

    __slots__ = ("_at_ns", "_clock", "_left", "per_second")

    def __init__(self, per_second: int, *, clock: Clock) -> None:
        self.per_second = per_second
        self._clock = clock
        self._left = float(per_second)
        self._at_ns = clock()

    def has(self, spans: int, *, now_ns: int, spare: bool = False) -> bool:
        """Whether there is enough; where it must ``spare`` half of it, enough without that half."""
        passed = (now_ns - self._at_ns) * self.per_second / NANOSECONDS_PER_SECOND
        self._left = min(float(self.per_second), self._left + passed)
        self._at_ns = now_ns
        return self._left >= (spans + self.per_second / 2 if spare else spans)

    def spend(self, spans: int) -> None:
        """Take spans, or give some back."""
        self._left = max(-float(self.per_second), self._left - spans)


class Keeping:
    """The choice for one source; ``suppressed`` counts by class what the budget kept back."""

    def __init__(
        self, sampling: Sampling, budgets: tuple[Budget, ...], *, suppressed: Counter[str]
    ) -> None:
        self._budgets = budgets
        self._suppressed = suppressed
        self._next_ns: dict[str, int] = {}
        self._threshold = round((1 - sampling.ratio) * (1 << _RANDOM_BITS))
        self.tracestate = f"ot=th:{f'{self._threshold:014x}'.rstrip('0') or '0'}"
        """What a trace says that the ratio kept: the threshold its id had to reach."""

    def class_of(self, outcome: Outcome, *, attempts: int, took_ns: int) -> str:
        """The class of an event that has ended."""
        if outcome.ending in LOST:
            return outcome.ending.value
        if attempts > 1:
            return RETRIED
        if took_ns > SLOW_NS:
            return SLOW
        return STORED if outcome.ending is Ending.STORED else SAMPLED

    def chooses(self, trace_id: int) -> bool:
        """Whether a trace is in the share that the ratio keeps."""
        return (trace_id & _RANDOM) >= self._threshold

    def reserve(self, now_ns: int) -> bool:
        """Take from the budget for a trace that is then kept for certain; it will be ``stored``, as far as one sees."""
        return self._lets(STORED, RESERVED_SPANS, now_ns)

    def redeem(self, spans: int) -> None:
        """The spans of a promised trace are known: correct what was taken."""
        self._spend(spans - RESERVED_SPANS)

    def lets(self, name: str, spans: int, *, now_ns: int) -> bool:
        """Whether a trace of a class goes through, and its spans are taken; counted where it does not.

        What is interrupted when the process stops goes through: no second follows, and the room bounds it.
        """
        if name == Ending.INTERRUPTED or self._lets(name, spans, now_ns):
            return True
        self.refused(name)
        return False

    def refused(self, name: str) -> None:
        """Count a trace that the budget kept back."""
        self._suppressed[name] += 1

    def _lets(self, name: str, spans: int, now_ns: int) -> bool:
        spare = name == SAMPLED
        for budget in self._budgets:
            if not budget.has(spans, now_ns=now_ns, spare=spare):
                if now_ns < self._next_ns.get(name, now_ns) or not self._budgets[0].per_second:
                    return False
                self._next_ns[name] = now_ns + NANOSECONDS_PER_SECOND
                break
        self._spend(spans)
        return True

    def _spend(self, spans: int) -> None:
        for budget in self._budgets:
            budget.spend(spans)
