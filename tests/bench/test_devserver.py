"""How fast the embedded API server is, beside the genuine one: over HTTP, from a process that is not it.

An embedded figure is no figure of a cluster: it says only that the server is not what a test waits for.
"""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
import uvloop

from tests.bench.genuine import genuine
from tests.cluster.commands import TOKENS

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

CREATES = {"ConfigMap": 8_000, "Observation": 2_000}
WORKERS = 16
MAPS = "/api/v1/namespaces/default/configmaps"
OBSERVATIONS = "/apis/zen.kube-zen.io/v1/namespaces/default/observations"
SPEC = {
    "source": "trivy",
    "category": "security",
    "severity": "high",
    "eventType": "vulnerability",
    "detectedAt": "2026-01-01T00:00:00Z",
    "details": {"description": "x" * 600},
}
SERVE = """
import asyncio, sys
from pathlib import Path
import uvloop
from streams.config.crd import manifests
from demo.apiserver.server import ApiServer

async def main():
    async with ApiServer() as server:
        for definition in manifests():
            server.create(definition)
        Path(sys.argv[1], "ca.crt").write_text(server.ca_pem)
        print(server.url, server.token, flush=True)
        await asyncio.Event().wait()

uvloop.run(main())
"""


@contextmanager
def embedded(folder: Path) -> Generator[tuple[str, str, Path]]:
    """The embedded server in a process of its own."""
    command = [sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url, token = process.stdout.readline().split()
            yield url, token, folder / "ca.crt"
        finally:
            process.kill()


@contextmanager
def beside(folder: Path) -> Generator[tuple[str, str, Path]]:
    """The genuine one."""
    with genuine(folder) as cluster:
        yield cluster.url, TOKENS["admin"], cluster.ca_file


def bodies(kind: str, count: int) -> Iterator[bytes]:
    for number in range(count):
        metadata = {"name": f"b{number}"}
        body: dict[str, Any] = {"metadata": metadata, "data": {"text": "x" * 800}}
        if kind == "Observation":
            named = {"apiVersion": "zen.kube-zen.io/v1", "kind": kind}
            body = {**named, "metadata": metadata, "spec": SPEC}
        yield msgspec.json.encode(body)


async def measure(place: tuple[str, str, Path], kind: str, count: int) -> tuple[float, float]:
    """Creates, and then replayed watch events, per second."""
    url, token, ca_file = place
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=ca_file))
    path = OBSERVATIONS if kind == "Observation" else MAPS
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:
        async with session.get(path) as answer:
            at = (await answer.json())["metadata"]["resourceVersion"]
        waiting = iter(list(bodies(kind, count)))

        async def create() -> None:
            for body in waiting:
                async with session.post(path, data=body) as answer:
                    assert answer.status == 201, await answer.text()

        began = time.perf_counter()
        await asyncio.gather(*(create() for _ in range(WORKERS)))
        created = count / (time.perf_counter() - began)
        began, seen = time.perf_counter(), 0
        async with session.get(f"{path}?watch=1&resourceVersion={at}&timeoutSeconds=60") as answer:
            async for chunk in answer.content.iter_any():
                seen += chunk.count(b"\n")
                if seen >= count:
                    break
            took = time.perf_counter() - began
            assert answer.connection is not None
            assert answer.connection.transport is not None
            answer.connection.transport.abort()
        return created, seen / took


@pytest.mark.parametrize("server", ["embedded", "genuine"])
def test_creates_and_replays(server: str, tmp_path: Path) -> None:
    serving = embedded(tmp_path) if server == "embedded" else beside(tmp_path)
    with serving as place:
        for kind, count in CREATES.items():
            created, replayed = uvloop.run(measure(place, kind, count))
            print(f"\n{server:8} {kind:11} {created:9,.0f} creates/s {replayed:10,.0f} replayed/s")
