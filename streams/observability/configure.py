"""The one place where OpenTelemetry is configured: from the environment to a running exporter."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import Awaitable, Callable

from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from operators.flow.clock import Clock
from streams.observability.backlog import Backlog
from streams.observability.encode import Envelope
from streams.observability.environment import Otlp, TelemetryError
from streams.observability.exporter import Exporter
from streams.observability.otlp_collector import Collector

SERVICE = "zen-streams"


def exporter_of(
    otlp: Otlp,
    *,
    version: str,
    clock: Clock,
    random: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    backlog: Backlog | None = None,
) -> Exporter:
    """Make what sends traces. Raises ``TelemetryError`` where a certificate cannot be read."""
    resource = resource_of(version)
    envelope = Envelope(resource.attributes, schema_url=resource.schema_url, version=version)
    collector = Collector(otlp, _tls(otlp), user_agent=f"{SERVICE}/{version}")
    return Exporter(collector, envelope, clock=clock, random=random, sleep=sleep, backlog=backlog)


def resource_of(version: str) -> Resource:
    """Who speaks: ours and the SDK's own words, under what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say."""
    ours = {
        "service.name": SERVICE,
        "service.version": version,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create(ours).merge(OTELResourceDetector().detect())


def _tls(otlp: Otlp) -> ssl.SSLContext | None:
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
