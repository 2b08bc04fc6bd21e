"""Deduplicate: what the cluster already knows ends here, without a request.

A key is remembered only after the sink's confirmation (``Index.put``); events of one subject never overtake each
other, so at most one of them is undecided at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, NonNegativeFloat

from operators.decoders.kubernetes_event import is_told
from operators.flow.clock import WallClock
from operators.flow.delivery import Delivery, Operator
from operators.flow.stage import stage
from operators.model.index import Index, Known
from operators.model.observation import Observation
from operators.model.outcome import Ending, Outcome

UNCHANGED = "unchanged"
TOLD = "told"
"""The evidence has this Event with this count."""
NOTHING_TO_RESOLVE = Outcome(Ending.FILTERED, "nothing to resolve")


def duplicate(reason: str, name: str, known: Known) -> Outcome:
    """The ending of an event that an Observation says already; it links to the event that created that."""
    return Outcome(
        Ending.DEDUPLICATED,
        reason,
        observation=name,
        observation_uid=known.uid,
        link=known.traceparent,
    )


class Dedup(BaseModel):
    """Whether equal states end here, and after how many seconds a resync may refresh when one was last seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    window_seconds: NonNegativeFloat = 60.0


class Memory:
    """Decides by what is known whether an Observation has anything new to say."""

    def __init__(
        self,
        spec: Dedup,
        index: Index,
        *,
        now: WallClock,
        wanted: Callable[[Observation], bool] = lambda _: True,
    ) -> None:
        self._enabled = spec.enabled
        self._window = timedelta(seconds=spec.window_seconds)
        self._index = index
        self._now = now
        self._wanted = wanted

    def verdict(self, observation: Observation) -> Outcome | None:
        """How the event ends here, or ``None`` if it has something new to say."""
        if observation.event is not None:
            raise AssertionError("an Observation is described before it is compared")
        known = self._index.get(observation.name)
        if observation.gone is not None:
            return NOTHING_TO_RESOLVE if known is None or known.resolved else None
        if known is None or known.resolved or not self._enabled:
            return None
        if observation.tally is not None:
            told = is_told(known, observation.tally)
            return duplicate(TOLD, observation.name, known) if told else None
        if known.fingerprint != observation.fingerprint:
            return None
        if (observation.resync and self._is_due(known)) or not self._wanted(observation):
            return None
        return duplicate(UNCHANGED, observation.name, known)

    def _is_due(self, known: Known) -> bool:
        try:
            return self._now() - datetime.fromisoformat(known.last_seen) >= self._window
        except (ValueError, TypeError):  # no moment, or one without its zone
            return True


def dedup(
    spec: Dedup,
    index: Index,
    *,
    now: WallClock,
    wanted: Callable[[Observation], bool] = lambda _: True,
) -> Operator[Delivery[Observation], Delivery[Observation]]:
    """End what the cluster already knows: unchanged subjects, told Events, departures with nothing to resolve.

    ::

        --a----a----a'---x----x-->      each is stored before the next comes; x is a's tombstone
        dedup(spec, index, now=now)
        --a---------a'---x------->      the second a ends deduplicated, the second x filtered

    What is not confirmed by the sink is not known: the same state passes again. Holds nothing; ``index`` is the sink's.
    Before a filter it must not end an unchanged state that the filter wants no longer, as after a start with another
    filter: ``wanted`` is that filter's say. What it is against passes, and the filter has it resolved.
    """
    memory = Memory(spec, index, now=now, wanted=wanted)

    def decide(observation: Observation) -> Observation | Outcome:
        return memory.verdict(observation) or observation

    return stage("dedup", decide)
