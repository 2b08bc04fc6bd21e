from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.config.tree import (
    MAX_DEPTH,
    MAX_VALUES,
    Document,
    Scalar,
    documents,
    json_as_yaml,
    scalar,
)


def only(text: str) -> Document:
    (document,) = documents(text)
    return document


def problem(text: str) -> tuple[int, str]:
    (found,) = [problem for document in documents(text) for problem in document.problems]
    return found.line, found.message


def test_places_know_their_lines() -> None:
    document = only("# a comment\na:\n  b:\n  - c\n  -\n    d: 1\n'e': {f: x}\n")

    assert document.value == {"a": {"b": ["c", {"d": 1}]}, "e": {"f": "x"}}
    assert document.line == 2
    assert document.line_of(("a",)) == 2
    assert document.line_of(("a", "b")) == 3
    assert document.line_of(("a", "b", 0)) == 4
    assert document.line_of(("a", "b", 1, "d")) == 6
    assert document.line_of(("a", "b", 1, "missing", "deeper")) == 6
    assert document.line_of(("missing",)) == 2


def test_a_stream_has_documents() -> None:
    first, second = documents("a: 1\n---\n# nothing\nb: 2\n")

    assert (first.line, first.value) == (1, {"a": 1})
    assert (second.line, second.value) == (4, {"b": 2})


def test_quotes_and_tags_make_text() -> None:
    assert only("[1, '1', \"1\", !!str 1, ! 1, !!int '1', yes, 'yes']").value == [
        *(1, "1", "1", "1", "1"),
        *(1, True, "yes"),
    ]


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system [a]", "!foo 1", "!!binary aGk=", "!!set {a: }"]
)
def test_other_tags_are_errors(text: str) -> None:
    line, message = problem(f"a: b\nc: {text}\n")

    assert line == 2
    assert message.startswith("found the tag ")


def test_a_key_that_stands_twice_is_an_error_with_both_lines() -> None:
    assert problem("a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n") == (
        5,
        "found the key 'c' a second time; the first is in line 3",
    )


def test_aliases_and_merges_are_written_out() -> None:
    document = only(
        "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\none: {<<: *x, a: 5}\nboth: {<<: [*x, *y]}\n"
    )

    assert document.value == {
        "x": {"a": 1, "b": 2},
        "y": {"b": 3, "c": 4},
        "one": {"a": 5, "b": 2},
        "both": {"a": 1, "b": 2, "c": 4},
    }
    assert document.problems == []


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: *b", 1, "the alias *b has no anchor before it"),
        ("a: &a [*a]", 1, "the alias *a has no anchor before it"),
        ("---\na: &a 1\n---\nb: *a", 4, "the alias *a has no anchor before it"),
        ("a: 1\n<<: 5", 2, "found << with a value that is not a mapping"),
        ("a: 1\n? [b]\n: 1", 2, "found a key that is not text"),
        ("a: 1\n{b: 1}: 1", 2, "found a key that is not text"),
        ("a: 1\nb: [", 3, "not YAML: did not find expected node content"),
        ("a: 1\n\tb: 1", 2, "not YAML: found a tab character"),
        ("a: 1\nb: \x01", 2, "not YAML: unacceptable character #x0001"),
        ("a: 1\n- b", 2, "not YAML: did not find expected key"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_a_line(text: str, line: int, message: str) -> None:
    found_line, found = problem(text)

    assert (found_line, found[: len(message)]) == (line, message)


def test_what_stands_before_a_syntax_error_is_read() -> None:
    first, last = documents("a: 1\n---\nb: [\n")

    assert (first.value, first.problems) == ({"a": 1}, [])
    assert last.value is None
    assert last.problems


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]

    line, message = problem("\n".join(lines))

    assert line < 10
    assert message == f"more than {MAX_VALUES} values in one document"


@pytest.mark.parametrize(
    "text",
    [
        "[" * 900 + "]" * 900,
        "- " * 900,
        "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 200))]),
        "\n".join(["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{x: *a{n - 1}}}" for n in range(1, 200))]),
    ],
)
def test_depth_is_bounded_also_through_aliases(text: str) -> None:
    _, message = problem(text)

    assert message == f"nested deeper than {MAX_DEPTH} levels"


def test_json_has_tabs_and_pairs_of_surrogates() -> None:
    text = '{\n\t"a": "\\ud83d\\ude00",\n\t"b":\t"\\\\ud83d\\\\ude00"\n}'

    document = only(json_as_yaml(text))

    assert document.value == json.loads(text)
    assert document.line_of(("b",)) == 3


# YAML has no DEL, which JSON leaves as it is, and no half of a pair of surrogates.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x7f"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_every_json_text_reads_as_itself(value: object) -> None:
    document = only(json_as_yaml(json.dumps(value, indent="\t")))

    assert document.value == value
    assert document.problems == []


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
