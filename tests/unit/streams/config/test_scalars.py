from __future__ import annotations

import math

import pytest

from streams.config.scalars import Scalar, scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("yes", True),
        ("On", True),
        ("n", False),
        ("OFF", False),
        ("truE", "truE"),
        ("0", 0),
        ("12", 12),
        ("-12", -12),
        ("+12", 12),
        ("1_000", 1000),
        ("010", 8),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("08", 8),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000),
        ("8080.0", 8080),
        ("1e400", "1e400"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", 18446744073709551616),
        ("1e22", 1e22),
        ("9" * 5000, "9" * 5000),
        ("1:30", "1:30"),
        ("2026-11-24", "2026-11-24"),
        ("1.2.3", "1.2.3"),
        ("-", "-"),
        ("v1", "v1"),
        (".inf", math.inf),
        ("-.INF", -math.inf),
    ],
)
def test_a_bare_word_is_read_as_kubectl_reads_it(text: str, value: Scalar) -> None:
    found = scalar(text)

    assert found == value
    assert isinstance(found, bool) is isinstance(value, bool)


def test_what_is_no_number_is_not_a_number() -> None:
    found = scalar(".nan")

    assert isinstance(found, float)
    assert math.isnan(found)
