"""What the tests of the fault proxy do through it: applied ConfigMaps, and watches of them."""

from __future__ import annotations

import http.client
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.cluster.commands import TOKENS

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.cluster.api import Api
    from tests.cluster.exchanges import Exchange
    from tests.cluster.faults import FaultProxy

SSA = "application/apply-patch+yaml"
GONE = (http.client.HTTPException, ConnectionError, ssl.SSLEOFError)
"""How a client sees that its connection ended; silence until a timeout is something else."""


def config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def apply(api: Api, namespace: str, name: str, **data: str) -> int:
    path = f"{config_maps(namespace)}/{name}?fieldManager=tests"
    return api.request("PATCH", path, body=config_map(name, **data), content_type=SSA).status


@contextmanager
def watching(
    proxy: FaultProxy, namespace: str, query: str = ""
) -> Generator[http.client.HTTPResponse]:
    tls = ssl.create_default_context(cafile=proxy.ca_file)
    port = int(proxy.url.rpartition(":")[2])
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=20)
    try:
        connection.request(
            "GET",
            f"{config_maps(namespace)}?watch=1&timeoutSeconds=60{query}",
            headers={"Authorization": f"Bearer {TOKENS['admin']}"},
        )
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def is_watch(exchange: Exchange) -> bool:
    return exchange.kind == "watch"


def is_write(exchange: Exchange) -> bool:
    return exchange.kind == "write"
