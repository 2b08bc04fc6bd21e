"""Filters and throttles of a document, over a genuine API server and a restart with other rules."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.generator import GROUP, WIDGETS, Generator, at_once
from tests.cluster.product import Product, ingester

MANY = 20


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    cluster.apply(*manifests(), WIDGETS)
    return cluster


class World:
    """Widgets, of which each has a severity, and what is known of them."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.generator = Generator(cluster.api(), namespace)
        self.namespace = namespace
        self.product = Product(folder, [self.document()], kubeconfig=cluster.kubeconfig)

    def document(self, **spec: Any) -> dict[str, Any]:
        return ingester("widgets", self.namespace, resource="widgets", group=GROUP, **spec)

    def widget(self, number: int, severity: str) -> None:
        path = f"{self.generator.path}/w{number}?fieldManager=severity&force=true"
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Widget",
            "metadata": {"name": f"w{number}"},
            "severity": severity,
        }
        answer = self.generator.api.request(
            "PATCH", path, body=body, content_type="application/apply-patch+yaml"
        )
        assert answer.status in {200, 201}, answer.body

    def widgets(self, severity: str, *, numbers: range) -> None:
        at_once(partial(self.widget, number, severity) for number in numbers)

    def restart(self, **spec: Any) -> None:
        assert self.product.stop() == 0
        self.product.rewrite([self.document(**spec)])
        self.product.start()
        self.settle()

    def settle(self) -> None:
        self.product.ready()
        self.product.quiet()
        self.product.assert_balanced("widgets")

    def known(self) -> dict[str, str]:
        """Each widget's name to why its Observation is resolved; nothing if it is open."""
        return {
            one["spec"]["resource"]["name"]: one["spec"].get("resolvedReason", "")
            for one in self.generator.observations()
        }


@pytest.mark.timeout(180)
@pytest.mark.parametrize("order", ["filter_first", "dedup_first"])
def test_what_a_filter_wants_no_longer_is_resolved_by_its_rules_name(
    installed: Cluster, namespace: str, tmp_path: Path, order: str
) -> None:
    world = World(installed, namespace, tmp_path)
    world.widgets("HIGH", numbers=range(MANY))
    world.widgets("LOW", numbers=range(MANY, 2 * MANY))
    high, low = ({f"w{n}" for n in range(at, at + MANY)} for at in (0, MANY))
    rules = {"filters": {"minSeverity": "HIGH"}, "processing": {"order": order}}
    with world.product:
        world.settle()
        assert world.known() == dict.fromkeys(high | low, "")

        world.restart(**rules)
        assert world.known() == dict.fromkeys(high, "") | dict.fromkeys(low, "minSeverity HIGH")
        assert world.product.outcomes("widgets") == {"deduplicated": MANY, "stored": MANY}

        world.restart(**rules)
        assert world.product.outcomes("widgets") == {"deduplicated": MANY, "filtered": MANY}

        world.widgets("CRITICAL", numbers=range(MANY, MANY + 5))
        world.widgets("LOW", numbers=range(5))
        world.settle()
        came, went = ({f"w{n}" for n in range(at, at + 5)} for at in (MANY, 0))
        assert {name for name, reason in world.known().items() if not reason} == (
            high - went
        ) | came
        assert world.product.outcomes("widgets")["stored"] == 10

        world.restart()
        assert world.known() == dict.fromkeys(high | low, "")
        assert world.product.stop() == 0


@pytest.mark.timeout(120)
def test_a_throttled_source_loses_nothing_and_says_how_long_it_waited(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    world = World(installed, namespace, tmp_path)
    world.widgets("HIGH", numbers=range(MANY))
    world.product.rewrite([world.document(throttle={"perSecond": 20, "burst": 1})])
    with world.product:
        world.settle()
        assert world.product.outcomes("widgets") == {"stored": MANY}
        waited = world.product.total("zenstreams_stage_duration_seconds_sum", stage="throttle")
        # They come in one list: the last of them waits for 19 tokens of 50 ms, the first for none.
        assert waited > sum(0.05 * n for n in range(MANY)) / 2
        assert len(world.known()) == MANY
        assert world.product.stop() == 0
