"""Log lines for a machine or a person: one line each, no secret, no control character."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO, cast

import msgspec

from operators.model.masking import MASK, names_a_secret, redacted_text

FIELD_CHARACTERS = 1000
"""As much of one field as a line carries."""
FIELD_ENTRIES = 100
"""As many entries of a mapping as a field shows."""
FIELD_DEPTH = 3

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Also what turns the direction of text, so that a line reads as it was written."""
_UNESCAPED_BY_JSON = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_BARE = re.compile(r"[^\s=\"\\]+")
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(*, json_lines: bool, stream: TextIO, level: str = "INFO") -> None:
    """Send all log lines to a stream, in the place of whatever was configured before.

    Raises ``ValueError`` for a level that logging does not know; writing a line never raises.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if json_lines else PlainFormatter())
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers = [handler]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, then the line's own fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record; a field never takes the place of the first four."""
        first: dict[str, object] = {
            "ts": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        line = msgspec.json.encode(first | fields_of(record) | first).decode()
        return _UNESCAPED_BY_JSON.sub(" ", line)


class PlainFormatter(logging.Formatter):
    """One readable line: time, level, logger, message, then ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        said = _CONTROL.sub(" ", _message(record))
        fields = "".join(f" {key}={_quoted(value)}" for key, value in fields_of(record).items())
        return f"{_moment(record)} {record.levelname:<7} {record.name}: {said}{fields}"


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What a line says beside its message, redacted and clipped; an exception is its text."""
    said: dict[object, object] = {
        key: value for key, value in vars(record).items() if key not in _OWN
    }
    fields = _fields(said, depth=FIELD_DEPTH)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields["error"] = _clean(f"{type(error).__name__}: {_text(error)}")
        # The end of it tells where it was raised.
        fields["traceback"] = redacted_text(_trace(error))[-FIELD_CHARACTERS:]
    return fields


def _fields(said: Mapping[object, object], *, depth: int) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in said.items():
        if len(fields) == FIELD_ENTRIES:
            break
        name = _clean(_text(key))
        fields[name] = MASK if names_a_secret(name) else _value(value, depth=depth)
    return fields


def _value(value: object, *, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, object]", value)
        return _fields(entries, depth=depth - 1) if depth else "..."
    return _clean(_text(value))


def _message(record: logging.LogRecord) -> str:
    try:
        said = record.getMessage()
    except Exception:  # noqa: BLE001  a wrong format string is no reason to lose the line
        said = _text(record.msg)
    return _clean(said)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001  whatever it raises, the line is written
        return f"<{type(value).__name__}>"
    # Half of a pair of surrogates has no place in UTF-8.
    return text.encode("utf-8", "replace").decode()


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__))


def _clean(text: str) -> str:
    # Redacted first: of a token cut in two, the half that stays would not be recognised.
    return redacted_text(text)[:FIELD_CHARACTERS]


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        value = msgspec.json.encode(value).decode()
    text = _CONTROL.sub(" ", str(value))
    return text if _BARE.fullmatch(text) else msgspec.json.encode(text).decode()


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
