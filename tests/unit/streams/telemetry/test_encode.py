from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.telemetry.encode import Envelope, encoded, framed
from streams.tracing.span import VALUE_BYTES, Span, SpanKind, SpanTree, Value, clean
from tests.kit.otlp import decoded, decoded_spans, traces_of

IDS = st.integers(1, (1 << 64) - 1)
TRACE_IDS = st.integers(1, (1 << 128) - 1)
NANOSECONDS = st.integers(0, (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
VALUES = st.one_of(
    TEXTS, st.booleans(), st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False)
)


@st.composite
def spans(draw: st.DrawFn) -> Span:
    keys = draw(st.lists(st.text("abc._", min_size=1, max_size=20), unique=True, max_size=6))
    attributes: list[tuple[str, Value]] = [(key, draw(VALUES)) for key in keys]
    return Span(
        draw(TEXTS),
        draw(st.sampled_from(SpanKind)),
        draw(IDS),
        draw(st.one_of(st.just(0), IDS)),
        draw(NANOSECONDS),
        draw(NANOSECONDS),
        attributes,
        draw(st.sampled_from(["", "503"])),
        draw(TEXTS),
        draw(st.lists(st.tuples(TRACE_IDS, IDS), max_size=3)),
    )


@given(TRACE_IDS, st.lists(spans(), min_size=1, max_size=4))
def test_what_is_encoded_is_what_is_decoded(trace_id: int, made: list[Span]) -> None:
    came = decoded_spans(encoded(SpanTree(trace_id, made, "ot=th:8")))

    for span, wire in zip(made, came, strict=True):
        assert wire.trace_id == f"{trace_id:032x}"
        assert wire.span_id == f"{span.span_id:016x}"
        assert wire.parent_id == (f"{span.parent_id:016x}" if span.parent_id else "")
        assert (wire.name, wire.kind) == (span.name, span.kind.name)
        assert (wire.start_ns, wire.end_ns) == (span.start_ns, span.end_ns)
        said = dict(span.attributes)
        if span.error_type:
            said["error.type"] = span.error_type
        assert wire.attributes == said
        assert [type(it) for it in wire.attributes.values()] == [type(it) for it in said.values()]
        assert wire.is_error is bool(span.error_type)
        assert wire.message == (span.message if span.error_type else "")
        assert list(wire.links) == [(f"{t:032x}", f"{s:016x}") for t, s in span.links]
        assert wire.tracestate == "ot=th:8"


@given(st.lists(st.tuples(TRACE_IDS, st.lists(spans(), min_size=1, max_size=3)), max_size=5))
def test_encoded_traces_joined_are_a_request(made: list[tuple[int, list[Span]]]) -> None:
    envelope = Envelope({"service.name": "a", "n": 1, "l": ["x", "y"]}, schema_url="u", version="1")
    request = envelope.request(encoded(SpanTree(trace_id, tree)) for trace_id, tree in made)

    came = decoded(request)
    assert len(came) == sum(len(tree) for _, tree in made)
    assert traces_of(came).keys() == {f"{trace_id:032x}" for trace_id, _ in made}


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
