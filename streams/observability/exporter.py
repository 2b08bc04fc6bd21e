"""Exports traces to a collector: whole traces, in batches, every span counted as exported or as lost for a reason."""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from operators.flow.backoff import Backoff, BackoffSettings, Jitter
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from streams.observability.environment import OtlpSettings, TelemetryError
from streams.observability.otlp import (
    Envelope,
    ExportResult,
    ExportStatus,
    OtlpClient,
    encode_tree,
)
from streams.observability.spans import SpanTree
from streams.observability.tracer import LossReason

log = logging.getLogger(__name__)

SERVICE = "zen-streams"

OUTAGE_SECONDS = 10
"""How long the collector may be unreachable without loss while sources use up their budget."""
BACKLOG_SPANS = 2000 * OUTAGE_SECONDS
BACKLOG_BYTES = 16 * 1024 * 1024
"""The most memory the backlog takes, whatever the budget."""
BATCH_SPANS = 512
"""The default of OpenTelemetry's own batch processor (OTEL_BSP_MAX_EXPORT_BATCH_SIZE); a trace is never divided, so the
last one of a batch may exceed it."""
BATCH_SECONDS = 1.0
"""How long an incomplete batch waits for more traces."""

ATTEMPTS = 5
RETRIES: Final = BackoffSettings(
    initial_seconds=1.0, cap_seconds=8.0, jitter=Jitter.AROUND, retry_after_cap_seconds=30.0
)
"""1, 2, 4 and 8 s between five attempts: a batch is discarded after about 15 s and the time-outs, as the backlog holds
10 s of spans."""

WARN_EVERY_SECONDS = 60.0
CANCEL_AGAIN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class EncodedTrace:
    """The encoded spans of one trace."""

    payload: bytes
    spans: int


class Backlog:
    """Encoded traces that wait to be sent, first in, first out, bounded by spans and by bytes."""

    def __init__(self, *, max_spans: int = BACKLOG_SPANS, max_bytes: int = BACKLOG_BYTES) -> None:
        self.spans = 0
        self.bytes = 0
        self._max_spans = max_spans
        self._max_bytes = max_bytes
        self._traces: deque[EncodedTrace] = deque()

    @classmethod
    def for_rate(cls, spans_per_second: int) -> Backlog:
        """Make a backlog for ``OUTAGE_SECONDS`` at this rate, and for one batch at least."""
        return cls(max_spans=max(OUTAGE_SECONDS * spans_per_second, BATCH_SPANS))

    def put(self, trace: EncodedTrace) -> bool:
        """Add a trace; return false, and add nothing of it, where the whole of it does not fit."""
        spans, size_bytes = self.spans + trace.spans, self.bytes + len(trace.payload)
        if spans > self._max_spans or size_bytes > self._max_bytes:
            return False
        self.spans, self.bytes = spans, size_bytes
        self._traces.append(trace)
        return True

    def take_batch(self) -> list[EncodedTrace]:
        """Remove and return the next batch: whole traces, up to the one that completes ``BATCH_SPANS``."""
        batch: list[EncodedTrace] = []
        spans = 0
        while self._traces and spans < BATCH_SPANS:
            trace = self._traces.popleft()
            batch.append(trace)
            spans += trace.spans
            self.bytes -= len(trace.payload)
        self.spans -= spans
        return batch

    def clear(self) -> None:
        """Discard all traces."""
        self._traces.clear()
        self.spans = self.bytes = 0


class OtlpExporter:
    """One task that sends the backlog, one batch at a time.

    At every moment the spans offered equal ``exported`` + ``lost`` + ``pending``.
    """

    def __init__(
        self,
        client: OtlpClient,
        envelope: Envelope,
        *,
        clock: Clock,
        random: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        backlog: Backlog | None = None,
    ) -> None:
        self.exported = 0
        """Spans that the collector accepted."""
        self.lost: Counter[str] = Counter()
        """Spans lost, by ``LossReason``."""
        self.is_closed = False
        """Whether every further trace is refused."""
        self._client = client
        self._envelope = envelope
        self._clock = clock
        self._random = random
        self._sleep = sleep
        self._backlog = backlog or Backlog()
        self._sending = 0
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._warned_ns: int | None = None

    @property
    def pending(self) -> int:
        """Spans neither exported nor lost yet."""
        return self._backlog.spans + self._sending

    def start(self) -> None:
        """Start the sending task on the running loop."""
        self._task = asyncio.create_task(self._run(), name="trace exporter")

    def offer(self, tree: SpanTree) -> None:
        """Add a whole trace to the backlog, or count all its spans as lost; never raises, never blocks."""
        trace = EncodedTrace(encode_tree(tree), len(tree.spans))
        if self.is_closed or not self._backlog.put(trace):
            self.lost[LossReason.SHUTDOWN if self.is_closed else LossReason.QUEUE_FULL] += (
                trace.spans
            )
            self._warn("backlog full")
        elif self._backlog.spans >= BATCH_SPANS or self._backlog.spans == trace.spans:
            self._changed.set()  # the batch is complete, or this is its first trace

    async def close(self, *, deadline_seconds: float) -> None:
        """Send the backlog for at most ``deadline_seconds``; what is left is lost (``shutdown``)."""
        self.is_closed = True
        self._changed.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=deadline_seconds)
            await _cancel(self._task)
        self.lost[LossReason.SHUTDOWN] += self.pending
        self._sending = 0
        self._backlog.clear()
        await self._client.close()

    async def _run(self) -> None:
        while self._backlog.spans or not self.is_closed:
            await self._batch_due()
            batch = self._backlog.take_batch()
            if batch:
                await self._export(batch)

    async def _batch_due(self) -> None:
        """Wait for a first trace, then up to ``BATCH_SECONDS`` for a complete batch; no longer than until ``close``."""
        while not self._backlog.spans and not self.is_closed:
            # No await between the test and clear(): a trace offered in between would not end the wait.
            self._changed.clear()
            await self._changed.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(BATCH_SECONDS):
                while self._backlog.spans < BATCH_SPANS and not self.is_closed:
                    self._changed.clear()
                    await self._changed.wait()

    async def _export(self, batch: Sequence[EncodedTrace]) -> None:
        # The batch has left the backlog: until its result is known its spans are counted in _sending alone, and close()
        # counts them as lost if it cancels the request.
        spans = self._sending = sum(trace.spans for trace in batch)
        result = await self._send(self._envelope.request(trace.payload for trace in batch))
        self._sending = 0
        if result.status is ExportStatus.ACCEPTED:
            rejected = min(result.rejected_spans, spans)
            self.exported += spans - rejected
        else:
            rejected = spans
        if rejected:
            self.lost[LossReason.REJECTED if result.responded else LossReason.TIMEOUT] += rejected
        if rejected or result.detail:
            self._warn(result.detail)

    async def _send(self, request: bytes) -> ExportResult:
        """Send one request, up to ``ATTEMPTS`` times while the result is retryable."""
        backoff = Backoff(RETRIES, random=self._random)
        for _ in range(ATTEMPTS - 1):
            result = await self._client.send(request)
            if result.status is not ExportStatus.RETRYABLE:
                return result
            self._warn(result.detail)
            wait_ns = backoff.next_ns(self._clock(), retry_after_seconds=result.retry_after_seconds)
            await self._sleep(wait_ns / NANOSECONDS_PER_SECOND)
        return await self._client.send(request)

    def _warn(self, detail: str) -> None:
        """Log that spans are not exported, at most once a minute; the counters hold how many."""
        now_ns = self._clock()
        quiet_ns = int(WARN_EVERY_SECONDS * NANOSECONDS_PER_SECOND)
        if self._warned_ns is None or now_ns - self._warned_ns >= quiet_ns:
            self._warned_ns = now_ns
            log.warning(
                "trace export failed",
                extra={
                    "collector": self._client.address,
                    "detail": detail,
                    "lost": dict(self.lost),
                },
            )


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task until it ends: a request that times out at the same moment swallows the first cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=CANCEL_AGAIN_SECONDS)


def otlp_exporter(
    otlp: OtlpSettings,
    *,
    version: str,
    clock: Clock,
    random: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    backlog: Backlog | None = None,
) -> OtlpExporter:
    """Make the exporter that the environment configures. Raises ``TelemetryError`` for an unreadable certificate."""
    resource = _resource(version)
    envelope = Envelope(resource.attributes, schema_url=resource.schema_url, version=version)
    client = OtlpClient(otlp, _tls(otlp), user_agent=f"{SERVICE}/{version}")
    return OtlpExporter(client, envelope, clock=clock, random=random, sleep=sleep, backlog=backlog)


def _resource(version: str) -> Resource:
    """Describe this process; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME take precedence over the product's own."""
    own = {
        "service.name": SERVICE,
        "service.version": version,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(own).merge(OTELResourceDetector().detect())


def _tls(otlp: OtlpSettings) -> ssl.SSLContext | None:
    if not (otlp.certificate or otlp.client_certificate):
        return None
    try:
        context = ssl.create_default_context(cafile=otlp.certificate or None)
        if otlp.client_certificate:
            context.load_cert_chain(otlp.client_certificate, otlp.client_key or None)
    except (OSError, ValueError) as error:
        raise TelemetryError(
            "OTEL_EXPORTER_OTLP_CERTIFICATE, ..._CLIENT_CERTIFICATE, ..._CLIENT_KEY",
            found=f"files that cannot be used ({type(error).__name__})",
            allowed="readable PEM files",
        ) from None
    return context
