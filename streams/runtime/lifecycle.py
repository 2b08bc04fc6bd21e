"""Stopping in four steps: intake, drain, abandon, close; each one a line in the log.

The informer is closed in the first step, not waited for. A second signal skips the drain.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Sequence

from operators.flow.delivery import Ledger
from streams.runtime.running import RunningSource

log = logging.getLogger(__name__)

EXIT_CLEAN, EXIT_LOST, EXIT_CREDENTIALS, EXIT_SECOND_SIGNAL = 0, 1, 3, 130


class Signals:
    """The first SIGTERM or SIGINT asks to stop, the second to stop at once."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.at_once = asyncio.Event()

    def install(self) -> None:
        """Listen on the running loop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.received)

    def received(self) -> None:
        """Note one signal."""
        (self.at_once if self.stop.is_set() else self.stop).set()


async def shut_down(
    sources: Sequence[RunningSource], *, grace_seconds: float, at_once: asyncio.Event
) -> int:
    """Stop the sources so that nothing is lost if the grace suffices, and say which exit code tells of it."""
    in_flight = sum(source.books.ledger.in_flight for source in sources)
    log.info("stopping: intake is off", extra={"in_flight": in_flight})
    for source in sources:
        source.stop_intake()
    await _drain(sources, grace_seconds=grace_seconds, at_once=at_once)
    for source in sources:
        await source.abandon()
    lost = sum(source.lost for source in sources)
    log.info(
        "stopped", extra={"lost": lost, "books": {s.ingester: equation(s.ledger) for s in sources}}
    )
    if at_once.is_set():
        return EXIT_SECOND_SIGNAL
    return EXIT_LOST if lost else EXIT_CLEAN


async def _drain(
    sources: Sequence[RunningSource], *, grace_seconds: float, at_once: asyncio.Event
) -> None:
    hurry = asyncio.create_task(at_once.wait())
    drained = asyncio.ensure_future(asyncio.gather(*(source.drained() for source in sources)))
    await asyncio.wait((hurry, drained), timeout=grace_seconds, return_when=asyncio.FIRST_COMPLETED)
    left = sum(source.books.ledger.in_flight for source in sources)
    log.info("drained" if not left else "the grace is over", extra={"in_flight": left})
    for task in (hurry, drained):
        task.cancel()
    await asyncio.gather(hurry, drained, return_exceptions=True)


def equation(ledger: Ledger) -> str:
    """Write the books as the sum that they are."""
    endings = " + ".join(
        f"{count} {ending}" + (f" ({reason})" if reason else "")
        for (ending, reason), count in sorted(ledger.endings.items())
    )
    return f"{ledger.received} received = {endings or '0'} + {ledger.in_flight} in flight"
