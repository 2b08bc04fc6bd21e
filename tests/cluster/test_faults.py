from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.cluster.api import Api
from tests.cluster.commands import TOKENS
from tests.cluster.faults import FaultProxy
from tests.cluster.processes import wait_until
from tests.cluster.proxied import GONE, SSA, apply, config_map, config_maps, is_write, watching

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster


def test_it_is_a_cluster_to_kubectl(proxy: FaultProxy, cluster: Cluster, namespace: str) -> None:
    there = (f"--kubeconfig={proxy.kubeconfig(TOKENS['admin'])}", f"--namespace={namespace}")
    cluster.kubectl(*there, "create", "configmap", "one", "--from-literal=colour=red")
    cluster.kubectl(*there, "label", "configmap", "one", "app=x")

    chosen = ("get", "configmaps", "-l", "app in (x, y)", "-o", "jsonpath={..colour}")

    assert cluster.kubectl(*there, *chosen) == "red"
    asked = proxy.exchanges(lambda it: "labelSelector" in it.query)[-1]
    assert (asked.method, asked.path, asked.kind) == ("GET", config_maps(namespace), "list")
    assert asked.query["labelSelector"] == "app in (x, y)"
    assert asked.status == 200
    assert asked.answer_bytes > 0
    assert asked.ended is not None


def test_users_stay_who_they_are(proxy: FaultProxy, proxied: Api, namespace: str) -> None:
    refused = proxied.request("GET", config_maps(namespace), token=TOKENS["viewer"])

    assert refused.status == 403
    assert 'User \\"viewer\\" cannot list' in refused.body.decode()
    assert proxy.exchanges()[-1].status == 403


def test_a_stall_holds_requests_back(proxy: FaultProxy, proxied: Api, namespace: str) -> None:
    codes: list[int] = []
    proxy.stall()
    writer = threading.Thread(target=lambda: codes.append(apply(proxied, namespace, "one")))
    writer.start()
    held = proxy.wait_exchange(is_write)
    assert held.status is None
    assert codes == []

    proxy.resume()
    writer.join(10)
    assert codes == [held.status] == [201]


def test_an_ordered_status_never_reaches_the_server(
    proxy: FaultProxy, proxied: Api, namespace: str
) -> None:
    proxy.status_for(is_write, code=429, headers={"Retry-After": "3"}, times=1)
    path = f"{config_maps(namespace)}/one?fieldManager=tests"

    told = proxied.request("PATCH", path, body=config_map("one"), content_type=SSA)

    assert (told.status, told.headers["retry-after"]) == (429, "3")
    assert (told.json()["reason"], told.json()["code"]) == ("TooManyRequests", 429)
    assert proxied.request("GET", f"{config_maps(namespace)}/one").status == 404
    assert apply(proxied, namespace, "one") == 201
    assert [it.fault for it in proxy.exchanges(is_write)] == ["injected", ""]


def test_an_ordered_status_may_say_anything_to_everybody(proxy: FaultProxy, proxied: Api) -> None:
    proxy.status_for(lambda _: True, code=503, body=b"gone fishing")

    told = [proxied.request("GET", path) for path in ("/version", "/api/v1/namespaces")]

    assert [(answer.status, answer.body) for answer in told] == [(503, b"gone fishing")] * 2
    proxy.heal()
    assert proxied.request("GET", "/version").status == 200


def test_a_dropped_answer_hides_a_committed_write(
    proxy: FaultProxy, cluster: Cluster, proxied: Api, namespace: str
) -> None:
    proxy.drop_response(is_write)

    with pytest.raises(GONE):
        apply(proxied, namespace, "one", colour="red")

    dropped = proxy.wait_exchange(lambda it: it.fault == "dropped")
    assert (dropped.status, dropped.answer_bytes) == (201, 0)
    kept = cluster.request("GET", f"{config_maps(namespace)}/one")
    assert kept.json()["data"] == {"colour": "red"}
    assert apply(proxied, namespace, "one", colour="red") == 200


def test_refused_clients_come_back_to_the_same_port(
    proxy: FaultProxy, proxied: Api, namespace: str
) -> None:
    url = proxy.url
    with watching(proxy, namespace) as watch:
        proxy.refuse()
        with pytest.raises(GONE):
            watch.read()
    with pytest.raises(ConnectionRefusedError):
        proxied.request("GET", "/version")

    proxy.accept()

    assert proxy.url == url
    assert proxied.request("GET", "/version").status == 200


def test_only_writes_are_delayed(proxy: FaultProxy, proxied: Api, namespace: str) -> None:
    proxy.delay_writes(0.4)

    began = time.monotonic()
    assert proxied.request("GET", config_maps(namespace)).status == 200
    read = time.monotonic()
    assert apply(proxied, namespace, "one") == 201
    written = time.monotonic()

    assert read - began < 0.4 <= written - read


def test_a_server_that_is_gone_is_gone_through_the_proxy(
    fresh_cluster: Cluster,
) -> None:
    with FaultProxy(fresh_cluster) as proxy:
        proxied = Api(proxy.url, ca_file=proxy.ca_file, token=TOKENS["admin"])
        with watching(proxy, "default") as watch:
            fresh_cluster.stop()
            with pytest.raises(GONE):
                watch.read()
        with pytest.raises(GONE):
            proxied.request("GET", "/version")

        proxy.wait_exchange(lambda it: it.path == "/version" and it.fault == "lost")


def test_it_leaves_no_thread_and_no_port(cluster: Cluster) -> None:
    with FaultProxy(cluster) as proxy:
        port = int(proxy.url.rpartition(":")[2])

    assert "fault-proxy" not in {thread.name for thread in threading.enumerate()}
    with socket.socket() as probe:
        wait_until(
            lambda: probe.connect_ex(("127.0.0.1", port)) != 0, seconds=5, what="a closed port"
        )
