"""How fast the sink is against the genuine API server, beside a client that does nothing but send the same bodies."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
import uvloop

from operators.model.outcome import Ending
from streams.cluster.observations import FIELD_MANAGER, Observations
from streams.runtime.pipeline import Pipeline
from tests.bench.bed import context_of, document, percentile, session_to, settled
from tests.bench.genuine import genuine
from tests.cluster.cluster import Cluster
from tests.cluster.commands import TOKENS
from tests.cluster.product import FAST, Product, ingester

if TYPE_CHECKING:
    from operators.flow.trace import Correlation
    from sinks.responses import WriteResponse
    from streams.cluster.session import Session

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

OBJECTS, ROUNDS, IN_FLIGHT = 2_000, 5, 64
GOODBYE_SECONDS = 0.25
"""What aiohttp advises to wait, so that TLS connections are closed before their loop is."""
EVENTS, PAUSE_SECONDS = 200, 0.05
MAPS = "/api/v1/namespaces/{}/configmaps"
OBSERVATIONS = "/apis/zen.kube-zen.io/v1alpha1/namespaces/{}/observations"
SPEC: dict[str, Any] = {
    "informer": {
        "gvr": {"group": "", "version": "v1", "resource": "configmaps"},
        "namespace": "busy",
    },
    "buffer": {"capacity": 2 * OBJECTS, "inFlight": IN_FLIGHT},
}

Sent = list[tuple[str, bytes]]


class Recorded(Observations):
    """The executor's writer, and what it sent."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.sent: Sent = []
        self.began = 0.0

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> WriteResponse:
        self.began = self.began or time.monotonic()
        self.sent.append((name, body))
        return await super().apply(namespace, name, body=body, correlation=correlation)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with genuine(tmp_path_factory.mktemp("cluster")) as started:
        for name in ("busy", "idle"):
            started.api().need(
                "POST",
                "/api/v1/namespaces",
                body={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
            )
        yield started


@asynccontextmanager
async def client_of(cluster: Cluster) -> AsyncGenerator[aiohttp.ClientSession]:
    """A bare client with the administrator's token."""
    tls = ssl.create_default_context(cafile=str(cluster.ca_file))
    headers = {"Authorization": f"Bearer {TOKENS['admin']}"}
    connector = aiohttp.TCPConnector(limit=IN_FLIGHT, ssl=tls)
    async with aiohttp.ClientSession(cluster.url, connector=connector, headers=headers) as client:
        yield client
    await asyncio.sleep(GOODBYE_SECONDS)


def config_map(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {"text": "x" * 800}}


async def make(client: aiohttp.ClientSession) -> None:
    async def one(number: int) -> None:
        async with client.post(MAPS.format("busy"), json=config_map(f"m{number}")) as answer:
            assert answer.status == 201, await answer.text()

    await asyncio.gather(*(one(number) for number in range(OBJECTS)))


async def clear(client: aiohttp.ClientSession) -> None:
    """Delete the Observations; each round creates them."""
    async with client.delete(OBSERVATIONS.format("busy")) as answer:
        assert answer.status == 200, await answer.text()


async def ours(cluster: Cluster) -> tuple[float, Sent]:
    """Observations a second, from the first request to the last answer, and what was sent.

    Its connections are new each round, the bare client's are not: that counts against the product.
    """
    async with session_to(cluster.kubeconfig) as session:
        writer = Recorded(session)
        context = context_of(session, writer)
        pipeline = Pipeline(document(SPEC), context)
        pipeline.start()
        await settled([pipeline], OBJECTS)
        took = time.monotonic() - writer.began
        assert pipeline.ledger.ended(Ending.STORED) == OBJECTS
        pipeline.stop_intake()
        await pipeline.abandon()
        await context.manager.close()
        return OBJECTS / took, writer.sent


async def theirs(client: aiohttp.ClientSession, sent: Sent) -> float:
    """The same bodies, sent as fast as they go."""
    todo = iter(sent)
    query = {"fieldManager": FIELD_MANAGER, "force": "true"}
    headers = {"Content-Type": "application/apply-patch+yaml"}

    async def work() -> None:
        for name, body in todo:
            path = f"{OBSERVATIONS.format('busy')}/{name}"
            async with client.patch(path, data=body, params=query, headers=headers) as answer:
                await answer.read()
                assert answer.status == 201, await answer.text()

    began = time.monotonic()
    await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
    return len(sent) / (time.monotonic() - began)


async def compare(cluster: Cluster) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    async with client_of(cluster) as client:
        await make(client)
        for _ in range(ROUNDS + 1):
            stored, sent = await ours(cluster)
            await clear(client)
            found.append((stored, await theirs(client, sent)))
            await clear(client)
    return found[1:]  # the first round warms up


def test_observations_a_second(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    found = uvloop.run(compare(cluster))
    mine, bare = (statistics.median(figures) for figures in zip(*found, strict=True))
    ratio = statistics.median(stored / sent for stored, sent in found)
    with capsys.disabled():
        print(
            f"\n{OBJECTS} Observations, {IN_FLIGHT} at a time, median of {ROUNDS}: the product {mine:.0f}/s, "
            f"a bare client with the same bodies {bare:.0f}/s; ratio {ratio:.2f}"
        )


async def latencies(cluster: Cluster) -> list[float]:
    """Seconds from the request that makes an object to the watch event of its Observation, one after the other."""
    began: dict[str, float] = {}
    found: list[float] = []
    async with client_of(cluster) as client:

        async def watch() -> None:
            query = {"watch": "true", "resourceVersion": "0"}
            path = OBSERVATIONS.format("idle")
            async with client.get(
                path, params=query, timeout=aiohttp.ClientTimeout(None)
            ) as answer:
                async for line in answer.content:
                    name = msgspec.json.decode(line)["object"]["spec"]["resource"]["name"]
                    found.append(time.monotonic() - began[name])
                    if len(found) == EVENTS:
                        return

        watching = asyncio.create_task(watch())
        for number in range(EVENTS):
            await asyncio.sleep(PAUSE_SECONDS)
            began[f"m{number}"] = time.monotonic()
            async with client.post(MAPS.format("idle"), json=config_map(f"m{number}")) as answer:
                assert answer.status == 201, await answer.text()
        await watching
    return found


def test_latency(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = [ingester("idle", "idle", resource="configmaps")]
    with Product(tmp_path, documents, kubeconfig=cluster.kubeconfig, options=FAST) as product:
        product.ready()
        found = uvloop.run(latencies(cluster))
    p50, p95 = (percentile(found, share) * 1e3 for share in (0.5, 0.95))
    with capsys.disabled():
        print(
            f"\n{EVENTS} objects, one every {PAUSE_SECONDS * 1e3:.0f} ms: from the request that makes one to the "
            f"watch event of its Observation p50 {p50:.1f} ms, p95 {p95:.1f} ms"
        )
