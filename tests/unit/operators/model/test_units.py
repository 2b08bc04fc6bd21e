from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.model.units import MAX_BYTES, duration_seconds, quantity_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("0s", 0),
        ("30s", 30),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5m", 30),
        ("7d", 604800),
        ("1d12h", 129600),
        ("250ms", 0.25),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("10\N{GREEK SMALL LETTER MU}s", 1e-5),
    ],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-1s",
        "1 h",
        "1h 30m",
        "1w",
        "abc",
        "1hx",
        "\N{ARABIC-INDIC DIGIT ONE}s",
        "1h\n",
        "9" * 400 + "h",
        "293y",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration"):
        duration_seconds(text)


def test_a_duration_longer_than_go_can_hold_is_refused() -> None:
    assert duration_seconds("106751d") == 106_751 * 86_400
    with pytest.raises(ValueError, match="at most 292 years"):
        duration_seconds("106752d")


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        (1, 1),
        (1_000_000, 1_000_000),
        ("64Mi", 67_108_864),
        ("1.5Gi", 1_610_612_736),
        ("500k", 500_000),
        ("1e6", 1_000_000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1500m", 2),
        ("1n", 1),
        ("+5", 5),
        ("12e-1", 2),
    ],
)
def test_a_quantity_is_read(quantity: int | str, size: int) -> None:
    assert quantity_bytes(quantity) == size


@pytest.mark.parametrize(
    "quantity",
    ["", "0", 0, -1, "-1", "64 Mi", "64MB", "64mi", "Mi", "1e", "8Ei", "1e99", "1e9999999999", "x"],
)
def test_what_is_no_quantity_of_bytes_is_refused(quantity: int | str) -> None:
    with pytest.raises(ValueError, match="a quantity"):
        quantity_bytes(quantity)


@given(st.text(max_size=300) | st.from_regex(r"[0-9.]{0,9}([KMGTPEkmun]i?|e[-+]?[0-9]{0,30})?"))
def test_a_quantity_is_bounded_or_refused(text: str) -> None:
    try:
        size = quantity_bytes(text)
    except ValueError:
        return
    assert 1 <= size <= MAX_BYTES
