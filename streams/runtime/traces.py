"""The traces of a process, from what the environment says to the last span that leaves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from yarl import URL

from streams.config.plan import Plan
from streams.observability.backlog import Backlog
from streams.observability.build import scope_of
from streams.observability.environment import TelemetryError, read
from streams.observability.keep import Sampling
from streams.observability.metric_readings import TraceReading
from streams.observability.tracer import Moments, SourceTracer, Tracing
from streams.runtime.settings import product_version

if TYPE_CHECKING:
    from streams.observability.exporter import Exporter

log = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0
"""For what is left to send once everything is drained; with the default grace less than Kubernetes' 30 s."""


class Traces:
    """What is traced, and where it goes; tracing is off where there is neither a collector nor somebody who looks."""

    def __init__(self, tracing: Tracing | None, exporter: Exporter | None, *, server: str) -> None:
        self.tracing = tracing
        self._exporter = exporter
        url = URL(server)
        self._server = url.host or "", url.port or 0

    def source(self, plan: Plan, *, kind: str, when_full: str) -> SourceTracer | None:
        """The tracer of one source; ``None`` where nothing of it is traced."""
        if self.tracing is None or not plan.tracing.enabled:
            return None
        scope = scope_of(
            plan.source,
            kind=kind,
            ingester=f"{plan.namespace}/{plan.name}",
            when_full=when_full,
            server=self._server,
        )
        return self.tracing.source(scope, _sampling(plan))

    def start(self) -> None:
        """Begin to send, on the running loop."""
        if self._exporter is not None:
            self._exporter.start()

    async def flush(self, *, deadline_seconds: float = FLUSH_SECONDS) -> None:
        """Send what is left, for so long at most; nothing is taken afterwards. Again, it does nothing."""
        if self._exporter is not None and not self._exporter.is_closed:
            await self._exporter.close(deadline_seconds=deadline_seconds)
            log.info("traces are flushed", extra={"lost": dict(self._exporter.lost)})

    def reading(self) -> TraceReading:
        """What the metrics say of traces."""
        tracing, exporter = self.tracing, self._exporter
        return TraceReading(
            built=tracing.spans_built if tracing is not None else 0,
            suppressed=tracing.suppressed if tracing is not None else {},
            exported=exporter.delivered if exporter is not None else 0,
            lost=exporter.lost if exporter is not None else {},
        )


UNTRACED = Traces(None, None, server="")


def traces_of(
    plans: Sequence[Plan],
    environment: Mapping[str, str],
    *,
    server: str,
    moments: Moments,
    random: Callable[[], float],
    is_watched: bool,
) -> Traces:
    """Trace what the environment has a collector for, or what somebody looks at who ``is_watched`` stands for.

    A variable that makes no sense is a warning, and tracing is off.
    """
    most = max((plan.tracing.max_spans_per_second for plan in plans), default=0)
    exporter = _exporter(environment, moments=moments, random=random, spans_per_second=most)
    if exporter is None and not is_watched:
        return Traces(None, None, server=server)
    return Traces(Tracing(moments, export=exporter, spans_per_second=most), exporter, server=server)


def _exporter(
    environment: Mapping[str, str],
    *,
    moments: Moments,
    random: Callable[[], float],
    spans_per_second: int,
) -> Exporter | None:
    try:
        otlp = read(environment)
        if otlp is None:
            return None
        from streams.observability.configure import exporter_of  # noqa: PLC0415  heavy, and seldom used

        exporter = exporter_of(
            otlp,
            version=product_version(),
            clock=moments.clock,
            random=random,
            backlog=Backlog.of(spans_per_second),
        )
    except TelemetryError as error:
        log.warning("tracing is off", extra={"detail": str(error)})
        return None
    log.info("traces are sent", extra={"collector": otlp.place})
    return exporter


def _sampling(plan: Plan) -> Sampling:
    said = plan.tracing
    return Sampling(said.ratio, said.max_spans_per_second)
