"""One demonstration: the product at work on what it is fed, until the time is over, and what is said of it then."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from demo.feeder import Feeder
from demo.hearing import Hearing
from demo.listing import observations
from demo.report import report, summary
from demo.view import View, write
from operators.flow.clock import Clock
from streams.cluster.session import Session
from streams.runtime.app import App
from streams.runtime.lifecycle import EXIT_LOST, Signals
from streams.runtime.running import RunningSource

QUIET_SECONDS = 0.3
"""Server, feed and product share one loop: what they have to say to each other is said long before."""
QUIET_WAIT_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Options:
    """For how long (0: until told to stop), how much, and what is said of it."""

    duration_seconds: float
    per_second: float
    keep: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """What a demonstration is made of."""

    app: App
    client: Session
    feeder: Feeder
    hearing: Hearing
    console: Console
    kubeconfig: Path
    health_port: int
    clock: Clock


class Show:
    """The run of one demonstration. The first signal ends the feed, the second everything at once."""

    def __init__(self, stage: Stage, options: Options, *, asked: Signals) -> None:
        self._stage = stage
        self._options = options
        self._asked = asked
        self._console = stage.console

    async def run(self) -> int:
        """Run the product, and tell of it; the exit code is the product's, or 1 if its books do not balance.

        Raises ``FeedError``, ``ListError``, and what the product raises.
        """
        orders = Signals()
        product = asyncio.create_task(self._stage.app.run(orders))
        telling = asyncio.create_task(self._tell())
        hurry = asyncio.create_task(self._asked.at_once.wait())
        try:
            await asyncio.wait((product, telling, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            orders.received()
            if self._asked.at_once.is_set():
                orders.received()
            telling.cancel()
            hurry.cancel()
            await asyncio.gather(telling, hurry, return_exceptions=True)
        code = await product
        if not telling.cancelled():
            telling.result()
        return code or (EXIT_LOST if any(one.ledger.balance for one in self._sources) else code)

    @property
    def _sources(self) -> list[RunningSource]:
        return self._stage.app.sources

    async def _tell(self) -> None:
        stage, options = self._stage, self._options
        with View(stage.console, self._sources, stage.hearing, clock=stage.clock) as view:
            await self._feed(view)
            seconds = view.seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET_WAIT_SECONDS):
                    await self._quiet()
            view.show()
        listing = await observations(stage.client)
        if options.as_json:
            text = summary(
                self._sources,
                observations=len(listing.rows),
                spans_built=stage.app.spans_built,
                duration_seconds=seconds,
            )
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        else:
            block = "█" if stage.console.encoding.startswith("utf") else "#"
            lines = report(self._sources, stage.hearing, listing=listing, block=block)
            write(stage.console, "", *lines)
        if options.keep and not self._asked.stop.is_set():
            write(stage.console, "", *self._how_to_look_on())
            await self._asked.stop.wait()

    async def _feed(self, view: View) -> None:
        """Feed until the time is over or somebody says so, and show it meanwhile."""
        options, over = self._options, asyncio.Event()
        feed = asyncio.create_task(self._stage.feeder.feed(options.per_second, over=over))
        stop = asyncio.create_task(self._asked.stop.wait())
        try:
            while not (feed.done() or stop.done()):
                left = options.duration_seconds - view.seconds
                if options.duration_seconds and left <= 0:
                    break
                wait = (
                    min(view.every_seconds, left)
                    if options.duration_seconds
                    else view.every_seconds
                )
                await asyncio.wait((feed, stop), timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                view.show()
        finally:
            over.set()
            stop.cancel()
            await asyncio.gather(feed, stop, return_exceptions=True)
        feed.result()

    async def _quiet(self) -> None:
        """Wait until nothing is in flight, nothing is to be read again, and nothing new came for a moment."""
        before = -1
        while True:
            received = sum(one.ledger.received for one in self._sources)
            if received == before and not any(map(_is_busy, self._sources)):
                return
            before = received
            await asyncio.sleep(QUIET_SECONDS)

    def _how_to_look_on(self) -> list[str]:
        return [
            "It goes on running, without the feed. Look on with:",
            f"  export KUBECONFIG={self._stage.kubeconfig}",
            "  kubectl get observations -A",
            "  kubectl get vulnerabilityreports,policyreports,events -A",
            "  kubectl explain observation.spec",
            f"  curl http://127.0.0.1:{self._stage.health_port}/metrics",
            "Ctrl-C ends it.",
        ]


def _is_busy(source: RunningSource) -> bool:
    subscription = source.subscription
    is_dirty = subscription is not None and bool(subscription.dirty_count)
    return bool(source.ledger.in_flight) or is_dirty
