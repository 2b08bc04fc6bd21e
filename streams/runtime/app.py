"""The composition root: reads nothing, decides nothing, joins everything."""

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
from operators.model.event import Kind
from sinks.dead_letters import DeadLetters
from sinks.holds import Holds
from streams.cluster.access import Access
from streams.cluster.discovery import resolve
from streams.cluster.errors import CredentialsRefusedError
from streams.cluster.limits import Bucket
from streams.cluster.observations import Observations
from streams.cluster.session import Session
from streams.config.plan import Plan
from streams.observability.metric_readings import ProcessReading
from streams.observability.metrics import Metrics
from streams.observability.tracer import Moments
from streams.runtime.contact import Contact
from streams.runtime.garbage import spare_the_loop
from streams.runtime.health import Check, Health
from streams.runtime.lifecycle import EXIT_CREDENTIALS, Signals, shut_down
from streams.runtime.running import RunningSource, Surroundings, WhenEnded
from streams.runtime.settings import Settings, product_version
from streams.runtime.traces import FLUSH_SECONDS, UNTRACED, Traces, traces_of
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.notice import Watched

T = TypeVar("T")

log = logging.getLogger(__name__)

USER_AGENT = "zen-streams"


class App:
    """A process at work: one session, one informer manager, one pipeline a source."""

    def __init__(
        self,
        plans: Sequence[Plan],
        settings: Settings,
        *,
        session: Session,
        listeners: tuple[WhenEnded, ...] = (),
        traces: Traces = UNTRACED,
    ) -> None:
        self._settings = settings
        self._traces = traces
        self._session = session
        self._contact = Contact(session, random=random.random)
        self._draining = False
        clock = time.monotonic_ns
        self.holds = Holds(clock, on_release=self._poke)
        self.dead_letters = DeadLetters(now=utc_now)
        self._manager = InformerManager(
            session, discover=self._discover, clock=clock, random=random.random
        )
        around = Surroundings(
            manager=self._manager,
            observations=Observations(session),
            holds=self.holds,
            dead_letters=self.dead_letters,
            clock=clock,
            now=utc_now,
            random=random.random,
            listeners=listeners,
            traces=traces,
        )
        self.sources = [RunningSource(plan, around) for plan in plans]

    async def run(self, signals: Signals) -> int:
        """Work until a signal, then drain; the exit code (``--help`` lists them).

        Raises ``CredentialsRefusedError`` where the API server refuses ours on first contact.
        """
        await self._contact.made(unless=signals.stop)
        if not signals.stop.is_set():
            for source in self.sources:
                source.start()
            await signals.stop.wait()
        self._draining = True
        code = await shut_down(
            self.sources, grace_seconds=self._settings.grace_seconds, at_once=signals.at_once
        )
        await self._manager.close()
        await self._traces.flush(deadline_seconds=0 if signals.at_once.is_set() else FLUSH_SECONDS)
        return code

    @property
    def spans_built(self) -> int:
        """How many spans were made so far, sent or only drawn."""
        return self._traces.reading().built

    def ready(self) -> Iterable[Check]:
        """What has to be so before this process does its work."""
        yield Check("api-server", not self._contact.trouble, self._contact.trouble)
        yield Check("accepting", not self._draining, "stopping")
        for source in self.sources:
            yield Check(f"source {source.ingester}", source.complete, source.said)

    def alive(self) -> Iterable[Check]:
        """What must not have died while this process lives."""
        for source in self.sources:
            failure = source.failure
            yield Check(f"source {source.ingester}", failure is None, str(failure or ""))
        failures = self._manager.failures
        yield Check("informers", not failures, ", ".join(map(str, failures)))

    def health(self, *, reads: Bucket, writes: Bucket) -> Health:
        """The process' own HTTP server, over the books of this app."""
        registry = CollectorRegistry()
        process = ProcessReading(
            requests=lambda: self._session.requests_total,
            durations=lambda: self._session.durations,
            waited=lambda: {
                "read": reads.waited_seconds_total,
                "write": writes.waited_seconds_total,
            },
            holds=lambda: len(self.holds),
            dead_letters=lambda: len(self.dead_letters.letters),
            traces=self._traces.reading,
        )
        registry.register(
            Metrics(
                lambda: self.sources,
                process,
                now_ns=time.monotonic_ns,
                wall_seconds=lambda: utc_now().timestamp(),
                version=product_version(),
            )
        )
        return Health(self._settings, registry=registry, ready=self.ready, alive=self.alive)

    async def _discover(self, watched: Watched) -> Kind | None:
        return await resolve(self._session, watched.group, watched.version, watched.resource)

    def _poke(self) -> None:
        for source in self.sources:
            source.poke()


@asynccontextmanager
async def opened(
    plans: Sequence[Plan],
    settings: Settings,
    *,
    listeners: tuple[WhenEnded, ...] = (),
    draws_traces: bool = False,
) -> AsyncGenerator[tuple[App, Health]]:
    """Connect an app to its cluster, and answer probes for it, as long as it is held; it does not run yet.

    Traces are made where the environment names a collector for them, or a listener ``draws_traces``. Raises
    ``ConfigurationError`` where no way to a cluster is configured, and ``ListenError``.
    """
    access = Access.discover(settings.kubeconfig, context=settings.context)
    clock = time.monotonic_ns
    reads = Bucket(settings.qps, burst=settings.burst, clock=clock, on_slow=_slow("--qps"))
    writes = Bucket(
        settings.write_qps, burst=settings.write_burst, clock=clock, on_slow=_slow("--write-qps")
    )
    async with Session(access, reads=reads, writes=writes, user_agent=USER_AGENT) as session:
        traces = traces_of(
            plans,
            os.environ,
            server=access.server,
            moments=Moments(clock, utc_now_ns, random.getrandbits),
            random=random.random,
            is_watched=draws_traces,
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
    """Run the product on the running loop until it is told to stop; the exit code."""
    signals = Signals()
    signals.install()
    async with opened(plans, settings) as (app, _):
        return await app.run(signals)


def serve(plans: Sequence[Plan], settings: Settings) -> int:
    """Run the product until it is told to stop, on uvloop where there is one; the exit code.

    Raises ``ConfigurationError`` where no way to a cluster is configured.
    """
    try:
        return run_loop(work(plans, settings))
    except CredentialsRefusedError as error:
        log.error("the API server refuses the credentials", extra={"detail": str(error)})  # noqa: TRY400
        return EXIT_CREDENTIALS


def run_loop(main: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end on a loop of its own, uvloop's where there is one."""
    spare_the_loop()
    try:
        uvloop = import_module("uvloop")
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _slow(option: str) -> Callable[[float], None]:
    def tell(seconds: float) -> None:
        log.warning(
            "requests wait for the client's own rate limit",
            extra={"seconds": round(seconds, 1), "raise_it_with": option},
        )

    return tell
