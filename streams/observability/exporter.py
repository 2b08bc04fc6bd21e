"""Sends kept traces to the collector: whole ones, in batches, counted by what really became of them."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from streams.observability.backlog import BATCH_SPANS, Backlog, Encoded
from streams.observability.encode import Envelope, encoded
from streams.observability.otlp_collector import Collector, Reply, Verdict
from streams.observability.span import SpanTree

log = logging.getLogger(__name__)

BATCH_SECONDS = 1.0
"""How long a batch that is not full waits for more."""
ATTEMPTS = 5
FIRST_SECONDS = 1.0
"""Of the waits between attempts; they double, so a batch is given up after about 15 s and its time-outs."""
TELL_EVERY_SECONDS = 60.0
CANCEL_AGAIN_SECONDS = 0.05

QUEUE_FULL, REJECTED, TIMEOUT, SHUTDOWN = "queue_full", "rejected", "timeout", "shutdown"
"""No room to wait; the collector would not have it; nobody answered; it was still here when the process stopped."""


class Exporter:
    """One task that sends what waits. Every span ends as delivered, or as lost for a reason."""

    def __init__(
        self,
        collector: Collector,
        envelope: Envelope,
        *,
        clock: Clock,
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backlog: Backlog | None = None,
    ) -> None:
        self.delivered = 0
        self.lost: Counter[str] = Counter()
        self._collector = collector
        self._envelope = envelope
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._backlog = backlog or Backlog()
        self.is_closed = False
        """Whether it takes nothing any more."""
        self._sending = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told_ns: int | None = None

    @property
    def waiting(self) -> int:
        """Spans that are neither delivered nor lost yet."""
        return self._backlog.spans + self._sending

    def start(self) -> None:
        """Begin to send, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="traces")

    def offer(self, tree: SpanTree) -> None:
        """Take a whole trace, or refuse the whole and count it."""
        trace = Encoded(encoded(tree), len(tree.spans))
        if self.is_closed or not self._backlog.put(trace):
            self.lost[SHUTDOWN if self.is_closed else QUEUE_FULL] += trace.spans
            self._tell("no room")
        elif self._backlog.spans >= BATCH_SPANS or self._backlog.spans == trace.spans:
            self._changed.set()

    async def close(self, *, deadline_seconds: float) -> None:
        """Send what waits, for so long at most; the rest is lost."""
        self.is_closed = True
        self._changed.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=deadline_seconds)
            await _cancel(self._task)
        self.lost[SHUTDOWN] += self.waiting
        self._sending = 0
        self._backlog.clear()
        await self._collector.close()

    async def _run(self) -> None:
        while self._backlog.spans or not self.is_closed:
            await self._gather()
            batch = self._backlog.batch()
            if batch:
                await self._deliver(batch)

    async def _gather(self) -> None:
        """Wait for something to send, then a second for a full batch."""
        while not self._backlog.spans and not self.is_closed:
            self._changed.clear()
            await self._changed.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(BATCH_SECONDS):
                while self._backlog.spans < BATCH_SPANS and not self.is_closed:
                    self._changed.clear()
                    await self._changed.wait()

    async def _deliver(self, batch: Sequence[Encoded]) -> None:
        spans = self._sending = sum(trace.spans for trace in batch)
        reply = await self._send(self._envelope.request(trace.payload for trace in batch))
        self._sending = 0
        if reply.verdict is Verdict.TAKEN:
            rejected = min(reply.rejected, spans)
            self.delivered += spans - rejected
        else:
            rejected = spans
        if rejected:
            self.lost[REJECTED if reply.answered else TIMEOUT] += rejected
        if rejected or reply.detail:
            self._tell(reply.detail)

    async def _send(self, request: bytes) -> Reply:
        wait_seconds = FIRST_SECONDS
        for _ in range(ATTEMPTS - 1):
            reply = await self._collector.send(request)
            if reply.verdict is not Verdict.AGAIN:
                return reply
            self._tell(reply.detail)
            jittered = wait_seconds * (0.5 + self._random())
            await self._sleep(max(jittered, reply.retry_after_seconds or 0.0))
            wait_seconds *= 2
        return await self._collector.send(request)

    def _tell(self, detail: str) -> None:
        """Warn that spans are not taken, at most once a minute; the counts tell how many."""
        now_ns = self._clock()
        quiet_ns = int(TELL_EVERY_SECONDS * NANOSECONDS_PER_SECOND)
        if self._told_ns is None or now_ns - self._told_ns >= quiet_ns:
            self._told_ns = now_ns
            log.warning(
                "the collector does not take spans",
                extra={"collector": self._collector.place, "detail": detail, "lost": self.lost},
            )


async def _cancel(task: asyncio.Task[None]) -> None:
    """End a task; a request that times out at the same moment swallows the first cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_AGAIN_SECONDS)
