"""Many objects in little time: written where the API server keeps them, in the form in which it does."""

from __future__ import annotations

from base64 import b64encode
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from tests.cluster.generator import GROUP, Generator

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster

OK = 200


def put_widgets(cluster: Cluster, generator: Generator, *, count: int) -> None:
    """Let there be widgets ``w0`` to ``w<count - 1>``; the generator knows them as if it had made them.

    A server-side apply costs the API server ten times as much, and is nothing this is to test.
    """
    etcd = HTTPConnection(*cluster.etcd_address, timeout=30)
    for number in range(count):
        name = f"w{number}"
        body = _widget(generator.namespace, name, uid=str(UUID(int=number)))
        key = f"/registry/{GROUP}/widgets/{generator.namespace}/{name}"
        put = {"key": _encoded(key.encode()), "value": _encoded(msgspec.json.encode(body))}
        etcd.request("POST", "/v3/kv/put", msgspec.json.encode(put))
        answer = etcd.getresponse()
        assert (answer.status, answer.read()[:1]) == (OK, b"{")
        generator.widgets[name] = body
    etcd.close()


def _encoded(text: bytes) -> str:
    return b64encode(text).decode()


def _widget(namespace: str, name: str, *, uid: str) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "creationTimestamp": "2026-11-20T06:00:00Z",
        "generation": 1,
    }
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Widget",
        "metadata": metadata,
        "data": {"value": 0},
    }
