"""A collector on the loopback: takes what an exporter really sends, decodes it, and fails as a test sets it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from aiohttp import ClientSession, web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from streams.runtime.listening import Listener

Value = str | bool | int | float


@dataclass(frozen=True)
class WireSpan:
    """A span as it came over the wire; ids are hex, times wall-clock nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Value]
    is_error: bool
    message: str
    links: tuple[tuple[str, str], ...]
    tracestate: str

    @property
    def is_root(self) -> bool:
        return not self.parent_id

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.start_ns) / 1e9


@dataclass
class Trace:
    """The spans of one trace id."""

    spans: list[WireSpan] = field(default_factory=list[WireSpan])

    @property
    def roots(self) -> list[WireSpan]:
        return [span for span in self.spans if span.is_root]

    @property
    def root(self) -> WireSpan:
        (root,) = self.roots
        return root

    @property
    def children(self) -> list[WireSpan]:
        return sorted((it for it in self.spans if not it.is_root), key=lambda it: it.start_ns)

    @property
    def outcome(self) -> str:
        return str(self.root.attributes["zenstreams.outcome"])

    def named(self, name: str) -> list[WireSpan]:
        return [span for span in self.children if span.name == name]


def decoded(request: bytes) -> list[WireSpan]:
    """The spans of an ``ExportTraceServiceRequest``."""
    message = ExportTraceServiceRequest.FromString(request)
    return [
        _span(span)
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def decoded_spans(payload: bytes) -> list[WireSpan]:
    """The spans of one encoded trace, not yet part of a request."""
    return [_span(span) for span in ScopeSpans.FromString(payload).spans]


def traces_of(spans: list[WireSpan]) -> dict[str, Trace]:
    """Sort spans by their trace."""
    traces: dict[str, Trace] = {}
    for span in spans:
        traces.setdefault(span.trace_id, Trace()).spans.append(span)
    return traces


class LoopbackCollector:
    """An OTLP/HTTP endpoint; ``status``, ``hangs`` and ``rejects`` say how it fails."""

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        self.requests: list[bytes] = []
        """What it took, decompressed."""
        self.headers: list[dict[str, str]] = []
        self.asked = 0
        self.status = 200
        self.retry_after = ""
        self.hangs = False
        self.rejects = 0
        """So many spans of a request it says it would not have."""
        self.onward = ""
        """The endpoint of another collector that gets everything it takes."""
        self.port = 0
        self._release = asyncio.Event()
        self._changed = asyncio.Event()
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_post("/v1/traces", self._take)
        self._listener = Listener(web.AppRunner(application, access_log=None, shutdown_timeout=0.1))

    async def __aenter__(self) -> Self:
        self.port = await self._listener.start("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._release.set()
        await self.stop()

    async def stop(self) -> None:
        """Be there no more."""
        await self._listener.stop()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[WireSpan]:
        return [span for request in self.requests for span in decoded(request)]

    @property
    def traces(self) -> dict[str, Trace]:
        return traces_of(self.spans)

    @property
    def resource(self) -> dict[str, Value]:
        """Who spoke last."""
        message = ExportTraceServiceRequest.FromString(self.requests[-1])
        return _attributes(message.resource_spans[0].resource.attributes)

    async def asked_for(self, times: int) -> None:
        """Wait until it was asked so often, whatever it answered."""
        while self.asked < times:
            self._changed.clear()
            await self._changed.wait()

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked += 1
        self._changed.set()
        self.headers.append({name.lower(): it for name, it in request.headers.items()})
        if self.hangs:
            await self._release.wait()
        if self.status != 200:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=self.status, headers=headers)
        if not self._keeps:
            return web.Response()
        is_packed = request.headers.get("Content-Encoding") == "gzip" and body[:2] == b"\x1f\x8b"
        self.requests.append(gzip.decompress(body) if is_packed else body)
        if self.onward:
            await self._pass_on(self.requests[-1])
        partial = ExportTracePartialSuccess(rejected_spans=self.rejects)
        said = ExportTraceServiceResponse(partial_success=partial if self.rejects else None)
        return web.Response(body=said.SerializeToString(), content_type="application/x-protobuf")

    async def _pass_on(self, body: bytes) -> None:
        headers = {"Content-Type": "application/x-protobuf"}
        async with (
            ClientSession() as client,
            client.post(f"{self.onward}/v1/traces", data=body, headers=headers) as answer,
        ):
            assert answer.status == 200, await answer.text()


def _span(message: Message) -> WireSpan:
    return WireSpan(
        trace_id=message.trace_id.hex(),
        span_id=message.span_id.hex(),
        parent_id=message.parent_span_id.hex(),
        name=message.name,
        kind=Message.SpanKind.Name(message.kind).removeprefix("SPAN_KIND_"),
        start_ns=message.start_time_unix_nano,
        end_ns=message.end_time_unix_nano,
        attributes=_attributes(message.attributes),
        is_error=message.status.code == 2,
        message=message.status.message,
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in message.links),
        tracestate=message.trace_state,
    )


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    said: dict[str, Value] = {}
    for pair in pairs:
        assert pair.key not in said, f"{pair.key} twice"
        said[pair.key] = getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
    return said
