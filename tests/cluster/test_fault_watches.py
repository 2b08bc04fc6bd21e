from __future__ import annotations

import http.client
import random
from typing import TYPE_CHECKING

import pytest

from tests.cluster.proxied import apply, is_watch, watching

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.faults import FaultProxy


def rest(response: http.client.HTTPResponse) -> bytes:
    """What still arrives before the answer is cut short, as it has to be."""
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    return cut.value.partial


def test_a_watch_passes_event_by_event(proxy: FaultProxy, proxied: Api, namespace: str) -> None:
    with watching(proxy, namespace) as watch:
        for name in ("one", "two", "three"):
            assert apply(proxied, namespace, name) == 201
            assert f'"name":"{name}"'.encode() in watch.readline()
        assert proxy.exchanges(is_watch)[0].ended is None

    over = proxy.wait_exchange(lambda it: is_watch(it) and it.ended is not None)
    assert (over.status, over.fault) == (200, "lost")


def test_a_watch_is_cut_after_so_many_bytes(
    proxy: FaultProxy, proxied: Api, namespace: str
) -> None:
    apply(proxied, namespace, "one")
    with watching(proxy, namespace) as watch:
        event = watch.readline()
    proxy.cut_watch(len(event) - 7)

    with watching(proxy, namespace) as watch:
        assert rest(watch) == event[:-7]
    with watching(proxy, namespace) as watch:
        assert watch.readline() == event

    cut = proxy.exchanges(lambda it: it.fault == "cut")
    assert [exchange.answer_bytes for exchange in cut] == [len(event) - 7]


def test_a_watch_is_cut_before_its_first_byte(proxy: FaultProxy, namespace: str) -> None:
    proxy.cut_watch(0)

    with watching(proxy, namespace) as watch:
        assert (watch.status, rest(watch)) == (200, b"")


def test_every_watch_is_cut_where_chance_will(
    proxy: FaultProxy, proxied: Api, namespace: str
) -> None:
    for number in range(5):
        apply(proxied, namespace, f"map-{number}", filling="x" * 500)
    chance, foretold = random.Random(7), random.Random(7)
    proxy.cut_every_watch_after(lambda: chance.randrange(3000))

    for _ in range(10):
        with watching(proxy, namespace) as watch:
            assert len(rest(watch)) == foretold.randrange(3000)

    proxy.heal()
    with watching(proxy, namespace) as watch:
        assert sum(len(watch.readline()) for _ in range(5)) > 3000


def test_open_watches_are_cut_at_once(proxy: FaultProxy, proxied: Api, namespace: str) -> None:
    apply(proxied, namespace, "one")
    with watching(proxy, namespace) as first, watching(proxy, namespace) as second:
        for watch in (first, second):
            watch.readline()
        assert proxy.cut_open_watches() == 2
        assert (rest(first), rest(second)) == (b"", b"")

    proxy.wait_exchange(lambda it: it.ended is not None and it.fault == "cut")
    assert proxy.cut_open_watches() == 0


def test_a_stalled_watch_is_silent_and_then_whole(
    proxy: FaultProxy, proxied: Api, namespace: str
) -> None:
    with (
        watching(proxy, namespace) as flowing,
        watching(proxy, namespace, "&pretty=0") as stalled,
    ):
        proxy.stall(lambda it: "pretty" in it.query)
        for name in ("one", "two"):
            assert apply(proxied, namespace, name) == 201
            assert f'"name":"{name}"'.encode() in flowing.readline()
        held = proxy.exchanges(is_watch)[1]
        assert (held.answer_bytes, held.ended) == (0, None)

        proxy.resume()
        assert b'"name":"one"' in stalled.readline()
        assert b'"name":"two"' in stalled.readline()


def test_a_client_that_leaves_ends_its_watch_on_the_server(
    proxy: FaultProxy, cluster: Cluster, namespace: str
) -> None:
    with watching(proxy, namespace) as watch:
        identity = watch.headers["Audit-Id"]

    ended = cluster.wait_audit(
        lambda it: it["auditID"] == identity and it["stage"] == "ResponseComplete"
    )
    assert ended["verb"] == "watch"
