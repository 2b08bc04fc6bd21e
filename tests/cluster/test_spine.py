"""From a change in a genuine cluster to an Observation, exactly accounted for."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.generator import GROUP, WIDGETS, Generator, at_once
from tests.cluster.processes import wait_until
from tests.cluster.product import Product, ingester

AGENT = "zen-streams"


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    cluster.apply(*manifests(), WIDGETS)
    return cluster


def widgets(namespace: str, name: str = "widgets", **spec: Any) -> dict[str, Any]:
    return ingester(name, namespace, resource="widgets", group=GROUP, **spec)


def requests_of_the_product(cluster: Cluster, namespace: str) -> Counter[tuple[str, int]]:
    """Audited writes of Observations in a namespace, by verb and code."""
    return Counter(
        (event["verb"], event["responseStatus"]["code"])
        for event in cluster.audit()
        if event["stage"] == "ResponseComplete"
        and event.get("userAgent", "") == AGENT
        and event.get("objectRef", {}).get("resource") == "observations"
        and event.get("objectRef", {}).get("namespace") == namespace
    )


def audited_watches(cluster: Cluster, namespace: str, resource: str) -> int:
    return sum(
        event["verb"] == "watch"
        and event["stage"] == "ResponseStarted"
        and event.get("userAgent", "") == AGENT
        and event["objectRef"]["resource"] == resource
        and event["objectRef"].get("namespace") == namespace
        for event in cluster.audit()
    )


@pytest.mark.timeout(180)
def test_every_event_is_accounted_for(installed: Cluster, namespace: str, tmp_path: Path) -> None:
    generator = Generator(installed.api(), namespace)
    chosen = widgets(namespace, "chosen", informer={"labelSelector": "in=yes"})
    events = ingester("events", namespace, resource="events")
    with Product(
        tmp_path, [widgets(namespace), chosen, events], kubeconfig=installed.kubeconfig
    ) as product:
        product.ready()
        at_once(
            partial(generator.widget, f"w{n}", 0, labels={"in": "yes" if n < 20 else "no"})
            for n in range(200)
        )
        product.quiet()
        at_once(
            partial(generator.widget, f"w{n}", 1, labels={"in": "no" if n < 10 else "yes"})
            for n in range(100)
        )
        product.quiet()
        at_once(partial(generator.delete, f"w{n}") for n in range(150, 200))
        sent_widgets = generator.sent
        at_once(
            partial(
                generator.event,
                f"p{n % 50}.{n // 50}",
                about=f"p{n % 50}",
                reason="BackOff",
                count=1 + n // 50,
            )
            for n in range(500)
        )
        product.quiet()
        for source in ("widgets", "chosen", "events"):
            product.assert_balanced(source)
        assert product.outcomes("widgets") == {"stored": sent_widgets}
        assert sum(product.outcomes("events").values()) == 500
        attempts = {
            (verb, int(code)): product.total(
                "zenstreams_apiserver_requests_total", verb=verb, code=code
            )
            for verb, code in (("apply", "200"), ("apply", "201"))
        }
        audited = requests_of_the_product(installed, namespace)
        assert audited["patch", 200] == attempts["apply", 200]
        assert audited["patch", 201] == attempts["apply", 201]
        assert set(audited) <= {("patch", 200), ("patch", 201), ("get", 200)}
        generator.assert_widgets("widgets")
        observations = generator.observations()
        by_source = Counter(one["spec"]["source"] for one in observations)
        # 20 in the selector at first, 10 of them left, 80 came in
        assert by_source == {"widgets": 200, "chosen": 100, "events": 50}
        for one in observations:
            if one["spec"]["source"] == "events":
                assert one["spec"]["count"] == sum(range(1, 11))
        resolved = [
            o["spec"]
            for o in observations
            if o["spec"]["source"] == "chosen" and "resolvedAt" in o["spec"]
        ]
        assert sorted(o["resource"]["name"] for o in resolved) == sorted(f"w{n}" for n in range(10))
        assert {o["resolvedReason"] for o in resolved} == {"left_selector"}
        assert product.stop() == 0


@pytest.mark.timeout(120)
def test_a_restart_writes_nothing(installed: Cluster, namespace: str, tmp_path: Path) -> None:
    generator = Generator(installed.api(), namespace)
    at_once(partial(generator.widget, f"w{n}", n) for n in range(30))
    for n in range(5):
        installed.kubectl("-n", namespace, "create", "configmap", f"c{n}", f"--from-literal=a={n}")
    at_once(
        partial(generator.event, f"p.{n}", about="p", reason="BackOff", count=n + 1)
        for n in range(10)
    )
    documents = [
        widgets(namespace),
        ingester("maps", namespace, resource="configmaps"),
        ingester("pods", namespace, resource="pods"),
        ingester("events", namespace, resource="events"),
    ]
    container = {"name": "app", "image": "example.invalid/app"}
    for n in range(4):
        pod = {"metadata": {"name": f"pod{n}"}, "spec": {"containers": [container]}}
        installed.api().need("POST", f"/api/v1/namespaces/{namespace}/pods", body=pod)
    with Product(tmp_path, documents, kubeconfig=installed.kubeconfig) as product:
        product.ready()
        product.quiet()
        assert product.stop() == 0
        before = {
            o["metadata"]["name"]: o["metadata"]["resourceVersion"]
            for o in generator.observations()
        }
        audited = requests_of_the_product(installed, namespace)
        assert len(before) == 40
        product.start()
        product.ready()
        product.quiet()
        after = {
            o["metadata"]["name"]: o["metadata"]["resourceVersion"]
            for o in generator.observations()
        }
        assert after == before
        assert requests_of_the_product(installed, namespace) == audited
        assert product.outcomes("maps") == {"deduplicated": 5}
        assert product.outcomes("pods") == {"deduplicated": 4}


@pytest.mark.timeout(120)
def test_what_happened_while_it_was_down(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(installed.api(), namespace)
    for n in range(5):
        generator.widget(f"w{n}", n)
    with Product(tmp_path, [widgets(namespace)], kubeconfig=installed.kubeconfig) as product:
        product.ready()
        product.quiet()
        assert product.stop() == 0
        generator.delete("w0")
        generator.delete("w1")
        generator.widget("w1", 10)
        generator.widget("w2", 20)
        product.start()
        product.ready()
        product.quiet()
        generator.assert_widgets()
        (gone,) = [o["spec"] for o in generator.observations() if "resolvedAt" in o["spec"]]
        assert gone["resource"]["name"] == "w0"
        assert gone["resolvedReason"] == "deleted"
        generator.widget("w0", 30)  # made again: it continues its Observation
        wait_until(
            lambda: not any("resolvedAt" in o["spec"] for o in generator.observations()),
            seconds=20,
            what="w0 to be back",
        )
        generator.assert_widgets()
        product.assert_balanced("widgets")


@pytest.mark.timeout(60)
def test_two_ingesters_share_one_watch(installed: Cluster, namespace: str, tmp_path: Path) -> None:
    generator = Generator(installed.api(), namespace)
    generator.widget("w", 1)
    documents = [widgets(namespace, "one"), widgets(namespace, "two")]
    with Product(tmp_path, documents, kubeconfig=installed.kubeconfig) as product:
        product.ready()
        generator.widget("w", 2)
        product.quiet()
        assert Counter(o["spec"]["source"] for o in generator.observations()) == {
            "one": 1,
            "two": 1,
        }
        assert all(o["spec"]["details"]["data"] == {"value": 2} for o in generator.observations())
        assert audited_watches(installed, namespace, "widgets") == 1
        product.assert_balanced("one")
        product.assert_balanced("two")


@pytest.mark.timeout(120)
def test_another_selector_is_told_apart_from_deletions(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(installed.api(), namespace)
    for n in range(40):
        generator.widget(f"w{n}", n, labels={"in": "yes", "tier": "a" if n < 10 else "b"})
    before = widgets(namespace, informer={"labelSelector": "in=yes"})
    with Product(tmp_path, [before], kubeconfig=installed.kubeconfig) as product:
        product.ready()
        product.quiet()
        assert product.stop() == 0
        for n in range(10, 15):
            generator.delete(f"w{n}")
        generator.delete("w15")
        generator.widget("w15", 150, labels={"in": "yes", "tier": "b"})
        after = widgets(namespace, informer={"labelSelector": "in=yes,tier=a"})
        product.rewrite([after])
        product.start()
        product.ready()
        product.quiet()
        resolved = {
            o["spec"]["resource"]["name"]: o["spec"]["resolvedReason"]
            for o in generator.observations()
            if "resolvedAt" in o["spec"]
        }
        deleted = {f"w{n}": "deleted" for n in range(10, 16)}
        assert resolved == deleted | {f"w{n}": "left_selector" for n in range(16, 40)}
        product.assert_balanced("widgets")
        assert product.outcomes("widgets") == {"deduplicated": 10, "stored": 30}
