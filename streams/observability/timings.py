"""How long events stayed in each stage: plain counts, made into histograms when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from operators.flow.clock import NANOSECONDS_PER_SECOND

if TYPE_CHECKING:
    from operators.flow.delivery import Ticket

BOUNDS_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0)
_BOUNDS_NS = tuple(int(bound * NANOSECONDS_PER_SECOND) for bound in BOUNDS_SECONDS)


class StageCounts:
    """One stage's histogram: the stays in each bucket, the last without a bound, and their sum."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        self.counts = [0] * (len(_BOUNDS_NS) + 1)
        self.sum_ns = 0


class Timings:
    """The stages of one pipeline; their names come from the code, so there are few."""

    __slots__ = ("stages",)

    def __init__(self) -> None:
        self.stages: dict[str, StageCounts] = {}

    def note(self, ticket: Ticket) -> None:
        """Add an event's timeline; a stage begins where the one before it let go."""
        stages = self.stages
        began_ns = ticket.began_ns
        for name, let_go_ns, _ in ticket.marks:
            stage = stages.get(name)
            if stage is None:
                stage = stages[name] = StageCounts()
            stay_ns = let_go_ns - began_ns
            stage.counts[bisect_left(_BOUNDS_NS, stay_ns)] += 1
            stage.sum_ns += stay_ns
            began_ns = let_go_ns
