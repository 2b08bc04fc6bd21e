"""The composition root: creates the parts of a process and connects them; every decision is made elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TypeVar

from prometheus_client import CollectorRegistry

from operators.flow.clock import utc_now, utc_now_ns
from operators.model.event import ApiResource
from sinks.dead_letters import DeadLetters
from sinks.queue import Suspensions
from streams.cluster.access import Access
from streams.cluster.errors import CredentialsRefusedError
from streams.cluster.observations import Observations
from streams.cluster.rate_limit import RateLimiter
from streams.cluster.resources import discover_resource
from streams.cluster.session import Session
from streams.config.plan import Plan
from streams.observability.metrics import Metrics, ProcessStatus
from streams.observability.tracer import TracerInputs
from streams.runtime.contact import FirstContact
from streams.runtime.garbage import freeze_startup_objects
from streams.runtime.health import Check, Health
from streams.runtime.lifecycle import EXIT_CREDENTIALS, Signals, shut_down
from streams.runtime.pipeline import OnEnded, Pipeline, PipelineContext
from streams.runtime.settings import Settings, product_version
from streams.runtime.tracing import FLUSH_SECONDS, TRACING_OFF, ProcessTracing, process_tracing
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.target import WatchTarget

T = TypeVar("T")

log = logging.getLogger(__name__)

USER_AGENT = "zen-streams"


class App:
    """One process: a session, an informer manager, and a pipeline for each source."""

    def __init__(
        self,
        plans: Sequence[Plan],
        settings: Settings,
        *,
        session: Session,
        listeners: tuple[OnEnded, ...] = (),
        traces: ProcessTracing = TRACING_OFF,
    ) -> None:
        self._settings = settings
        self._traces = traces
        self._session = session
        self._draining = False
        clock = time.monotonic_ns
        self._contact = FirstContact(session, clock=clock, random=random.random)
        self.suspensions = Suspensions(clock, on_resumed=self._notify_resumed)
        self.dead_letters = DeadLetters(now=utc_now)
        self._manager = InformerManager(
            session, discover=self._discover, clock=clock, random=random.random
        )
        context = PipelineContext(
            manager=self._manager,
            observations=Observations(session),
            suspensions=self.suspensions,
            dead_letters=self.dead_letters,
            clock=clock,
            now=utc_now,
            now_ns=utc_now_ns,
            random=random.random,
            listeners=listeners,
            traces=traces,
        )
        self.pipelines = [Pipeline(plan, context) for plan in plans]

    async def run(self, signals: Signals) -> int:
        """Run until a signal, then drain; return the exit code (``--help`` lists them).

        Raises ``CredentialsRefusedError`` where the API server refuses the credentials of the first request.
        """
        await self._contact.establish(stop=signals.stop)
        if not signals.stop.is_set():
            for pipeline in self.pipelines:
                pipeline.start()
            await signals.stop.wait()
        self._draining = True
        code = await shut_down(
            self.pipelines, grace_seconds=self._settings.grace_seconds, at_once=signals.at_once
        )
        await self._manager.close()
        await self._traces.flush(deadline_seconds=0 if signals.at_once.is_set() else FLUSH_SECONDS)
        return code

    @property
    def spans_built(self) -> int:
        """How many spans were built so far, exported or on request."""
        return self._traces.counts().built

    def ready(self) -> Iterable[Check]:
        """The readiness checks: what must hold for the process to do its work."""
        yield Check("api-server", not self._contact.error, self._contact.error)
        yield Check("accepting", not self._draining, "stopping")
        for pipeline in self.pipelines:
            yield Check(f"source {pipeline.ingester}", pipeline.complete, pipeline.description)

    def alive(self) -> Iterable[Check]:
        """The liveness checks: tasks that must not have ended."""
        for pipeline in self.pipelines:
            failure = pipeline.failure
            yield Check(f"source {pipeline.ingester}", failure is None, str(failure or ""))
        failures = self._manager.failures
        yield Check("informers", not failures, ", ".join(map(str, failures)))

    def health(self, *, reads: RateLimiter, writes: RateLimiter) -> Health:
        """Create the HTTP server of probes and metrics of this process."""
        registry = CollectorRegistry()
        version = product_version()

        def process() -> ProcessStatus:
            return ProcessStatus(
                version,
                requests=self._session.requests_total,
                durations=self._session.durations,
                waited_seconds={
                    "read": reads.waited_seconds_total,
                    "write": writes.waited_seconds_total,
                },
                suspensions=len(self.suspensions),
                dead_letters=len(self.dead_letters.letters),
                traces=self._traces.counts(),
            )

        registry.register(
            Metrics(
                lambda: [pipeline.status() for pipeline in self.pipelines],
                process,
                now_ns=time.monotonic_ns,
                wall_seconds=lambda: utc_now().timestamp(),
            )
        )
        return Health(self._settings, registry=registry, ready=self.ready, alive=self.alive)

    async def _discover(self, target: WatchTarget) -> ApiResource | None:
        return await discover_resource(self._session, target.group, target.version, target.resource)

    def _notify_resumed(self) -> None:
        for pipeline in self.pipelines:
            pipeline.notify_resumed()


@asynccontextmanager
async def opened(
    plans: Sequence[Plan],
    settings: Settings,
    *,
    listeners: tuple[OnEnded, ...] = (),
    draws_traces: bool = False,
) -> AsyncGenerator[tuple[App, Health]]:
    """Connect an app to its cluster and serve its probes, as long as the context is open; the app does not run yet.

    Traces are built where the environment names a collector, or a listener ``draws_traces``. Raises
    ``ConfigurationError`` where no way to a cluster is configured, and ``ListenError``.
    """
    access = Access.discover(settings.kubeconfig, context=settings.context)
    reads, writes = _rate_limiters(settings)
    async with Session(access, reads=reads, writes=writes, user_agent=USER_AGENT) as session:
        traces = process_tracing(
            plans,
            os.environ,
            server=access.server,
            inputs=TracerInputs(time.monotonic_ns, utc_now_ns, random.getrandbits),
            random=random.random,
            spans_on_request=draws_traces,
        )
        app = App(plans, settings, session=session, listeners=listeners, traces=traces)
        health = app.health(reads=reads, writes=writes)
        await health.start()
        traces.start()
        try:
            yield app, health
        finally:
            await traces.flush(deadline_seconds=0)
            await health.stop()


async def work(plans: Sequence[Plan], settings: Settings) -> int:
    """Run the product on the running loop until a signal; return the exit code."""
    signals = Signals()
    signals.install()
    async with opened(plans, settings) as (app, _):
        return await app.run(signals)


def serve(plans: Sequence[Plan], settings: Settings) -> int:
    """Run the product until a signal, on uvloop where it is installed; return the exit code.

    Raises ``ConfigurationError`` where no way to a cluster is configured.
    """
    try:
        return run_loop(work(plans, settings))
    except CredentialsRefusedError as error:
        log.error("the API server refuses the credentials", extra={"detail": str(error)})  # noqa: TRY400
        return EXIT_CREDENTIALS


def run_loop(main: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end on a loop of its own, uvloop's where it is installed."""
    freeze_startup_objects()
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _rate_limiters(settings: Settings) -> tuple[RateLimiter, RateLimiter]:
    """Create the limits of reads and of writes, which every client of the process shares."""
    clock = time.monotonic_ns
    reads = RateLimiter(
        settings.qps, burst=settings.burst, clock=clock, on_slow=_warn_slow("--qps")
    )
    writes = RateLimiter(
        settings.write_qps,
        burst=settings.write_burst,
        clock=clock,
        on_slow=_warn_slow("--write-qps"),
    )
    return reads, writes


def _warn_slow(option: str) -> Callable[[float], None]:
    def warn(seconds: float) -> None:
        log.warning(
            "requests wait for the client's own rate limit",
            extra={"seconds": round(seconds, 1), "raise_with": option},
        )

    return warn
