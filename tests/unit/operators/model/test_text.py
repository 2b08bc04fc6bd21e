from __future__ import annotations

import pytest

from operators.model.text import one_line

REVERSED, ISOLATED = "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{FIRST STRONG ISOLATE}"


@pytest.mark.parametrize(
    "control",
    [*"\n\t\x00\x1b\x7f\x85\x9f\u2028\u2029\u2069", "\r\n", REVERSED, ISOLATED],
)
def test_a_run_of_control_characters_becomes_one_space(control: str) -> None:
    assert one_line(f"a{control}b{control}{control}c") == "a b c"


def test_both_ends_are_stripped() -> None:
    assert one_line("\n a b\x00\n ") == "a b"


def test_other_characters_and_spaces_stay() -> None:
    text = "\u00a0é  漢\u200d\N{NO-BREAK SPACE}ß \N{GRINNING FACE}!"

    assert one_line(f"x{text}") == f"x{text}"
