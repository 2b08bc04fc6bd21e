"""The tracing of a process: from the plans and the environment to a running exporter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from yarl import URL

from streams.config.plan import Plan
from streams.observability.environment import TelemetryError, read_environment
from streams.observability.metrics import TraceCounts
from streams.observability.sampler import Sampling
from streams.observability.spans import SourceAttributes
from streams.observability.tracer import SourceTracer, TracerInputs, Tracing
from streams.runtime.settings import product_version

if TYPE_CHECKING:
    from streams.observability.exporter import OtlpExporter

log = logging.getLogger(__name__)

FLUSH_SECONDS = 3.0
"""How long the backlog is sent after the drain; with the default grace (25 s) less than Kubernetes' 30 s."""


class ProcessTracing:
    """The tracers and the exporter of a process; both are ``None`` where tracing is off."""

    def __init__(
        self, tracing: Tracing | None, exporter: OtlpExporter | None, *, server: str
    ) -> None:
        self.tracing = tracing
        self._exporter = exporter
        url = URL(server)
        self._server = url.host or "", url.port or 0

    def source(self, plan: Plan, *, kind: str, when_full: str) -> SourceTracer | None:
        """Make the tracer of one source; ``None`` where tracing is off, or ``spec.tracing.enabled`` is false."""
        if self.tracing is None or not plan.pipeline.tracing.enabled:
            return None
        attributes = SourceAttributes.of(
            plan.source_name,
            kind=kind,
            ingester=plan.identity.key,
            when_full=when_full,
            server=self._server,
        )
        return self.tracing.source(attributes, _sampling(plan))

    def start(self) -> None:
        """Start the exporter on the running loop."""
        if self._exporter is not None:
            self._exporter.start()

    async def flush(self, *, deadline_seconds: float = FLUSH_SECONDS) -> None:
        """Send the backlog for at most ``deadline_seconds`` and close the exporter; idempotent."""
        if self._exporter is not None and not self._exporter.is_closed:
            await self._exporter.close(deadline_seconds=deadline_seconds)
            log.info("trace exporter closed", extra={"lost": dict(self._exporter.lost)})

    def counts(self) -> TraceCounts:
        """What the metrics read of the tracing."""
        tracing, exporter = self.tracing, self._exporter
        return TraceCounts(
            built=tracing.spans_built if tracing is not None else 0,
            suppressed=tracing.suppressed if tracing is not None else {},
            exported=exporter.exported if exporter is not None else 0,
            lost=exporter.lost if exporter is not None else {},
        )


TRACING_OFF = ProcessTracing(None, None, server="")


def process_tracing(
    plans: Sequence[Plan],
    environment: Mapping[str, str],
    *,
    server: str,
    inputs: TracerInputs,
    random: Callable[[], float],
    spans_on_request: bool,
) -> ProcessTracing:
    """Set up tracing if the environment names a collector, or ``spans_on_request`` (they are built, not exported).

    The budget of the process is the highest ``maxSpansPerSecond`` of its plans. An invalid variable is logged as a
    warning, and nothing is exported.
    """
    most = max((plan.pipeline.tracing.max_spans_per_second for plan in plans), default=0)
    exporter = _exporter(environment, inputs=inputs, random=random, spans_per_second=most)
    if exporter is None and not spans_on_request:
        return ProcessTracing(None, None, server=server)
    return ProcessTracing(
        Tracing(inputs, exporter=exporter, spans_per_second=most), exporter, server=server
    )


def _exporter(
    environment: Mapping[str, str],
    *,
    inputs: TracerInputs,
    random: Callable[[], float],
    spans_per_second: int,
) -> OtlpExporter | None:
    try:
        otlp = read_environment(environment)
        if otlp is None:
            return None
        from streams.observability.exporter import (  # noqa: PLC0415  OpenTelemetry's SDK takes 0.1 s
            Backlog,
            otlp_exporter,
        )

        exporter = otlp_exporter(
            otlp,
            version=product_version(),
            clock=inputs.clock,
            random=random,
            backlog=Backlog.for_rate(spans_per_second),
        )
    except TelemetryError as error:
        log.warning("trace export disabled", extra={"detail": str(error)})
        return None
    log.info("trace export enabled", extra={"collector": otlp.address})
    return exporter


def _sampling(plan: Plan) -> Sampling:
    return Sampling(plan.pipeline.tracing.ratio, plan.pipeline.tracing.max_spans_per_second)
