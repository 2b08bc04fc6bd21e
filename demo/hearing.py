"""What is heard of events as they end: how long they took, and the newest of each ending, to be looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from operators.flow.clock import Clock
from operators.flow.delivery import Ticket
from operators.model.outcome import Ending
from streams.runtime.running import RunningSource

NEWEST = 1000
"""Of so many of a source's newest events the percentiles are taken."""
RATE_SECONDS = 5
"""Over so many seconds events a second are counted."""
LOOKS_MOST = 64
"""Looks that are kept for the rate; more than anybody takes in that time."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An event that ended, and whose it was."""

    source: RunningSource
    ticket: Ticket


class Hearing:
    """A listener to all sources of an app; what it keeps is bounded."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_ns = clock()
        self._took_ns: dict[str, deque[int]] = {}
        self._looks: dict[str, deque[tuple[int, int]]] = {}
        self.newest: dict[Ending, Ended] = {}

    def hear(self, source: RunningSource, ticket: Ticket) -> None:
        """Note an event that ended."""
        outcome = ticket.outcome
        if outcome is None:
            return
        now_ns = self._clock()
        took = self._took_ns.get(source.ingester)
        if took is None:
            took = self._took_ns[source.ingester] = deque(maxlen=NEWEST)
        took.append(now_ns - ticket.began_ns)
        self.newest[outcome.ending] = Ended(source, ticket)

    def took_ms(self, *ingesters: str) -> tuple[float, float] | None:
        """The median and the 95th percentile, in milliseconds, from arrival to end; ``None`` before the first."""
        took = sorted(one for each in ingesters for one in self._took_ns.get(each, ()))
        return (_share(took, 50), _share(took, 95)) if took else None

    def per_second(self, source: RunningSource) -> float:
        """How many events a second came in since the looks of the last seconds; each call is a look."""
        looks = self._looks.get(source.ingester)
        if looks is None:
            looks = self._looks[source.ingester] = deque([(self._began_ns, 0)], maxlen=LOOKS_MOST)
        now_ns, received = self._clock(), source.ledger.received
        looks.append((now_ns, received))
        while looks[0][0] < now_ns - RATE_SECONDS * 1_000_000_000:
            looks.popleft()
        then_ns, before = looks[0]
        return (received - before) * 1e9 / (now_ns - then_ns) if now_ns > then_ns else 0.0


def _share(took_ns: Sequence[int], percent: int) -> float:
    return took_ns[(len(took_ns) - 1) * percent // 100] / 1e6
