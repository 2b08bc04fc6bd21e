from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.sources.informer.lines import KEPT_BYTES, MAXIMUM_BYTES, Lines

TEXT = '{"größe":"€ 😀"}\n\n  \r\n{"b":2}\n{"c":"é"}\n'.encode()
WHOLE = ['{"größe":"€ 😀"}'.encode(), b'{"b":2}', '{"c":"é"}'.encode()]


@pytest.mark.parametrize("cut", range(len(TEXT) + 1))
def test_a_stream_cut_at_any_byte_gives_the_same_lines(cut: int) -> None:
    lines = Lines()

    assert [*lines.feed(TEXT[:cut]), *lines.feed(TEXT[cut:])] == WHOLE


@given(st.lists(st.binary(max_size=5), max_size=60))
def test_however_it_is_cut_only_the_bytes_count(chunks: list[bytes]) -> None:
    lines = Lines(maximum_bytes=1 << 20)
    told = [line for chunk in chunks for line in lines.feed(chunk)]

    *whole, _ = b"".join(chunks).split(b"\n")
    assert told == [line for line in whole if line and not line.isspace()]


def test_half_a_line_at_the_end_is_never_told() -> None:
    assert Lines().feed(b'{"a":1}\n{"b":') == [b'{"a":1}']


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000, 5000])
def test_a_line_that_is_too_long_is_cut_counted_and_the_next_is_whole(chunk_bytes: int) -> None:
    lines = Lines(maximum_bytes=3000)
    stream = b"x" * 4000 + b"\nok\n" + b"y" * 3000 + b"\n"
    told = [
        line
        for start in range(0, len(stream), chunk_bytes)
        for line in lines.feed(stream[start : start + chunk_bytes])
    ]

    assert told == [b"x" * KEPT_BYTES, b"ok", b"y" * 3000]
    assert (lines.take_overlong(), lines.take_overlong()) == (1, 0)


def test_a_line_without_an_end_takes_no_more_memory_than_the_limit() -> None:
    lines = Lines()
    chunk_bytes = 1 << 20
    tracemalloc.start()
    for _ in range(3 * MAXIMUM_BYTES // chunk_bytes):
        assert lines.feed(b"x" * chunk_bytes) == []
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 64 * KEPT_BYTES
