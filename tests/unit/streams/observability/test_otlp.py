from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from streams.observability.environment import read_environment
from streams.observability.otlp import Envelope, OtlpClient, encode_tree, framed
from streams.observability.spans import VALUE_BYTES, AttributeValue, Span, SpanKind, SpanTree, clean
from tests.kit.otlp import decoded, decoded_spans, traces_of

IDS = st.integers(1, (1 << 64) - 1)
TRACE_IDS = st.integers(1, (1 << 128) - 1)
NANOSECONDS = st.integers(0, (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
PARTIAL_SUCCESS = b"\x0a\x06\x08\x02\x12\x02no"
"""An ExportTraceServiceResponse: two spans rejected, and "no" said of them."""

VALUES = st.one_of(TEXTS, st.booleans(), INTEGERS, st.floats(allow_nan=False))


@st.composite
def trees(draw: st.DrawFn) -> SpanTree:
    trace_id, root_id = draw(TRACE_IDS), draw(IDS)
    children = draw(st.lists(IDS, max_size=3))
    made = [_span(draw, span_id, parent_id=root_id) for span_id in children]
    root = _span(draw, root_id, parent_id=0)
    return SpanTree(trace_id, [root, *made], draw(st.sampled_from(["", "ot=th:8"])))


def _span(draw: st.DrawFn, span_id: int, *, parent_id: int) -> Span:
    keys = draw(st.lists(st.text("abc._", min_size=1, max_size=20), unique=True, max_size=6))
    half = len(keys) // 2
    return Span(
        draw(TEXTS),
        draw(st.sampled_from(SpanKind)),
        span_id,
        parent_id,
        draw(NANOSECONDS),
        draw(NANOSECONDS),
        tuple((key, draw(st.one_of(TEXTS, INTEGERS))) for key in keys[:half]),
        [(key, draw(VALUES)) for key in keys[half:]],
        draw(st.sampled_from(["", "503"])),
        draw(TEXTS),
        draw(st.lists(st.tuples(TRACE_IDS, IDS), max_size=3)),
    )


@given(trees())
def test_what_is_encoded_is_what_is_decoded(tree: SpanTree) -> None:
    came = decoded_spans(encode_tree(tree))

    for span, wire in zip(tree.spans, came, strict=True):
        assert wire.trace_id == f"{tree.trace_id:032x}"
        assert wire.span_id == f"{span.span_id:016x}"
        assert wire.parent_id == (f"{span.parent_id:016x}" if span.parent_id else "")
        assert (wire.name, wire.kind) == (span.name, span.kind.name)
        assert (wire.start_ns, wire.end_ns) == (span.start_ns, span.end_ns)
        said: dict[str, AttributeValue] = dict(span.all_attributes)
        if span.error_type:
            said["error.type"] = span.error_type
        assert wire.attributes == said
        assert [type(it) for it in wire.attributes.values()] == [type(it) for it in said.values()]
        assert wire.is_error is bool(span.error_type)
        assert wire.message == (span.message if span.error_type else "")
        assert list(wire.links) == [(f"{t:032x}", f"{s:016x}") for t, s in span.links]
        assert wire.tracestate == tree.tracestate


@given(st.lists(trees(), max_size=5))
def test_encoded_traces_joined_are_a_request(made: list[SpanTree]) -> None:
    envelope = Envelope({"service.name": "a", "n": 1, "l": ["x", "y"]}, schema_url="u", version="1")
    request = envelope.request(map(encode_tree, made))

    came = decoded(request)
    assert len(came) == sum(len(tree.spans) for tree in made)
    assert traces_of(came).keys() == {f"{tree.trace_id:032x}" for tree in made}


@given(st.binary(max_size=20_000))
def test_a_length_of_any_size_is_framed(payload: bytes) -> None:
    field = framed(b"\x0a", payload)
    head = field[1 : len(field) - len(payload)]

    assert field.endswith(payload)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head)) == len(payload)
    assert all(byte & 0x80 for byte in head[:-1])
    assert not head[-1] & 0x80


@given(st.text(max_size=400))
def test_a_text_is_at_most_256_bytes_of_utf_8(text: str) -> None:
    assert len(clean(text).encode()) <= VALUE_BYTES


def test_what_looks_like_a_token_is_masked_before_it_is_cut() -> None:
    token = "ghp_" + "a1B2" * 10

    assert clean("x" * 230 + " " + token) == "x" * 230 + " ***"


def test_an_answer_in_pieces_is_read_whole() -> None:
    body = PARTIAL_SUCCESS

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"request")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:3])
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(body[3:])
        await writer.drain()
        writer.close()

    async def scene() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        otlp = read_environment({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
        assert otlp is not None
        collector = OtlpClient(otlp, None, user_agent="a")
        async with server:
            reply = await collector.send(b"request")
            await collector.close()
        assert (reply.rejected_spans, reply.detail) == (2, "no")

    asyncio.run(scene())
