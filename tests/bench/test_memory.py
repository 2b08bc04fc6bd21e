"""What the product weighs: idle, and for each object that it remembers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.bed import GROUP, VERSION, river
from tests.bench.payloads import lines
from tests.cluster.processes import wait_until
from tests.cluster.product import FAST, Product, ingester

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

OBJECTS = (0, 1_000, 10_000, 100_000)


def weigh(folder: Path, objects: int) -> int:
    """How many bytes are resident once it has read so many objects, and none of them is on its way."""
    gvr = {"group": GROUP, "version": VERSION}
    filters = {"minSeverity": "CRITICAL"}
    document = ingester("weighed", "shop", resource="river-0", **gvr, filters=filters)
    told = river(folder / "river", lines("mixed", 1), count=0, listed=objects)
    with (
        told as kubeconfig,
        Product(folder / "run", [document], kubeconfig=kubeconfig, options=FAST) as product,
    ):
        product.ready()
        wait_until(
            lambda: product.total("zenstreams_events_received_total") >= objects,
            seconds=300,
            what=f"{objects} objects to be read",
        )
        product.quiet(seconds=300)
        return product.resident_bytes()


def test_what_it_weighs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nobjects   resident MB   bytes per object (all filtered)")
        idle = weigh(tmp_path / "0", 0)
        print(f"{0:>7}   {idle / 1e6:11.1f}")
        for objects in OBJECTS[1:]:
            weight = weigh(tmp_path / str(objects), objects)
            print(f"{objects:>7}   {weight / 1e6:11.1f}   {(weight - idle) / objects:8.0f}")
