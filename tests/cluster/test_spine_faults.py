"""Cuts, 410 and restarts of the API server: no final state is lost, and nothing is doubled."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

import pytest

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster
from tests.cluster.commands import TOKENS
from tests.cluster.faults import FaultProxy
from tests.cluster.generator import GROUP, WIDGETS, Generator, at_once
from tests.cluster.processes import wait_until
from tests.cluster.product import Product, ingester

FAILED_AT_MOST = 20


def failures(product: Product, source: str) -> float:
    return product.total("zenstreams_watch_failures_total", source=source)


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_watches_cut_anywhere(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.apply(*manifests(), WIDGETS)
    generator = Generator(cluster.api(), namespace)
    document = ingester("widgets", namespace, resource="widgets", group=GROUP)
    dice = random.Random(1)
    with FaultProxy(cluster) as proxy:
        proxy.cut_every_watch_after(lambda: dice.randrange(1, 3000))
        kubeconfig = proxy.kubeconfig(TOKENS["admin"])
        with Product(tmp_path, [document], kubeconfig=kubeconfig) as product:
            product.ready()
            for round_ in range(8):
                at_once(partial(generator.widget, f"w{n}", round_) for n in range(40))
            at_once(partial(generator.delete, f"w{n}") for n in range(10))
            wait_until(
                lambda: len(proxy.exchanges(lambda e: e.fault == "cut")) >= 10,
                seconds=60,
                what="ten cuts",
            )
            proxy.heal()
            product.quiet()
            wait_until(partial(_equal, generator), seconds=60, what="the final states")
            product.assert_balanced("widgets")


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_history_forgotten_while_it_was_cut_off(fresh_cluster: Cluster, tmp_path: Path) -> None:
    fresh_cluster.apply(*manifests(), WIDGETS)
    generator = Generator(fresh_cluster.api(), "default")
    with FaultProxy(fresh_cluster) as proxy:
        kubeconfig = proxy.kubeconfig(TOKENS["admin"])
        document = ingester("events", "default", resource="events")
        with Product(tmp_path, [document], kubeconfig=kubeconfig) as product:
            product.ready()
            at_once(
                partial(generator.event, f"p.{n}", about="p", reason="BackOff", count=1)
                for n in range(5)
            )
            product.quiet()
            proxy.refuse()
            at_once(
                partial(generator.event, f"p.{n}", about="p", reason="BackOff", count=3)
                for n in range(10)
            )
            fresh_cluster.compact()
            proxy.accept()
            wait_until(
                lambda: _counts(generator, source="events") == [30],
                seconds=60,
                what="the count",
            )
            product.quiet()
            product.assert_balanced("events")
            assert product.total("zenstreams_watch_relists_total", reason="Expired") == 1
            assert failures(product, "events") <= FAILED_AT_MOST


@pytest.mark.chaos
@pytest.mark.timeout(180)
def test_the_api_server_restarts(fresh_cluster: Cluster, tmp_path: Path) -> None:
    fresh_cluster.apply(*manifests(), WIDGETS)
    generator = Generator(fresh_cluster.api(), "default")
    documents = [
        ingester("widgets", "default", resource="widgets", group=GROUP),
        ingester("events", "default", resource="events"),
    ]
    with Product(tmp_path, documents, kubeconfig=fresh_cluster.kubeconfig) as product:
        product.ready()
        at_once(partial(generator.widget, f"w{n}", 0) for n in range(100))
        fresh_cluster.restart_apiserver()
        at_once(partial(generator.widget, f"w{n}", 1) for n in range(50))
        at_once(partial(generator.delete, f"w{n}") for n in range(90, 100))
        at_once(
            partial(generator.event, f"p.{n}", about="p", reason="BackOff", count=2)
            for n in range(10)
        )
        wait_until(partial(_equal, generator), seconds=90, what="the final states")
        wait_until(
            lambda: _counts(generator, source="events") == [20],
            seconds=90,
            what="the count of what happened",
        )
        product.quiet(seconds=90)
        for source in ("widgets", "events"):
            product.assert_balanced(source)
            assert failures(product, source) <= FAILED_AT_MOST
        assert product.stop() == 0


def _counts(generator: Generator, *, source: str) -> list[int]:
    return [
        one["spec"]["count"] for one in generator.observations() if one["spec"]["source"] == source
    ]


def _equal(generator: Generator) -> bool:
    try:
        generator.assert_widgets()
    except AssertionError:
        return False
    return True
