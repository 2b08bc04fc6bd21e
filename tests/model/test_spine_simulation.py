"""Whole pipelines through schedules of changes, faults and suspensions: what the sink was given last is what exists."""

from __future__ import annotations

from collections import Counter

import pytest

from operators.model.event import Change
from tests.model.spine_walks import FAULTS, REMOVED, Walk
from tests.unit.streams.cluster.virtual import VirtualLoop, run

SEEDS = 60
FLOORS = {
    Change.ADDED.value: 1000,
    Change.MODIFIED.value: 2000,
    REMOVED: 500,
    Change.RESYNC.value: 800,
    "suspended": 1000,
    "left": 250,
    **{f"get {fault}": 20 for fault in FAULTS},
    **{f"list {fault}": 15 for fault in FAULTS},
    **{f"watch {fault}": 5 for fault in FAULTS},
}
"""A third of what the seeds reach today: a walk that reaches nothing proves nothing."""


@pytest.mark.timeout(120)
def test_whatever_happens_the_sink_is_given_every_final_state() -> None:
    reached = Counter[str]()
    for seed in range(SEEDS):

        async def walked(loop: VirtualLoop, seed: int = seed) -> Counter[str]:
            walk = Walk(seed, loop)
            await walk.run()
            return walk.reached

        try:
            reached += run(walked)
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
    print("reached:", dict(sorted(reached.items())))
    short = {name: reached[name] for name, floor in FLOORS.items() if reached[name] < floor}
    assert not short
