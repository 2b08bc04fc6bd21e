"""An event log of objects in a genuine cluster: each content once per window, whatever happens to the process."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.generator import GROUP, WIDGETS, Generator, at_once
from tests.cluster.processes import wait_until
from tests.cluster.product import Product, ingester

AGENT = "zen-streams"
KILLS = 5
OBJECTS = 20


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    cluster.apply(*manifests(), WIDGETS)
    return cluster


def happenings(namespace: str, name: str, window: str) -> dict[str, Any]:
    return ingester(
        *(name, namespace),
        resource="widgets",
        group=GROUP,
        observe="occurrence",
        deduplication={"window": window},
    )


def told(generator: Generator, source: str) -> list[dict[str, Any]]:
    """The Observations of a source, the oldest window first."""
    specs = [one["spec"] for one in generator.observations() if one["spec"]["source"] == source]
    return sorted(specs, key=lambda spec: spec["occurrence"]["windowStart"])


def values(specs: list[dict[str, Any]]) -> list[int]:
    return [spec["details"]["data"]["value"] for spec in specs]


def moment(spec: dict[str, Any], name: str) -> datetime:
    return datetime.fromisoformat(spec["occurrence"][name])


def writes_of_the_product(cluster: Cluster, namespace: str) -> Counter[tuple[str, int]]:
    return Counter(
        (event["verb"], event["responseStatus"]["code"])
        for event in cluster.audit()
        if event["stage"] == "ResponseComplete"
        and event.get("userAgent", "") == AGENT
        and event.get("objectRef", {}).get("resource") == "observations"
        and event.get("objectRef", {}).get("namespace") == namespace
    )


@pytest.mark.timeout(120)
def test_each_content_once_per_window_and_nothing_after_a_restart(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(installed.api(), namespace)
    generator.widget("before", 7)
    documents = [happenings(namespace, "long", "1h"), happenings(namespace, "short", "1s")]
    with Product(tmp_path, documents, kubeconfig=installed.kubeconfig) as product:
        product.ready()

        def become(value: int) -> None:
            """Change the widget once the last short window is over."""
            product.quiet()
            last = max(moment(spec, "windowEnd") for spec in told(generator, "short"))
            wait_until(lambda: datetime.now(UTC) >= last, seconds=20, what="the window's end")
            generator.widget("flips", value)

        for value in (1, 2, 1):
            become(value)
        product.quiet()
        assert values(told(generator, "long")) == [7, 1, 2]
        assert values(told(generator, "short")) == [7, 1, 2, 1]
        assert product.outcomes("long") == {"stored": 3, "deduplicated": 1}
        assert product.outcomes("short") == {"stored": 4}
        assert writes_of_the_product(installed, namespace) == {("patch", 201): 7}
        for spec in told(generator, "long"):
            assert spec["count"] == 1
            assert spec["firstSeen"] == spec["lastSeen"]
            assert (moment(spec, "windowEnd") - moment(spec, "windowStart")).seconds == 3600
        assert product.stop() == 0
        generator.delete("before")
        before = {
            one["metadata"]["name"]: one["metadata"]["resourceVersion"]
            for one in generator.observations()
        }
        product.start()
        product.ready()
        product.quiet()
        assert before == {
            one["metadata"]["name"]: one["metadata"]["resourceVersion"]
            for one in generator.observations()
        }
        assert product.outcomes("long") == product.outcomes("short") == {"deduplicated": 1}
        generator.delete("flips")
        generator.widget("flips", 1)  # made again: that happened, and is no state of the old one
        product.quiet()
        assert values(told(generator, "short")) == [7, 1, 2, 1, 1]
        assert values(told(generator, "long")) == [7, 1, 2], "an hour is not over"
        for source in ("long", "short"):
            product.assert_balanced(source)
        assert product.stop() == 0


class Load(threading.Thread):
    """Objects that flip between three contents, and now and then go and come back."""

    def __init__(self, generator: Generator, seed: int) -> None:
        super().__init__()
        self.generator = generator
        self.over = threading.Event()
        self.failure: BaseException | None = None
        self._dice = random.Random(seed)

    def run(self) -> None:
        try:
            while not self.over.wait(0.005):
                name = f"w{self._dice.randrange(OBJECTS)}"
                if self._dice.random() < 0.05 and name in self.generator.widgets:
                    self.generator.delete(name)
                self.generator.widget(name, self._dice.randrange(3))
        except BaseException as error:  # noqa: BLE001  told by the test
            self.failure = error


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_kills_make_no_twin(installed: Cluster, namespace: str, tmp_path: Path) -> None:
    generator = Generator(installed.api(), namespace)
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    at_once(lambda n=n: generator.widget(f"w{n}", 0) for n in range(OBJECTS))
    document = happenings(namespace, "log", "2s")
    with Product(tmp_path, [document], kubeconfig=installed.kubeconfig) as product:
        product.ready()
        load = Load(generator, seed)
        load.start()
        try:
            for _ in range(KILLS):
                time.sleep(dice.uniform(0.5, 2))  # noqa: TID251  the moment of the kill is the subject
                product.kill()
                product.start()
                product.ready()
        finally:
            load.over.set()
            load.join()
        assert load.failure is None, load.failure
        product.quiet()
        specs = told(generator, "log")
        print(f"seed {seed}: {generator.sent} changes, {KILLS} kills, {len(specs)} Observations")
        assert len(specs) > 2 * OBJECTS
        openings = Counter(spec["identity"]["occurrence"]["opened"] for spec in specs)
        assert set(openings.values()) == {1}, (seed, openings.most_common(3))
        for _, equal in groupby(sorted(specs, key=by_key), key=lambda spec: spec["fingerprint"]):
            for earlier, later in pairwise(equal):
                assert moment(earlier, "windowEnd") <= moment(later, "windowStart"), (seed, later)
        said = {(spec["resource"]["name"], spec["details"]["data"]["value"]) for spec in specs}
        for name, body in generator.widgets.items():
            assert (name, body["data"]["value"]) in said, (seed, name)
        product.assert_balanced("log")
        assert product.stop() == 0


def by_key(spec: dict[str, Any]) -> tuple[str, datetime]:
    return spec["fingerprint"], moment(spec, "windowStart")
