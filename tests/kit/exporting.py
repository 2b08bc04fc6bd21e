"""The product's own exporter, to a collector on the loopback."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from streams.observability.environment import read_environment
from streams.observability.exporter import Backlog, OtlpExporter, otlp_exporter
from tests.kit.traced import at_once

FLUSH_SECONDS = 20.0


@asynccontextmanager
async def exporting(
    endpoint: str,
    *,
    sleep: Callable[[float], Awaitable[None]] = at_once,
    backlog: Backlog | None = None,
    **environment: str,
) -> AsyncGenerator[OtlpExporter]:
    """Configure it as an environment does, and flush it on the way out.

    Between its attempts it waits no longer than it takes others to have a turn.
    """
    otlp = read_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **environment})
    assert otlp is not None
    exporter = otlp_exporter(
        otlp,
        version="1.2",
        clock=time.monotonic_ns,
        random=lambda: 0.5,
        sleep=sleep,
        backlog=backlog,
    )
    exporter.start()
    try:
        yield exporter
    finally:
        if not exporter.is_closed:
            await exporter.close(deadline_seconds=FLUSH_SECONDS)
