"""Settled events of the demonstration: durations, rates, and the newest event of each outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from operators.flow.clock import Clock
from operators.flow.delivery import Ticket
from operators.model.outcome import Ending
from streams.runtime.pipeline import Pipeline

NEWEST_MOST = 1000
"""Percentiles are computed over this many of a source's newest events."""
RATE_SECONDS = 5
"""The window of the rate in events per second."""
SAMPLES_MOST = 64
"""Bound of the samples kept for the rate; the view takes 20 in that window."""


@dataclass(frozen=True, slots=True)
class SettledEvent:
    """A settled event and its source."""

    source: Pipeline
    ticket: Ticket


class Measurements:
    """Listener of all sources of an app. Bounded: durations and samples per source, one event per outcome."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_ns = clock()
        self._took_ns: dict[str, deque[int]] = {}
        self._samples: dict[str, deque[tuple[int, int]]] = {}
        self.newest: dict[Ending, SettledEvent] = {}

    def record(self, source: Pipeline, ticket: Ticket) -> None:
        """Record a settled event."""
        outcome = ticket.outcome
        if outcome is None:
            return
        now_ns = self._clock()
        took = self._took_ns.get(source.ingester)
        if took is None:
            took = self._took_ns[source.ingester] = deque(maxlen=NEWEST_MOST)
        took.append(now_ns - ticket.began_ns)
        self.newest[outcome.ending] = SettledEvent(source, ticket)

    def took_ms(self, *ingesters: str) -> tuple[float, float] | None:
        """Return median and 95th percentile from arrival to settlement in milliseconds; ``None`` before the first."""
        took = sorted(one for each in ingesters for one in self._took_ns.get(each, ()))
        return (_percentile(took, 50), _percentile(took, 95)) if took else None

    def per_second(self, source: Pipeline) -> float:
        """Return the events received per second over the last ``RATE_SECONDS``; each call takes a sample."""
        samples = self._samples.get(source.ingester)
        if samples is None:
            samples = self._samples[source.ingester] = deque(
                [(self._began_ns, 0)], maxlen=SAMPLES_MOST
            )
        now_ns, received = self._clock(), source.ledger.received
        samples.append((now_ns, received))
        while samples[0][0] < now_ns - RATE_SECONDS * 1_000_000_000:
            samples.popleft()
        then_ns, before = samples[0]
        return (received - before) * 1e9 / (now_ns - then_ns) if now_ns > then_ns else 0.0


def _percentile(took_ns: Sequence[int], percent: int) -> float:
    return took_ns[(len(took_ns) - 1) * percent // 100] / 1e6
