"""Where a river runs: the product's own parts, from the socket to a writer that says yes at once."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from operators.flow.clock import utc_now, utc_now_ns
from sinks.dead_letters import DeadLetters
from sinks.queue import Suspensions
from sinks.responses import WriteResponse
from streams.cluster.access import Access
from streams.cluster.rate_limit import RateLimiter
from streams.cluster.resources import discover_resource
from streams.cluster.session import Session
from streams.config.ingester import Ingester
from streams.config.plan import Plan, plan
from streams.observability.tracer import TracerInputs, Tracing
from streams.runtime.pipeline import Pipeline, PipelineContext
from streams.runtime.tracing import TRACING_OFF, ProcessTracing
from streams.sources.informer.manager import InformerManager

if TYPE_CHECKING:
    from collections.abc import Generator

    from operators.model.event import ApiResource
    from sinks.stored import StoredRecord
    from streams.cluster.observations import Observations
    from streams.observability.spans import SpanTree
    from streams.sources.informer.target import WatchTarget

RIVER = Path(__file__).with_name("river.py")
GROUP, VERSION = "bench.example.com", "v1"
FAST = 1e6
CREATED = WriteResponse(
    201,
    b'{"metadata":{"name":"x","namespace":"shop","uid":"u","resourceVersion":"1"},"spec":{}}',
)


class NullWriter:
    """Answers every write with success, at once; holds no Observation."""

    def __init__(self) -> None:
        self.writes = 0

    async def apply(self, *_: object, **__: object) -> WriteResponse:
        self.writes += 1
        return CREATED

    read = delete = apply

    async def list_of(self, _: object) -> AsyncIterator[StoredRecord]:
        for nothing in ():
            yield nothing


class NullExport:
    """Encodes what is kept, as the exporter does, and sends it nowhere."""

    def __init__(self) -> None:
        self.bytes = 0

    def offer(self, tree: SpanTree) -> None:
        from streams.observability.otlp import encode_tree  # noqa: PLC0415  heavy

        self.bytes += len(encode_tree(tree))


@contextmanager
def river(
    folder: Path,
    lines: Sequence[bytes],
    *,
    count: int,
    watches: int = 1,
    per_second: float = 0,
    listed: int = 0,
) -> Generator[Path]:
    """Let a river run; yields the kubeconfig that leads to it."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "lines"
    source.write_bytes(b"".join(line + b"\n" for line in lines))
    told = [str(count), str(watches), str(per_second), str(listed), str(source)]
    with subprocess.Popen([sys.executable, str(RIVER), *told], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(msgspec.json.encode(_kubeconfig(port)))
        try:
            yield kubeconfig
        finally:
            process.kill()


def document(spec: Mapping[str, Any], *, number: int = 0) -> Plan:
    """The plan of an Ingester of one river."""
    gvr = {"group": GROUP, "version": VERSION, "resource": f"river-{number}"}
    body = {
        "apiVersion": "zen.kube-zen.io/v1alpha1",
        "kind": "Ingester",
        "metadata": {"name": f"river-{number}", "namespace": "shop"},
        "spec": {
            "source": "river",
            "ingester": "informer",
            "informer": {"gvr": gvr},
            "destinations": [{"type": "crd", "value": "observations"}],
            **spec,
        },
    }
    return plan(Ingester.model_validate(body))


@asynccontextmanager
async def session_to(kubeconfig: Path) -> AsyncGenerator[Session]:
    reads, writes = (RateLimiter(FAST, burst=int(FAST), clock=time.monotonic_ns) for _ in range(2))
    access = Access.from_kubeconfig(str(kubeconfig))
    async with Session(access, reads=reads, writes=writes, user_agent="bench") as session:
        yield session


def manager_of(session: Session, kind: type[InformerManager] = InformerManager) -> InformerManager:
    async def discover(target: WatchTarget) -> ApiResource | None:
        return await discover_resource(session, target.group, target.version, target.resource)

    return kind(session, discover=discover, clock=time.monotonic_ns, random=random.random)


def context_of(
    session: Session,
    writer: NullWriter | Observations,
    *,
    traces: ProcessTracing = TRACING_OFF,
    manager: InformerManager | None = None,
    **more: Any,
) -> PipelineContext:
    return PipelineContext(
        manager=manager or manager_of(session),
        observations=cast("Observations", writer),
        suspensions=Suspensions(time.monotonic_ns),
        dead_letters=DeadLetters(now=utc_now),
        clock=time.monotonic_ns,
        now=utc_now,
        now_ns=utc_now_ns,
        random=random.random,
        traces=traces,
        **more,
    )


def traced(export: NullExport) -> ProcessTracing:
    """ProcessTracing that are built and encoded, under no budget."""
    inputs = TracerInputs(time.monotonic_ns, utc_now_ns, random.getrandbits)
    tracing = Tracing(inputs, exporter=export, spans_per_second=10_000_000)
    return ProcessTracing(tracing, None, server="http://127.0.0.1:1")


async def settled(pipelines: Sequence[Pipeline], count: int) -> None:
    """Wait until so many events have ended in all; looked at every few milliseconds, which costs next to nothing."""
    done = asyncio.Event()
    ticking = asyncio.get_running_loop()

    def look() -> None:
        if sum(it.ledger.received - it.ledger.in_flight for it in pipelines) >= count:
            done.set()
        else:
            ticking.call_later(0.002, look)

    look()
    await done.wait()


def percentile(figures: Sequence[float], share: float) -> float:
    """The figure that so large a share of them does not exceed."""
    return sorted(figures)[min(len(figures) - 1, int(share * len(figures)))]


def line(body: Mapping[str, Any], *, type_: str = "MODIFIED") -> bytes:
    return msgspec.json.encode({"type": type_, "object": body})


def _kubeconfig(port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "x", "user": {}}],
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    }
