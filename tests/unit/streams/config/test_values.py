from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.config.values import check_field_selector, check_label_selector


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "a=b",
        "a==b",
        "a = b",
        "a!=b",
        "a=",
        "a",
        "!a",
        "! a",
        "app.kubernetes.io/name=x",
        "a in (b,c)",
        "a in (b, c),d notin (e)",
        "a in(b)",
        "a in ()",
        "a in (b,,c)",
        "a>1",
        "a < -2",
        "in=in,notin",
        "a=b,!c , d",
    ],
)
def test_what_the_server_takes_is_taken(text: str) -> None:
    assert check_label_selector(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "a=b,",
        ",a",
        "a b",
        "a=b c",
        "=b",
        "a===b",
        "a in b",
        "a in (b",
        "a in b)",
        "a in (b=c)",
        "a notin",
        "!a=b",
        "a>x",
        "-a=b",
        "a=-b",
        "a/b/c=d",
        "A.B/c=d",
        "/a=b",
        "a=" + "x" * 64,
        "x" * 64,
        "a;b",
    ],
)
def test_what_the_server_refuses_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="label"):
        check_label_selector(text)


def test_a_long_selector_is_judged_quickly() -> None:
    with pytest.raises(ValueError, match="label"):
        check_label_selector("," * 1_000_000)
    assert check_label_selector("a," * 100_000 + "a")


@given(st.text(alphabet="ab=!<>(),/. in-"))
def test_no_label_selector_does_worse_than_being_refused(text: str) -> None:
    with suppress(ValueError):
        assert check_label_selector(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "metadata.name=a",
        "a!=b",
        "a==b,c=d",
        "a=",
        "a=b\\,c",
        "a=b\\=c",
        "a=b\\\\",
        "a=b,,c=d",
        "metadata.name=b\\\\,metadata.namespace=d",
    ],
)
def test_a_field_selector_is_taken(text: str) -> None:
    assert check_field_selector(text) == text


@pytest.mark.parametrize(
    "text", ["a", "=b", "a=b=c", "a=b\\c", "a=b\\", "a=b,c=d\\", "a=b\\\\\\,c=d", "!a", "a in (b)"]
)
def test_what_is_no_field_selector_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="field requirements"):
        check_field_selector(text)


def test_a_long_field_selector_is_judged_quickly() -> None:
    assert check_field_selector("a=b\\\\," * 100_000)
    with pytest.raises(ValueError, match="field requirements"):
        check_field_selector("\\" * 1_000_001)
