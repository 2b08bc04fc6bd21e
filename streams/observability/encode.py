"""Spans as OTLP's protocol buffers.

Encoded messages that follow one another are the encoding of all of them together, so a trace is encoded once, when it
is kept, and a request is made by joining. What every span has is packed by hand, and so are texts, because a message
object for each costs four times as much; what is said again and again is made by the protocol's own classes, once, and
remembered. They decode all of it again in the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
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

from operators.flow.trace import Context
from streams.observability.span import Attribute, Span, SpanKind, SpanTree, Words

SCOPE = "zen-streams"
REMEMBERED = 4096
"""So many encodings are remembered: those that come again stay, the others soon fall out."""

_FLAGS = 0x101
"""Sampled, and known not to come from elsewhere."""
_LINK_FLAGS = 0x001

_KINDS = {
    SpanKind.INTERNAL: Message.SPAN_KIND_INTERNAL,
    SpanKind.CLIENT: Message.SPAN_KIND_CLIENT,
    SpanKind.PRODUCER: Message.SPAN_KIND_PRODUCER,
    SpanKind.CONSUMER: Message.SPAN_KIND_CONSUMER,
}

# Tags: the field's number, then how it is written. A fixed number is 8 bytes, what is framed says its length.
_RESOURCE_SPANS_OF_REQUEST = b"\x0a"
_RESOURCE_OF_RESOURCE_SPANS = b"\x0a"
_SCOPE_SPANS_OF_RESOURCE_SPANS = b"\x12"
_SPAN_OF_SCOPE_SPANS = b"\x12"
_ATTRIBUTE_OF_SPAN = b"\x4a"
_KEY_OF_ATTRIBUTE = b"\x0a"
_VALUE_OF_ATTRIBUTE = b"\x12"
_TEXT_OF_VALUE = b"\x0a"

_OWN = Struct("<2s8scQcQ")
"""span_id, start_time_unix_nano, end_time_unix_nano; the other ids are those of the whole trace."""
_SPAN_ID, _START, _END = b"\x12\x08", b"\x39", b"\x41"
_TRACE_ID, _PARENT_ID = b"\x0a\x10", b"\x22\x08"

_SEVEN_BITS, _MORE = 0x7F, 0x80
"""A varint has seven bits a byte, the lowest first, and one that says whether more come."""
_BYTE = tuple(bytes((number,)) for number in range(_MORE))


def encoded(tree: SpanTree) -> bytes:
    """Encode the spans of one trace, to be joined with others into a request."""
    root = _TRACE_ID + tree.trace_id.to_bytes(16, "big") + _tracestate(tree.tracestate)
    child = root + _PARENT_ID + tree.spans[0].span_id.to_bytes(8, "big")
    pack, parts = _OWN.pack, list[bytes]()
    for span in tree.spans:
        own = pack(
            _SPAN_ID, span.span_id.to_bytes(8, "big"), _START, span.start_ns, _END, span.end_ns
        )
        said = _described(span.name, span.kind, span.words)
        if span.own:
            said += _attributes(span.own)
        if span.error_type or span.links:
            said += _seldom(span)
        parts.append(framed(_SPAN_OF_SCOPE_SPANS, (root if span.is_root else child) + own + said))
    return b"".join(parts)


def _attributes(attributes: Sequence[Attribute]) -> bytes:
    return b"".join(
        [
            _text(key, value) if isinstance(value, str) else _number(key, value)
            for key, value in attributes
        ]
    )


@lru_cache(maxsize=REMEMBERED)
def _described(name: str, kind: SpanKind, words: Words) -> bytes:
    said = [_attribute(key, value) for key, value in words]
    return Message(name=name, kind=_KINDS[kind], flags=_FLAGS, attributes=said).SerializeToString()


@lru_cache(maxsize=REMEMBERED, typed=True)
def _number(key: str, value: float) -> bytes:
    return Message(attributes=[_attribute(key, value)]).SerializeToString()


def _text(key: str, value: str) -> bytes:
    text = value.encode()
    size = len(text)
    head = _key(key)
    whole = len(head) + size + 3
    if whole > _SEVEN_BITS:
        return framed(_ATTRIBUTE_OF_SPAN, head + _framed_text(text))
    return b"".join(
        (_ATTRIBUTE_OF_SPAN, _BYTE[whole], head, _BYTE[size + 2], _TEXT_OF_VALUE, _BYTE[size], text)
    )


def _framed_text(text: bytes) -> bytes:
    return framed(b"", framed(_TEXT_OF_VALUE, text))


@lru_cache(maxsize=REMEMBERED)
def _key(key: str) -> bytes:
    """The key of an attribute, and the tag of the value that follows it."""
    return framed(_KEY_OF_ATTRIBUTE, key.encode()) + _VALUE_OF_ATTRIBUTE


@lru_cache(maxsize=REMEMBERED)
def _tracestate(tracestate: str) -> bytes:
    return Message(trace_state=tracestate).SerializeToString()


def _seldom(span: Span) -> bytes:
    message = Message(links=map(_link, span.links))
    if span.error_type:
        message.status.code = Status.STATUS_CODE_ERROR
        message.status.message = span.message
        message.attributes.append(_attribute("error.type", span.error_type))
    return message.SerializeToString()


def _link(context: Context) -> Message.Link:
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
    """A field that says its length: its tag, the length as a varint, its bytes."""
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
    """What every request says around the traces: who speaks."""

    def __init__(self, attributes: Mapping[str, object], *, schema_url: str, version: str) -> None:
        said = [_attribute(key, value) for key, value in attributes.items()]
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
