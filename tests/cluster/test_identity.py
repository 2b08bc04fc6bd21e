"""What an Observation is identified by, as a genuine API server stores it, and what stays the same under it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.generator import GROUP, OBSERVATIONS, WIDGETS, Generator
from tests.cluster.product import Product, ingester

NAME = re.compile(r"(.+)-[a-z2-7]{12}")
NODE = "node-of-two-namespaces"


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    cluster.apply(*manifests(), WIDGETS)
    return cluster


def readable(observation: dict[str, Any]) -> str:
    """The readable part of an Observation's name."""
    found = NAME.fullmatch(observation["metadata"]["name"])
    assert found is not None, observation["metadata"]["name"]
    return found[1]


@pytest.mark.timeout(120)
def test_the_identity_names_the_object_the_events_and_the_occurrence(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(installed.api(), namespace)
    widget = generator.widget("w", 1)["metadata"]
    generator.event("p.1", about="p", reason="BackOff", count=2)
    generator.event("p.2", about="p", reason="BackOff", count=1)
    documents = [
        ingester("subjects", namespace, resource="widgets", group=GROUP),
        ingester("events", namespace, resource="events"),
        ingester("happenings", namespace, resource="widgets", group=GROUP, observe="occurrence"),
    ]
    with Product(tmp_path, documents, kubeconfig=installed.kubeconfig) as product:
        product.ready()
        product.quiet()
        found = {one["spec"]["source"]: one for one in generator.observations()}
        assert product.stop() == 0
    assert len(found) == len(generator.observations()) == 3

    def of(name: str) -> dict[str, Any]:
        return {"ingester": {"namespace": namespace, "name": name}, "namespace": namespace}

    of_widget = {
        "group": GROUP,
        "resource": "widgets",
        "name": "w",
        "uid": widget["uid"],
        "version": widget["resourceVersion"],
    }
    assert found["subjects"]["spec"]["identity"] == of("subjects") | of_widget
    happened = found["happenings"]["spec"]
    opened = f"{widget['uid']}/{widget['resourceVersion']}"
    occurrence = {"key": happened["fingerprint"], "opened": opened}
    assert happened["identity"] == of("happenings") | of_widget | {"occurrence": occurrence}
    assert happened["occurrence"].keys() == {"windowStart", "windowEnd"}
    counted = found["events"]["spec"]
    version = counted["identity"].pop("version")
    assert version.isdecimal()
    # Of the two Events the one that was last seen is the newest: its text is the Observation's.
    event = {"object": "uid-p", "reason": "BackOff", "type": "Warning", "reporter": "kubelet"}
    assert counted["identity"] == of("events") | {
        "resource": "events",
        "event": event | {"newest": "p.1"},
    }
    assert (counted["count"], counted["evidence"]) == (3, {"p.1": 2, "p.2": 1})
    assert {source: readable(one) for source, one in found.items()} == {
        "subjects": "w",
        "events": "p",
        "happenings": "w",
    }


@pytest.mark.timeout(120)
def test_another_source_updates_the_same_observation_in_place(
    installed: Cluster, namespace: str, tmp_path: Path
) -> None:
    generator = Generator(installed.api(), namespace)
    for n in range(3):
        generator.widget(f"w{n}", n)

    def document(source: str) -> dict[str, Any]:
        found = ingester("renamed", namespace, resource="widgets", group=GROUP)
        found["spec"]["source"] = source
        return found

    def stored() -> dict[str, dict[str, Any]]:
        return {one["metadata"]["name"]: one for one in generator.observations()}

    with Product(tmp_path, [document("before")], kubeconfig=installed.kubeconfig) as product:
        product.ready()
        product.quiet()
        before = stored()
        assert product.stop() == 0
        generator.delete("w2")
        product.rewrite([document("after")])
        product.start()
        product.ready()
        product.quiet()
        after = stored()
        assert product.outcomes("after") == {"stored": 3}
        product.assert_balanced("after")
        assert product.stop() == 0
    assert len(before) == 3
    assert after.keys() == before.keys(), "an Observation under another name"
    generator.assert_widgets()
    for name, one in after.items():
        was = before[name]
        assert one["metadata"]["uid"] == was["metadata"]["uid"]
        assert one["spec"]["firstSeen"] == was["spec"]["firstSeen"]
        if (
            one["spec"]["resource"]["name"] == "w2"
        ):  # removed meanwhile: resolved, as it was written
            assert (one["spec"]["source"], one["spec"]["resolvedReason"]) == ("before", "deleted")
        else:
            assert one["spec"]["source"] == one["metadata"]["labels"]["source"] == "after"
            assert one["spec"]["identity"] == was["spec"]["identity"]


@pytest.mark.timeout(120)
def test_events_of_a_cluster_scoped_object_are_counted_apart_in_each_namespace(
    fresh_cluster: Cluster, tmp_path: Path
) -> None:
    fresh_cluster.apply(*manifests())
    api = fresh_cluster.api()
    selected = {"namespace": "", "fieldSelector": f"involvedObject.name={NODE}"}
    document = ingester("nodes", "default", resource="events", informer=selected)
    with Product(tmp_path, [document], kubeconfig=fresh_cluster.kubeconfig) as product:
        product.ready()
        for place, count in (("default", 2), ("kube-system", 5)):
            # Outside of "default" the server wants the Event's own namespace in the reference.
            node = {"apiVersion": "v1", "kind": "Node", "name": NODE, "uid": NODE}
            body = {
                "metadata": {"name": f"{NODE}.1", "namespace": place},
                "involvedObject": node if place == "default" else node | {"namespace": place},
                "type": "Warning",
                "reason": "NodeNotReady",
                "message": "kubelet stopped posting node status",
                "source": {"component": "node-controller"},
                "count": count,
                "lastTimestamp": "2026-11-20T06:00:00Z",
            }
            api.need("POST", f"/api/v1/namespaces/{place}/events", body=body)
        product.quiet()
        found = api.need("GET", f"{OBSERVATIONS}/observations")["items"]
        counts = {one["metadata"]["namespace"]: one["spec"]["count"] for one in found}
        assert product.outcomes("nodes") == {"stored": 2}
        assert (len(found), counts) == (2, {"default": 2, "kube-system": 5})
        assert product.stop() == 0
        product.start()
        product.ready()
        product.quiet()
        assert product.outcomes("nodes") == {"deduplicated": 2}
        assert product.stop() == 0
    assert {readable(one) for one in found} == {NODE}
    assert len({one["metadata"]["name"] for one in found}) == 2
    identities = {one["spec"]["identity"]["namespace"] for one in found}
    assert identities == {"default", "kube-system"}
    for one in found:
        resource = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        assert one["spec"]["resource"].items() >= resource.items()
        assert one["spec"]["identity"]["event"]["object"] == NODE
