"""`zen-streams run` against the embedded server: the whole product in seconds, without a cluster.

What needs the genuine server (audit log, quotas, restarts, faults) is in tests/cluster.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.generator import GROUP, Generator, at_once
from tests.cluster.processes import wait_until
from tests.cluster.product import Product, ingester
from tests.integration.embedded import Embedded

pytestmark = pytest.mark.timeout(60)


def widgets(namespace: str, name: str = "widgets", **spec: Any) -> dict[str, Any]:
    return ingester(name, namespace, resource="widgets", group=GROUP, **spec)


def versions(generator: Generator) -> dict[str, str]:
    return {
        one["metadata"]["name"]: one["metadata"]["resourceVersion"]
        for one in generator.observations()
    }


def test_every_event_ends_once_and_every_subject_has_its_observation(
    embedded: Embedded, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(embedded.api(), namespace)
    chosen = widgets(namespace, "chosen", informer={"labelSelector": "in=yes"})
    events = ingester("events", namespace, resource="events")
    documents = [widgets(namespace), chosen, events]
    with Product(tmp_path, documents, kubeconfig=embedded.kubeconfig) as product:
        product.ready()
        at_once(
            partial(generator.widget, f"w{n}", 0, labels={"in": "yes" if n < 10 else "no"})
            for n in range(60)
        )
        product.quiet()
        at_once(
            partial(generator.widget, f"w{n}", 1, labels={"in": "no" if n < 5 else "yes"})
            for n in range(40)
        )
        product.quiet()
        at_once(partial(generator.delete, f"w{n}") for n in range(50, 60))
        sent = generator.sent
        at_once(
            partial(
                generator.event,
                f"p{n % 20}.{n // 20}",
                about=f"p{n % 20}",
                reason="BackOff",
                count=1 + n // 20,
            )
            for n in range(100)
        )
        product.quiet()
        for source in ("widgets", "chosen", "events"):
            product.assert_balanced(source)
        assert product.outcomes("widgets") == {"stored": sent}
        assert sum(product.outcomes("events").values()) == 100
        generator.assert_widgets("widgets")
        found = [one["spec"] for one in generator.observations()]
        assert Counter(one["source"] for one in found) == {
            "widgets": 60,
            "chosen": 40,
            "events": 20,
        }
        assert {one["count"] for one in found if one["source"] == "events"} == {sum(range(1, 6))}
        left = [one for one in found if one["source"] == "chosen" and "resolvedAt" in one]
        assert sorted(one["resource"]["name"] for one in left) == [f"w{n}" for n in range(5)]
        assert {one["resolvedReason"] for one in left} == {"left_selector"}
        assert product.stop() == 0


def test_a_restart_writes_nothing(embedded: Embedded, namespace: str, tmp_path: Path) -> None:
    generator = Generator(embedded.api(), namespace)
    at_once(partial(generator.widget, f"w{n}", n) for n in range(20))
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    for n in range(5):
        body = {"metadata": {"name": f"c{n}"}, "data": {"a": str(n)}}
        embedded.api().need("POST", maps, body=body)
    at_once(
        partial(generator.event, f"p.{n}", about="p", reason="BackOff", count=n + 1)
        for n in range(10)
    )
    documents = [
        widgets(namespace),
        ingester("maps", namespace, resource="configmaps"),
        ingester("events", namespace, resource="events"),
    ]
    with Product(tmp_path, documents, kubeconfig=embedded.kubeconfig) as product:
        product.ready()
        product.quiet()
        assert product.stop() == 0
        before = versions(generator)
        assert len(before) == 26
        product.start()
        product.ready()
        product.quiet()
        assert versions(generator) == before
        assert product.outcomes("widgets") == {"deduplicated": 20}
        assert product.outcomes("maps") == {"deduplicated": 5}
        assert product.outcomes("events") == {"deduplicated": 10}
        product.assert_balanced("widgets")


def test_what_was_deleted_while_it_was_down_is_resolved(
    embedded: Embedded, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(embedded.api(), namespace)
    for n in range(5):
        generator.widget(f"w{n}", n)
    with Product(tmp_path, [widgets(namespace)], kubeconfig=embedded.kubeconfig) as product:
        product.ready()
        product.quiet()
        product.kill()
        generator.delete("w0")
        generator.delete("w1")
        generator.widget("w1", 10)
        generator.widget("w2", 20)
        product.start()
        product.ready()
        product.quiet()
        generator.assert_widgets()
        (gone,) = [o["spec"] for o in generator.observations() if "resolvedAt" in o["spec"]]
        assert (gone["resource"]["name"], gone["resolvedReason"]) == ("w0", "deleted")
        generator.widget("w0", 30)  # made again: it continues its Observation
        wait_until(
            lambda: not any("resolvedAt" in o["spec"] for o in generator.observations()),
            seconds=20,
            what="w0 to be back",
        )
        generator.assert_widgets()
        product.assert_balanced("widgets")
        assert product.stop() == 0
