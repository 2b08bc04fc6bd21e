"""One run of the demonstration: feed the product for a time, wait until it is idle, report."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from demo.measurements import Measurements
from demo.report import observations, report, summary
from demo.signal import Feeder
from demo.view import View, write
from operators.flow.clock import Clock
from streams.cluster.session import Session
from streams.runtime.app import App
from streams.runtime.lifecycle import EXIT_LOST, Signals
from streams.runtime.pipeline import Pipeline

QUIET_SECONDS = 0.3
"""Server, feeder and product share one loop: pending events arrive long before."""
QUIET_WAIT_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Options:
    """Duration (0: until a signal), rate, and form of the report."""

    duration_seconds: float
    per_second: float
    keep: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a demonstration."""

    app: App
    client: Session
    feeder: Feeder
    measurements: Measurements
    console: Console
    kubeconfig: Path
    health_port: int
    clock: Clock


class Show:
    """One run of the demonstration. The first signal ends the feed, the second ends everything at once."""

    def __init__(self, parts: Parts, options: Options, *, stop_signals: Signals) -> None:
        self._parts = parts
        self._options = options
        self._stop_signals = stop_signals
        self._console = parts.console

    async def run(self) -> int:
        """Run the product and report; return its exit code, or 1 if a ledger does not balance.

        Raises ``FeedError``, ``ListError``, and whatever the product raises.
        """
        product_signals = Signals()
        product = asyncio.create_task(self._parts.app.run(product_signals))
        presentation = asyncio.create_task(self._present())
        hurry = asyncio.create_task(self._stop_signals.at_once.wait())
        try:
            await asyncio.wait((product, presentation, hurry), return_when=asyncio.FIRST_COMPLETED)
        finally:
            product_signals.received()
            if self._stop_signals.at_once.is_set():
                product_signals.received()
            presentation.cancel()
            hurry.cancel()
            await asyncio.gather(presentation, hurry, return_exceptions=True)
        code = await product
        if not presentation.cancelled():
            presentation.result()
        return code or (EXIT_LOST if any(one.ledger.balance for one in self._sources) else code)

    @property
    def _sources(self) -> list[Pipeline]:
        return self._parts.app.pipelines

    async def _present(self) -> None:
        parts, options = self._parts, self._options
        with View(parts.console, self._sources, parts.measurements, clock=parts.clock) as view:
            await self._feed(view)
            seconds = view.seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(QUIET_WAIT_SECONDS):
                    await self._until_idle()
            view.show()
        listing = await observations(parts.client)
        if options.as_json:
            text = summary(
                self._sources,
                observations=len(listing.rows),
                spans_built=parts.app.spans_built,
                duration_seconds=seconds,
            )
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
        else:
            block = "█" if parts.console.encoding.startswith("utf") else "#"
            lines = report(self._sources, parts.measurements, listing=listing, block=block)
            write(parts.console, "", *lines)
        if options.keep and not self._stop_signals.stop.is_set():
            write(parts.console, "", *self._usage())
            await self._stop_signals.stop.wait()

    async def _feed(self, view: View) -> None:
        """Feed until the duration is over or a signal arrives, and update the view meanwhile."""
        options, over = self._options, asyncio.Event()
        feed = asyncio.create_task(self._parts.feeder.feed(options.per_second, over=over))
        stop = asyncio.create_task(self._stop_signals.stop.wait())
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

    async def _until_idle(self) -> None:
        """Wait until nothing is in flight or dirty, and nothing was received for ``QUIET_SECONDS``."""
        before = -1
        while True:
            received = sum(one.ledger.received for one in self._sources)
            if received == before and not any(map(_is_busy, self._sources)):
                return
            before = received
            await asyncio.sleep(QUIET_SECONDS)

    def _usage(self) -> list[str]:
        return [
            "Still running, without the feed. Inspect it with:",
            f"  export KUBECONFIG={self._parts.kubeconfig}",
            "  kubectl get observations -A",
            "  kubectl get vulnerabilityreports,policyreports,events -A",
            "  kubectl explain observation.spec",
            f"  curl http://127.0.0.1:{self._parts.health_port}/metrics",
            "Ctrl-C ends it.",
        ]


def _is_busy(source: Pipeline) -> bool:
    return bool(source.ledger.in_flight or source.source_status().dirty_objects)
