"""Whole pipelines through schedules of changes, faults and holds: what the sink was told last is what there is."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.model.spine_walks import Walk
from tests.unit.streams.cluster.virtual import VirtualLoop, run

SEEDS = 60


@pytest.mark.timeout(120)
def test_whatever_happens_the_sink_is_told_every_final_state() -> None:
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
