"""Assembly of the demonstration, and of the API server alone: server, product, feeder."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from demo.apiserver.server import ApiServer
from demo.apiserver.store import History
from demo.cluster import Cluster
from demo.events import kubernetes_events
from demo.install import create_namespaces, install
from demo.kyverno import kyverno
from demo.measurements import Measurements
from demo.show import Options, Parts, Show
from demo.signal import Feeder, Signal
from demo.trivy import trivy
from demo.view import write
from operators.flow.clock import utc_now
from streams.cluster.access import Access
from streams.cluster.rate_limit import RateLimiter
from streams.cluster.session import Session
from streams.config.load import load
from streams.config.plan import Plan, plan
from streams.observability.logs import configure
from streams.runtime.app import opened
from streams.runtime.lifecycle import Signals
from streams.runtime.settings import Settings

DOCUMENTS = Path(__file__).with_name("documents")
SEED = 1
HISTORY_EVENTS = 250
"""A watch here is at most seconds behind; a ring of 10,000 events would take most of the memory."""
USER_AGENT = "zen-streams-demo"
FEED_REQUESTS_PER_SECOND = 10_000.0
"""The feeder paces itself, so its client must never be the limit."""
QPS, BURST, WRITE_QPS, WRITE_BURST = 200.0, 400, 500.0, 1000
"""The rate limits of the product's client here; the defaults of ``run`` are 5 and 10."""


async def demonstrate(options: Options) -> int:
    """Run the product against an embedded API server, feed it, and report; returns the exit code of ``run``.

    Raises ``FeedError``, ``InstallError``, ``ListError``, ``ClusterError`` where the server refuses a request.
    """
    stop_signals = Signals()
    stop_signals.install()
    configure(json_lines=False, stream=sys.stderr, level="WARNING")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="zen-streams-demo-"))
        server = await stack.enter_async_context(ApiServer(history=_history))
        kubeconfig = Path(folder) / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        client = await stack.enter_async_context(administrator(kubeconfig))
        await install(client)
        await create_namespaces(client)
        feeder = Feeder(client, signals(SEED), clock=time.monotonic_ns)
        await feeder.begin()
        measurements = Measurements(time.monotonic_ns)
        app, health = await stack.enter_async_context(
            opened(
                plans(), settings(kubeconfig), listeners=(measurements.record,), draws_traces=True
            )
        )
        console = Console(stderr=options.as_json)
        write(console, *_greeting(options, server.url))
        parts = Parts(
            app=app,
            client=client,
            feeder=feeder,
            measurements=measurements,
            console=console,
            kubeconfig=kubeconfig,
            health_port=health.port,
            clock=time.monotonic_ns,
        )
        return await Show(parts, options, stop_signals=stop_signals).run()


@asynccontextmanager
async def administrator(kubeconfig: Path) -> AsyncGenerator[Session]:
    """Open a client session of the administrator whose rate limits are never reached."""
    buckets = [
        RateLimiter(
            FEED_REQUESTS_PER_SECOND, burst=int(FEED_REQUESTS_PER_SECOND), clock=time.monotonic_ns
        )
        for _ in range(2)
    ]
    access = Access.from_kubeconfig(str(kubeconfig))
    async with Session(
        access, reads=buckets[0], writes=buckets[1], user_agent=USER_AGENT
    ) as session:
        yield session


def signals(seed: int) -> list[Signal]:
    """Create the signals of one cluster: Trivy's reports, Kyverno's reports, Kubernetes Events."""
    cluster = Cluster(seed)
    return [make(cluster, seed, now=utc_now) for make in (trivy, kyverno, kubernetes_events)]


def plans() -> list[Plan]:
    """Plan the shipped documents, as ``run`` does. Raises ``ValueError`` with the findings of an invalid one."""
    loaded = load([DOCUMENTS], default_namespace="default")
    if loaded.findings:
        raise ValueError("\n".join(map(str, loaded.findings)))
    return [plan(ingester) for ingester in loaded.ingesters]


def settings(kubeconfig: Path) -> Settings:
    """Return the settings that ``run`` has from its command line."""
    return Settings(
        kubeconfig=str(kubeconfig),
        listen_port=0,
        qps=QPS,
        burst=BURST,
        write_qps=WRITE_QPS,
        write_burst=WRITE_BURST,
    )


def _history() -> History:
    return History(events=HISTORY_EVENTS)


def _greeting(options: Options, url: str) -> list[str]:
    length = f"for {options.duration_seconds:g} s" if options.duration_seconds else "until Ctrl-C"
    speed = f"--qps {QPS:g} --burst {BURST} --write-qps {WRITE_QPS:g} --write-burst {WRITE_BURST}"
    return [
        f"An embedded API server at {url}, the Ingesters of {DOCUMENTS},",
        f"and about {options.per_second:g} changes a second {length} (Ctrl-C ends it and reports).",
        f"The client runs with {speed}; the defaults of run are 5 and 10.",
        "",
    ]


async def serve_alone(
    host: str, port: int, *, kubeconfig: Path | None, print_line: Callable[[str], None]
) -> None:
    """Serve the API with the definitions installed until SIGTERM or SIGINT; print how to connect.

    The kubeconfig is removed at the end; without a path it is written to a temporary directory. Raises ``OSError``
    where the address cannot be bound or the file not written, ``KubeconfigError``, and ``InstallError``.
    """
    stop_signals = Signals()
    stop_signals.install()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ApiServer(host=host, port=port))
        if kubeconfig is None:
            folder = TemporaryDirectory(prefix="zen-streams-apiserver-")
            kubeconfig = Path(stack.enter_context(folder)) / "kubeconfig"
        stack.enter_context(server.kubeconfig.written(kubeconfig))
        async with administrator(kubeconfig) as client:
            await install(client)
        for line in _usage(server.url, kubeconfig):
            print_line(line)
        await stop_signals.stop.wait()


def _usage(url: str, kubeconfig: Path) -> list[str]:
    return [
        f"Embedded API server at {url}; its objects exist in memory only. Connect with:",
        f"  export KUBECONFIG={kubeconfig.absolute()}",
        "  kubectl get crds",
        "  zen-streams run -f deploy/examples",
        "  kubectl create --raw /debug/forget-history -f - </dev/null    # older resourceVersions expire",
        "Ctrl-C ends it.",
    ]
