"""Shutdown: stop the intake, drain, abandon what is left; the first two and the end are logged.

The informers are closed in the first step, not waited for. A second signal ends the drain.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence

from operators.flow.delivery import Ledger
from streams.runtime.pipeline import Pipeline

log = logging.getLogger(__name__)

EXIT_CLEAN, EXIT_LOST, EXIT_CREDENTIALS, EXIT_SECOND_SIGNAL = 0, 1, 3, 130


class Signals:
    """The events set by SIGTERM and SIGINT: ``stop`` by the first signal, ``at_once`` by the second."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()

    def install(self) -> None:
        """Handle SIGTERM and SIGINT on the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.received)

    def received(self) -> None:
        """Set ``stop``, or ``at_once`` if ``stop`` is set already."""
        (self.at_once if self.stop.is_set() else self.stop).set()


async def shut_down(
    pipelines: Sequence[Pipeline], *, grace_seconds: float, at_once: asyncio.Event
) -> int:
    """Stop the pipelines and return the exit code; nothing is lost if all events settle within the grace period.

    ``EXIT_LOST`` if an event was lost, ``EXIT_SECOND_SIGNAL`` if ``at_once`` was set before the end.
    """
    in_flight = sum(pipeline.ledger.in_flight for pipeline in pipelines)
    log.info("shutdown started, intake stopped", extra={"in_flight": in_flight})
    # Of all pipelines before the first drain: events that one still admits meanwhile would use up the grace period.
    for pipeline in pipelines:
        pipeline.stop_intake()
    await _drain(pipelines, grace_seconds=grace_seconds, at_once=at_once)
    for pipeline in pipelines:
        await pipeline.abandon()
    lost = sum(pipeline.lost for pipeline in pipelines)
    log.info(
        "stopped",
        extra={"lost": lost, "ledgers": {s.ingester: equation(s.ledger) for s in pipelines}},
    )
    if at_once.is_set():
        return EXIT_SECOND_SIGNAL
    return EXIT_LOST if lost else EXIT_CLEAN


async def _drain(
    pipelines: Sequence[Pipeline], *, grace_seconds: float, at_once: asyncio.Event
) -> None:
    """Wait until every pipeline is drained, the grace period is over, or ``at_once`` is set."""
    second_signal = asyncio.create_task(at_once.wait())
    drained = asyncio.ensure_future(asyncio.gather(*(pipeline.drained() for pipeline in pipelines)))
    await asyncio.wait(
        (second_signal, drained), timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED
    )
    left = sum(pipeline.ledger.in_flight for pipeline in pipelines)
    log.info("drained" if not left else "drain ended, events left", extra={"in_flight": left})
    for task in (second_signal, drained):
        task.cancel()
    await asyncio.gather(second_signal, drained, return_exceptions=True)


def equation(ledger: Ledger) -> str:
    """Write a ledger as the sum it has to be: received = outcomes + in flight."""
    endings = " + ".join(
        f"{count} {ending}" + (f" ({reason})" if reason else "")
        for (ending, reason), count in sorted(ledger.endings.items())
    )
    return f"{ledger.received} received = {endings or '0'} + {ledger.in_flight} in flight"
