"""More than fits: a slow API server, a small buffer, history forgotten again and again."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from streams.config.crd import manifests
from tests.cluster.bulk import put_widgets
from tests.cluster.cluster import Cluster
from tests.cluster.commands import TOKENS
from tests.cluster.faults import FaultProxy
from tests.cluster.generator import GROUP, WIDGETS, Generator
from tests.cluster.processes import wait_until
from tests.cluster.product import Product, ingester

OBJECTS = 20_000
CAPACITY = 1_000
WRITE_SECONDS = 0.2
COMPACT_EVERY_SECONDS = 15.0
RESIDENT_BYTES = 200_000_000
READ_WITHIN_SECONDS = 1.0
"""For 95 of 100: the machine is shared, and the slowest read is as slow as its worst moment."""
READS = ("--qps", "500", "--burst", "500", "--write-qps", "5000", "--write-burst", "5000")


class Compactions(threading.Thread):
    """Forgets etcd's history every 15 s."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self.over = threading.Event()
        self.made = 0
        self._cluster = cluster

    def run(self) -> None:
        while not self.over.wait(COMPACT_EVERY_SECONDS):
            self._cluster.compact()
            self.made += 1


@pytest.mark.chaos
@pytest.mark.timeout(780)
def test_nothing_final_is_lost_in_a_flood(fresh_cluster: Cluster, tmp_path: Path) -> None:
    fresh_cluster.apply(*manifests(), WIDGETS)
    generator = Generator(fresh_cluster.api(), "default")
    put_widgets(fresh_cluster, generator, count=OBJECTS)
    document = ingester(
        "widgets", "default", resource="widgets", group=GROUP, buffer={"capacity": CAPACITY}
    )
    compactions = Compactions(fresh_cluster)
    with FaultProxy(fresh_cluster) as proxy:
        proxy.delay_writes(WRITE_SECONDS)
        kubeconfig = proxy.kubeconfig(TOKENS["admin"])
        with Product(tmp_path, [document], kubeconfig=kubeconfig, options=READS) as product:
            began = time.monotonic()
            product.ready(seconds=120)
            compactions.start()
            try:
                reads, most = _watch_it(product, generator)
            finally:
                compactions.over.set()
                compactions.join()
            took = time.monotonic() - began
            product.quiet(seconds=120)
            product.assert_balanced("widgets")
            generator.assert_widgets()
            usual = reads[len(reads) * 95 // 100]
            print(
                f"{OBJECTS} objects stored in {took:.0f} s, {compactions.made} compactions, {len(reads)} reads, "
                f"95 % within {usual:.2f} s, the slowest {reads[-1]:.2f} s, resident at most {most / 1e6:.0f} MB, "
                f"{product.outcomes('widgets')}"
            )
            assert compactions.made >= 1
            assert usual <= READ_WITHIN_SECONDS
            assert most < RESIDENT_BYTES


def _watch_it(product: Product, generator: Generator) -> tuple[list[float], int]:
    """Change an object every so often until all is stored; how long each read took, and the most memory."""
    reads: list[float] = []
    most, number, stored = 0, 0, 0.0

    def settled() -> bool:
        nonlocal most, number, stored
        most = max(most, product.resident_bytes())
        number += 1
        changed = generator.widget(f"w{(number * 7919) % OBJECTS}", number)
        reads.append(_read_seconds(product, int(changed["metadata"]["resourceVersion"])))
        stored = product.total("zenstreams_state_entries", source="widgets")
        return stored >= OBJECTS

    try:
        wait_until(settled, seconds=600, what="every object to be stored")
    except TimeoutError:
        pytest.fail(f"{stored:.0f} of {OBJECTS} objects stored, reads {sorted(reads)[-5:]}")
    return sorted(reads), most


def _read_seconds(product: Product, version: int) -> float:
    """How long until the product's informer has read a version that there is already."""
    asked = time.monotonic()
    wait_until(
        lambda: (
            product.total("zenstreams_watch_last_resource_version", source="widgets") >= version
        ),
        seconds=30,
        what="the change to be read",
    )
    return time.monotonic() - asked
