"""OTLP over HTTP: spans as protocol buffers, and the request that takes them to a collector.

The concatenation of encoded protobuf messages is the encoding of their union, so a trace is encoded once, when it is
exported, and a request is made by joining. The fields that every span has are packed by hand, and so are texts: a
message object for each costs four times as much. What recurs is encoded by the generated classes and cached. The tests
decode everything with the generated classes.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from struct import Struct
from typing import cast

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from operators.flow.trace import SpanContext
from operators.model.content import redacted_text
from streams.observability.environment import OtlpSettings
from streams.observability.spans import Attribute, SharedAttributes, Span, SpanKind, SpanTree

SCOPE = "zen-streams"
"""The instrumentation scope's name."""

CACHED_ENCODINGS = 4096
"""Entries of each cache of encodings, 1 to 2 MB; the least recently used is removed, so what recurs stays."""

RETRYABLE = frozenset({429, 502, 503, 504})
"""The statuses that a client may retry (OTLP 1.x, "Retryable Response Codes")."""

RESPONSE_BYTES = 64 * 1024
"""As much of a response's body as is read; a partial success is a few hundred bytes."""
PARTIAL_SUCCESS_CHARACTERS = 200

_OK = range(200, 300)

# --- encoding -------------------------------------------------------------------------------------

_FLAGS = 0x101
"""Sampled (0x001); the parent is known not to be remote (0x100)."""
_LINK_FLAGS = 0x001

_KINDS = {
    SpanKind.INTERNAL: Message.SPAN_KIND_INTERNAL,
    SpanKind.CLIENT: Message.SPAN_KIND_CLIENT,
    SpanKind.PRODUCER: Message.SPAN_KIND_PRODUCER,
    SpanKind.CONSUMER: Message.SPAN_KIND_CONSUMER,
}

# Tags: field number, then wire type. Wire type 1 is 8 bytes, wire type 2 a varint length and so many bytes.
_RESOURCE_SPANS_OF_REQUEST = b"\x0a"
_RESOURCE_OF_RESOURCE_SPANS = b"\x0a"
_SCOPE_SPANS_OF_RESOURCE_SPANS = b"\x12"
_SPAN_OF_SCOPE_SPANS = b"\x12"
_ATTRIBUTE_OF_SPAN = b"\x4a"
_KEY_OF_ATTRIBUTE = b"\x0a"
_VALUE_OF_ATTRIBUTE = b"\x12"
_TEXT_OF_VALUE = b"\x0a"

_SPAN_HEAD = Struct("<2s8scQcQ")
"""span_id, start_time_unix_nano, end_time_unix_nano; trace_id and parent_span_id are encoded once a trace."""
_SPAN_ID, _START, _END = b"\x12\x08", b"\x39", b"\x41"
_TRACE_ID, _PARENT_ID = b"\x0a\x10", b"\x22\x08"

_SEVEN_BITS, _MORE = 0x7F, 0x80
"""A varint has seven bits a byte, the lowest first; the eighth is set where more bytes follow."""
_BYTE = tuple(bytes((number,)) for number in range(_MORE))


def encode_tree(tree: SpanTree) -> bytes:
    """Encode the spans of one trace, to be joined with others into a request."""
    root = _TRACE_ID + tree.trace_id.to_bytes(16, "big") + _tracestate(tree.tracestate)
    child = root + _PARENT_ID + tree.spans[0].span_id.to_bytes(8, "big")
    pack, parts = _SPAN_HEAD.pack, list[bytes]()
    for span in tree.spans:
        head = pack(
            _SPAN_ID, span.span_id.to_bytes(8, "big"), _START, span.start_ns, _END, span.end_ns
        )
        rest = _shared(span.name, span.kind, span.shared_attributes)
        if span.attributes:
            rest += _attributes(span.attributes)
        if span.error_type or span.links:
            rest += _status_and_links(span)
        parts.append(framed(_SPAN_OF_SCOPE_SPANS, (root if span.is_root else child) + head + rest))
    return b"".join(parts)


def _attributes(attributes: Sequence[Attribute]) -> bytes:
    return b"".join(
        [
            _text(key, value) if isinstance(value, str) else _number(key, value)
            for key, value in attributes
        ]
    )


@lru_cache(maxsize=CACHED_ENCODINGS)
def _shared(name: str, kind: SpanKind, attributes: SharedAttributes) -> bytes:
    made = [_attribute(key, value) for key, value in attributes]
    return Message(name=name, kind=_KINDS[kind], flags=_FLAGS, attributes=made).SerializeToString()


@lru_cache(maxsize=CACHED_ENCODINGS, typed=True)  # typed: True, 1 and 1.0 are equal keys
def _number(key: str, value: float) -> bytes:
    return Message(attributes=[_attribute(key, value)]).SerializeToString()


def _text(key: str, value: str) -> bytes:
    text = value.encode()
    size = len(text)
    head = _key(key)
    whole = len(head) + size + 3
    if whole > _SEVEN_BITS:
        return framed(_ATTRIBUTE_OF_SPAN, head + framed(b"", framed(_TEXT_OF_VALUE, text)))
    # All lengths fit one byte each: one join instead of three frames.
    return b"".join(
        (_ATTRIBUTE_OF_SPAN, _BYTE[whole], head, _BYTE[size + 2], _TEXT_OF_VALUE, _BYTE[size], text)
    )


@lru_cache(maxsize=CACHED_ENCODINGS)
def _key(key: str) -> bytes:
    """Encode the key of an attribute, with the tag of the value that follows it."""
    return framed(_KEY_OF_ATTRIBUTE, key.encode()) + _VALUE_OF_ATTRIBUTE


@lru_cache(maxsize=CACHED_ENCODINGS)
def _tracestate(tracestate: str) -> bytes:
    return Message(trace_state=tracestate).SerializeToString()


def _status_and_links(span: Span) -> bytes:
    message = Message(links=map(_link, span.links))
    if span.error_type:
        message.status.code = Status.STATUS_CODE_ERROR
        message.status.message = span.message
        message.attributes.append(_attribute("error.type", span.error_type))
    return message.SerializeToString()


def _link(context: SpanContext) -> Message.Link:
    trace_id, span_id = context
    return Message.Link(
        trace_id=trace_id.to_bytes(16, "big"),
        span_id=span_id.to_bytes(8, "big"),
        flags=_LINK_FLAGS,
    )


def _attribute(key: str, value: object) -> KeyValue:
    return KeyValue(key=key, value=_any(value))


def _any(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return AnyValue(array_value=ArrayValue(values=map(_any, cast("Sequence[object]", value))))
    return AnyValue(string_value=str(value))


def framed(tag: bytes, payload: bytes) -> bytes:
    """Encode a field of wire type 2: its tag, the payload's length as a varint, the payload."""
    length = len(payload)
    if length <= _SEVEN_BITS:
        return tag + _BYTE[length] + payload
    head = bytearray(tag)
    while length > _SEVEN_BITS:
        head.append(length & _SEVEN_BITS | _MORE)
        length >>= 7
    head.append(length)
    return bytes(head) + payload


class Envelope:
    """What every request has around the traces: resource and instrumentation scope, encoded once."""

    def __init__(self, attributes: Mapping[str, object], *, schema_url: str, version: str) -> None:
        made = [_attribute(key, value) for key, value in attributes.items()]
        resource = Resource(attributes=made).SerializeToString()
        self._resource = framed(_RESOURCE_OF_RESOURCE_SPANS, resource)
        self._scope = ScopeSpans(
            scope=InstrumentationScope(name=SCOPE, version=version)
        ).SerializeToString()
        self._schema = ResourceSpans(schema_url=schema_url).SerializeToString()

    def request(self, traces: Iterable[bytes]) -> bytes:
        """Make an ``ExportTraceServiceRequest`` of encoded traces."""
        spans = framed(_SCOPE_SPANS_OF_RESOURCE_SPANS, b"".join((self._scope, *traces)))
        return framed(_RESOURCE_SPANS_OF_REQUEST, self._resource + spans + self._schema)


# --- the request ----------------------------------------------------------------------------------


class ExportStatus(Enum):
    """The result of one request, by the OTLP specification."""

    ACCEPTED = auto()
    """Wholly or in part (``ExportResult.rejected_spans``)."""
    RETRYABLE = auto()
    """The collector is overloaded or not reachable."""
    REJECTED = auto()
    """For good: the same request would be rejected again."""


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What came of one request; ``responded`` is false where no response came."""

    status: ExportStatus
    detail: str = ""
    rejected_spans: int = 0
    """Spans not accepted of a request that was (OTLP's partial success)."""
    retry_after_seconds: float | None = None
    responded: bool = True


class OtlpClient:
    """Sends requests to one collector over one connection."""

    def __init__(self, otlp: OtlpSettings, tls: ssl.SSLContext | None, *, user_agent: str) -> None:
        self.address = otlp.address
        self._otlp = otlp
        self._tls = tls
        self._headers = {
            "User-Agent": user_agent,
            **otlp.headers,
            "Content-Type": "application/x-protobuf",
        }
        self._http: aiohttp.ClientSession | None = None

    async def send(self, request: bytes) -> ExportResult:
        """Send one request; raises nothing but ``CancelledError``."""
        body, headers = request, self._headers
        if self._otlp.gzip:
            body = await asyncio.to_thread(gzip.compress, request, 1)
            headers = {**headers, "Content-Encoding": "gzip"}
        try:
            # No redirects: the headers hold credentials, and OTLP defines none.
            async with self._session().post(
                self._otlp.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await _body_of(response.content)
                return _result_of(response.status, response.headers, content)
        except ValueError as error:  # a header or an address that cannot be sent
            return ExportResult(ExportStatus.REJECTED, type(error).__name__)
        except (aiohttp.ClientError, OSError) as error:
            # The class alone: the text of an error may repeat the address, which may hold a password.
            return ExportResult(ExportStatus.RETRYABLE, type(error).__name__, responded=False)

    async def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(total=self._otlp.timeout_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http


async def _body_of(content: aiohttp.StreamReader) -> bytes:
    """Read a response's body up to ``RESPONSE_BYTES``; one read returns no more than has arrived so far."""
    body = bytearray()
    while len(body) < RESPONSE_BYTES:
        piece = await content.read(RESPONSE_BYTES - len(body))
        if not piece:
            break
        body += piece
    return bytes(body)


def _result_of(status: int, headers: Mapping[str, str], body: bytes) -> ExportResult:
    """Interpret a response."""
    if status in _OK:
        return _accepted(body)
    if status in RETRYABLE:
        seconds = _retry_after_seconds(headers)
        return ExportResult(ExportStatus.RETRYABLE, str(status), retry_after_seconds=seconds)
    return ExportResult(ExportStatus.REJECTED, str(status))


def _accepted(body: bytes) -> ExportResult:
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return ExportResult(ExportStatus.ACCEPTED)
    detail = redacted_text(partial.error_message)[:PARTIAL_SUCCESS_CHARACTERS]
    rejected = max(0, partial.rejected_spans)
    return ExportResult(ExportStatus.ACCEPTED, detail, rejected_spans=rejected)


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "").strip()
    return float(text[:9]) if text.isascii() and text.isdigit() else None
