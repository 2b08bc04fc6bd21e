"""Spans as OTLP's protocol buffers, made by its own messages.

Encoded messages that follow one another are the encoding of all of them together, so a trace is encoded once, when it
is kept, and a request is made by joining. Most attributes are the same again and again: their encoding is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import cast

from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message

from operators.trace import Context
from streams.tracing.span import Span, SpanKind, SpanTree, Value

SCOPE = "zen-streams"
ATTRIBUTES_KEPT = 4096
"""So many encoded attributes are remembered: those that come again stay, a name or a uid soon falls out."""

_FLAGS = 0x101
"""Sampled, and known not to come from elsewhere."""
_LINK_FLAGS = 0x001

_KINDS = {
    SpanKind.INTERNAL: Message.SPAN_KIND_INTERNAL,
    SpanKind.CLIENT: Message.SPAN_KIND_CLIENT,
    SpanKind.PRODUCER: Message.SPAN_KIND_PRODUCER,
    SpanKind.CONSUMER: Message.SPAN_KIND_CONSUMER,
}

# Tags of length-delimited fields.
_RESOURCE_SPANS_OF_REQUEST = b"\x0a"
_RESOURCE_OF_RESOURCE_SPANS = b"\x0a"
_SCOPE_SPANS_OF_RESOURCE_SPANS = b"\x12"
_SPAN_OF_SCOPE_SPANS = b"\x12"
_ATTRIBUTE_OF_SPAN = b"\x4a"


def encoded(tree: SpanTree) -> bytes:
    """Encode the spans of one trace, to be joined with others into a request."""
    trace_id = tree.trace_id.to_bytes(16, "big")
    return b"".join(
        [
            framed(_SPAN_OF_SCOPE_SPANS, _span(span, trace_id, tracestate=tree.tracestate))
            for span in tree.spans
        ]
    )


def _span(span: Span, trace_id: bytes, *, tracestate: str) -> bytes:
    message = Message(
        trace_id=trace_id,
        span_id=span.span_id.to_bytes(8, "big"),
        name=span.name,
        kind=_KINDS[span.kind],
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        flags=_FLAGS,
    )
    if span.parent_id:
        message.parent_span_id = span.parent_id.to_bytes(8, "big")
    if tracestate:
        message.trace_state = tracestate
    if span.links:
        message.links.extend(map(_link, span.links))
    attributes = [_attribute(key, value) for key, value in span.attributes]
    if span.error_type:
        message.status.code = Status.STATUS_CODE_ERROR
        message.status.message = span.message
        attributes.append(_attribute("error.type", span.error_type))
    return message.SerializeToString() + b"".join(attributes)


def _link(context: Context) -> Message.Link:
    trace_id, span_id = context
    return Message.Link(
        trace_id=trace_id.to_bytes(16, "big"),
        span_id=span_id.to_bytes(8, "big"),
        flags=_LINK_FLAGS,
    )


@lru_cache(maxsize=ATTRIBUTES_KEPT, typed=True)
def _attribute(key: str, value: Value) -> bytes:
    return framed(_ATTRIBUTE_OF_SPAN, KeyValue(key=key, value=_any(value)).SerializeToString())


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
    """A length-delimited field: its tag, its length as a varint, its bytes."""
    length = len(payload)
    head = bytearray(tag)
    while length > 0x7F:  # noqa: PLR2004  seven bits a byte
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + payload


class Envelope:
    """What every request says around the traces: who speaks."""

    def __init__(self, attributes: Mapping[str, object], *, schema_url: str, version: str) -> None:
        said = [KeyValue(key=key, value=_any(value)) for key, value in attributes.items()]
        resource = Resource(attributes=said).SerializeToString()
        self._resource = framed(_RESOURCE_OF_RESOURCE_SPANS, resource)
        self._scope = ScopeSpans(
            scope=InstrumentationScope(name=SCOPE, version=version)
        ).SerializeToString()
        self._schema = ResourceSpans(schema_url=schema_url).SerializeToString()

    def request(self, traces: Iterable[bytes]) -> bytes:
        """An ``ExportTraceServiceRequest`` of encoded traces."""
        spans = framed(_SCOPE_SPANS_OF_RESOURCE_SPANS, b"".join((self._scope, *traces)))
        return framed(_RESOURCE_SPANS_OF_REQUEST, self._resource + spans + self._schema)
