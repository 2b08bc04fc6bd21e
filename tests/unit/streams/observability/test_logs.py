from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from streams.observability.logs import FIELD_CHARACTERS, FIELD_ENTRIES, configure

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"  # noqa: S105  made up
SECOND_OF_2024 = 1_704_067_200.0625

log = logging.getLogger("streams.test")


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, level = before[0], before[1]
    root.setLevel(level)


def lines(*, json_lines: bool, level: str = "INFO") -> io.StringIO:
    stream = io.StringIO()
    configure(json_lines=json_lines, stream=stream, level=level)
    return stream


def broken(error: Exception) -> None:
    raise error


def decoded(stream: io.StringIO) -> dict[str, Any]:
    return msgspec.json.decode(stream.getvalue())


def test_a_line_is_one_object_that_begins_with_time_level_logger_and_message() -> None:
    stream = lines(json_lines=True)
    record = log.makeRecord("streams.test", logging.WARNING, "f", 1, "%s of %s", (1, 2), None)
    record.created = SECOND_OF_2024

    log.handle(record)

    assert stream.getvalue() == (
        '{"ts":"2024-01-01T00:00:00.062Z","level":"WARNING","logger":"streams.test",'
        '"message":"1 of 2"}\n'
    )


def test_fields_keep_their_kind() -> None:
    stream = lines(json_lines=True)

    log.info("x", extra={"n": 3, "f": 0.5, "b": True, "none": None, "map": {"a": {"b": 1}}})

    said = decoded(stream)
    assert [said[key] for key in ("n", "f", "b", "none", "map")] == [
        3,
        0.5,
        True,
        None,
        {"a": {"b": 1}},
    ]


def test_a_field_never_takes_the_place_of_the_first_four() -> None:
    stream = lines(json_lines=True)

    log.info("x", extra={"level": "forged", "ts": "never", "logger": "nobody"})

    assert decoded(stream)["level"] == "INFO"
    assert decoded(stream)["logger"] == "streams.test"
    assert decoded(stream)["ts"] != "never"


@pytest.mark.parametrize("json_lines", [True, False])
def test_any_message_is_one_line_without_control_characters(*, json_lines: bool) -> None:
    stream = lines(json_lines=json_lines)

    log.info("a\nb\x1b[31m", extra={"k": "c\r\nd\x9b\u2028\u202e\x7f"})

    text = stream.getvalue()
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert not set(text[:-1]) & set("\r\x1b\x9b\u2028\u202e\x7f")


@pytest.mark.parametrize("json_lines", [True, False])
def test_secrets_are_masked_wherever_they_stand(*, json_lines: bool) -> None:
    stream = lines(json_lines=json_lines)

    try:
        broken(ValueError(TOKEN))
    except ValueError:
        log.exception(
            "with %s",
            TOKEN,
            extra={"said": TOKEN, "password": "hunter2", "in": {"token": "abc", "x": [TOKEN]}},
        )

    text = stream.getvalue()
    assert TOKEN[:20] not in text
    assert "hunter2" not in text
    assert "abc" not in text
    assert "***" in text


def test_of_a_token_that_lies_across_the_cut_nothing_stays() -> None:
    stream = lines(json_lines=True)

    log.info("x", extra={"said": "y" * (FIELD_CHARACTERS - 21) + " " + TOKEN})

    assert "eyJ" not in stream.getvalue()


def test_a_field_is_clipped_and_a_mapping_too() -> None:
    stream = lines(json_lines=True)

    log.info("m" * 5000, extra={"long": "y" * 5000, "wide": {str(n): n for n in range(5000)}})

    said = decoded(stream)
    assert [len(said[key]) for key in ("message", "long")] == [FIELD_CHARACTERS] * 2
    assert len(said["wide"]) == FIELD_ENTRIES


def test_a_mapping_that_holds_itself_ends() -> None:
    stream = lines(json_lines=True)
    endless: dict[str, Any] = {}
    endless["again"] = endless

    log.info("x", extra={"endless": endless})

    assert decoded(stream)["endless"] == {"again": {"again": {"again": "..."}}}


def test_an_exception_is_logged_with_the_line_that_raised_it() -> None:
    stream = lines(json_lines=True)

    try:
        broken(KeyError("gone"))
    except KeyError:
        log.exception("it failed")

    said = decoded(stream)
    assert said["error"] == "KeyError: 'gone'"
    assert "test_logs.py" in said["traceback"]


@pytest.mark.parametrize("json_lines", [True, False])
@pytest.mark.parametrize(
    ("message", "arguments", "fields"),
    [
        ("x", (), {"k": Unspeakable()}),
        ("%s", (Unspeakable(),), {}),
        ("%d", ("no number",), {}),
        ("%s %s", ("one",), {}),
        ("x", (), {"k": "\ud800"}),
        ("x", (), {"k": 2**200, "nan": float("nan"), "inf": float("inf")}),
        ("x", (), {"k": {Unspeakable(): b"\xff"}}),
    ],
)
def test_no_line_is_lost_and_nothing_is_raised(
    capsys: pytest.CaptureFixture[str],
    *,
    json_lines: bool,
    message: str,
    arguments: tuple[Any, ...],
    fields: dict[str, Any],
) -> None:
    stream = lines(json_lines=json_lines)

    log.warning(message, *arguments, extra=fields)

    assert stream.getvalue().count("\n") == 1
    assert "WARNING" in stream.getvalue()
    assert capsys.readouterr().err == ""


def test_a_person_reads_one_line_with_quotes_where_they_are_needed() -> None:
    stream = lines(json_lines=False)
    record = log.makeRecord(
        "streams.test", logging.INFO, "f", 1, "runs", (), None, extra={"n": 3, "why": 'a "b" c'}
    )
    record.created = SECOND_OF_2024

    log.handle(record)

    assert stream.getvalue() == (
        '2024-01-01T00:00:00.062Z INFO    streams.test: runs n=3 why="a \\"b\\" c"\n'
    )


def test_the_level_holds_back_what_is_below_it() -> None:
    stream = lines(json_lines=True, level="WARNING")

    log.info("quiet")

    assert stream.getvalue() == ""


def test_configuring_twice_writes_each_line_once() -> None:
    lines(json_lines=True)
    stream = lines(json_lines=True)

    log.info("once")

    assert stream.getvalue().count("\n") == 1
