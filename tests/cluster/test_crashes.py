"""kill -9 at random moments under load: what is known afterwards is what a run without kills knows."""

from __future__ import annotations

import random
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.generator import GROUP, WIDGETS, Generator
from tests.cluster.product import Product, ingester

KILLS = 20
ALLOWED = ("firstSeen", "detectedAt", "lastSeen", "resolvedAt", "fingerprint", "source")
"""Timestamps, and what differs because the two runs are two Ingesters."""


class Load(threading.Thread):
    """A seeded stream of changes until it is stopped."""

    def __init__(self, generator: Generator, seed: int) -> None:
        super().__init__()
        self.generator = generator
        self.over = threading.Event()
        self.failure: BaseException | None = None
        self._random = random.Random(seed)
        self._counts: dict[str, int] = {}

    def run(self) -> None:
        try:
            while not self.over.wait(0.003):
                self.step()
        except BaseException as error:  # noqa: BLE001  told by the test
            self.failure = error

    def step(self) -> None:
        name = f"w{self._random.randrange(60)}"
        dice = self._random.random()
        if dice < 0.5:
            self.generator.widget(name, self._random.randrange(10**6))
        elif dice < 0.65 and name in self.generator.widgets:
            self.generator.delete(name)
        elif dice >= 0.65:
            event = f"p{self._random.randrange(10)}.{self._random.randrange(5)}"
            self._counts[event] = self._counts.get(event, 0) + self._random.randrange(1, 4)
            about = event.partition(".")[0]
            self.generator.event(event, about=about, reason="BackOff", count=self._counts[event])


def known(generator: Generator, source: str) -> dict[tuple[str, str], dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for one in generator.observations():
        spec = one["spec"]
        if spec["source"].startswith(source):
            key = spec["resource"]["kind"], spec["resource"]["name"]
            assert key not in found, f"a twin of {key}"
            kept = {name: value for name, value in spec.items() if name not in ALLOWED}
            del kept["identity"]["ingester"]
            found[key] = kept | {"resolved": "resolvedAt" in spec}
    return found


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_kills_change_nothing(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.apply(*manifests(), WIDGETS)
    generator = Generator(cluster.api(), namespace)
    seed = random.randrange(10**6)
    dice = random.Random(seed)

    def documents(prefix: str) -> list[dict[str, Any]]:
        return [
            ingester(f"{prefix}-widgets", namespace, resource="widgets", group=GROUP),
            ingester(f"{prefix}-events", namespace, resource="events"),
        ]

    with ExitStack() as stack:
        calm = stack.enter_context(
            Product(tmp_path / "calm", documents("calm"), kubeconfig=cluster.kubeconfig)
        )
        killed = stack.enter_context(
            Product(tmp_path / "killed", documents("killed"), kubeconfig=cluster.kubeconfig)
        )
        calm.ready()
        load = Load(generator, seed)
        load.start()
        try:
            for _ in range(KILLS):
                time.sleep(dice.uniform(0.2, 2.5))  # noqa: TID251  the moment of the kill is the subject
                killed.kill()
                killed.start()
        finally:
            load.over.set()
            load.join()
        assert load.failure is None, load.failure
        killed.ready()
        calm.quiet()
        killed.quiet()
        expected, found = known(generator, "calm"), known(generator, "killed")
        print(f"seed {seed}: {generator.sent} changes, {KILLS} kills, {len(expected)} Observations")
        assert len(expected) >= 50
        for key, spec in expected.items():
            if not spec["resolved"]:
                assert found.get(key) == spec, (seed, key)
            elif key in found:  # its last state may have come and gone between two lives
                assert found[key]["resolved"], (seed, key)
        assert set(found) <= set(expected)
        assert calm.stop() == 0
        assert killed.stop() == 0
