"""What a demonstration needs, put together and taken apart again: a server, the product, a feed."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from demo.apiserver.history import History
from demo.apiserver.server import DevServer
from demo.definitions import install, make_namespaces
from demo.estate import Estate
from demo.events import kubernetes_events
from demo.feeder import Feeder
from demo.hearing import Hearing
from demo.kyverno import kyverno
from demo.show import Options, Show, Stage
from demo.signal import Signal
from demo.trivy import trivy
from demo.view import write
from operators.flow.clock import utc_now
from streams.cluster.access import Access
from streams.cluster.limits import Bucket
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
"""As far as a watch may be behind here, which is seconds; a ring of 10,000 would be the most of the memory."""
USER_AGENT = "zen-streams-demo"
FEED_REQUESTS_PER_SECOND = 10_000.0
"""The feeder has its own pace; its client holds nothing back."""
QPS, BURST, WRITE_QPS, WRITE_BURST = 200.0, 400, 500.0, 1000
"""What the product's client may ask a second here; ``run`` begins with 5 and 10."""


async def demonstrate(options: Options) -> int:
    """Show the product at work; the exit code of ``run``.

    Raises ``FeedError``, ``InstallError``, ``ListError``, ``ClusterError`` where the server refuses.
    """
    asked = Signals()
    asked.install()
    configure(json_lines=False, stream=sys.stderr, level="WARNING")
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="zen-streams-demo-"))
        server = await stack.enter_async_context(DevServer(history=_history))
        kubeconfig = Path(folder) / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        client = await stack.enter_async_context(administrator(kubeconfig))
        await install(client)
        await make_namespaces(client)
        feeder = Feeder(client, signals(SEED), clock=time.monotonic_ns)
        await feeder.begin()
        hearing = Hearing(time.monotonic_ns)
        app, health = await stack.enter_async_context(
            opened(plans(), settings(kubeconfig), listeners=(hearing.hear,), draws_traces=True)
        )
        console = Console(stderr=options.as_json)
        write(console, *_greeting(options, server.url))
        stage = Stage(
            app=app,
            client=client,
            feeder=feeder,
            hearing=hearing,
            console=console,
            kubeconfig=kubeconfig,
            health_port=health.port,
            clock=time.monotonic_ns,
        )
        return await Show(stage, options, asked=asked).run()


@asynccontextmanager
async def administrator(kubeconfig: Path) -> AsyncGenerator[Session]:
    """A client of its own, that is not held back."""
    buckets = [
        Bucket(
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
    """Everything that is fed: Trivy's reports, Kyverno's reports, Kubernetes Events."""
    estate = Estate(seed)
    return [make(estate, seed, now=utc_now) for make in (trivy, kyverno, kubernetes_events)]


def plans() -> list[Plan]:
    """Plan the shipped documents, as ``run`` would. Raises ``ValueError`` where one says what it must not."""
    loaded = load([DOCUMENTS], default_namespace="default")
    if loaded.findings:
        raise ValueError("\n".join(map(str, loaded.findings)))
    return [plan(ingester) for ingester in loaded.ingesters]


def settings(kubeconfig: Path) -> Settings:
    """As ``run`` would have them from its command line."""
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
        f"An API server of our own at {url}, the Ingesters of {DOCUMENTS},",
        f"and about {options.per_second:g} changes a second {length} (Ctrl-C ends it and reports).",
        f"The client runs with {speed}; the defaults of run are 5 and 10.",
        "",
    ]
