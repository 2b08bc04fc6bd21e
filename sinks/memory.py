"""A sink that keeps Observations in memory: for a pipeline by hand, and for tests."""

from __future__ import annotations

from collections import deque

from operators.decoders.kubernetes_event import with_tally
from operators.deduplicate import NOTHING_TO_RESOLVE
from operators.flow.clock import WallClock, timestamp
from operators.flow.delivery import Delivery
from operators.model.index import Index, Known
from operators.model.observation import Observation
from operators.model.outcome import Outcome
from sinks.change import CREATED, UPDATED, resolved

KEPT = 1000
"""So many of the newest Observations are kept, unless somebody says otherwise."""


class MemorySink:
    """Keeps the newest Observations in the order of their coming, and settles each at once as ``stored``.

    What it took is known to ``index`` from then on, so that deduplication and filters ahead of it hold.
    """

    def __init__(self, index: Index, *, now: WallClock, capacity: int = KEPT) -> None:
        self.observations: deque[Observation] = deque(maxlen=capacity)
        self._index = index
        self._now = now

    def accept(self, delivery: Delivery[Observation]) -> None:
        """Keep an Observation; the end of a subject of which nothing is known ends ``filtered``."""
        outcome = self._confirm(delivery.value)
        if outcome is not NOTHING_TO_RESOLVE:
            self.observations.append(delivery.value)
        delivery.settle(outcome)

    def _confirm(self, observation: Observation) -> Outcome:
        known = self._index.get(observation.name)
        if observation.gone is not None:
            if known is None or known.resolved:
                return NOTHING_TO_RESOLVE
            known.resolved = True
            return resolved(observation)
        moment = timestamp(self._now())
        after = Known(observation.fingerprint, known.first_seen if known else moment, moment)
        if observation.tally is not None:
            # Nobody here knows which Events are alive; if none is, the evidence stays bounded.
            told = with_tally(known, observation.tally, is_alive=lambda _: False)
            after.base, after.evidence = told
        if observation.occurrence is None:  # what happened is known by the window it opened
            self._index.put(observation.name, after)
        return UPDATED if known else CREATED
