"""Log lines, as JSON or as text: one line a record, secrets masked, no control characters."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO, cast

import msgspec

from operators.model.content import MASK, names_a_secret, redacted_text
from operators.model.text import CONTROL_CHARACTERS

FIELD_CHARACTERS = 1000
"""The longest text of a message or field; longer ones are cut."""
FIELD_ENTRIES = 100
"""The most fields of a line, and entries of a mapping in a field; further ones are left out."""
FIELD_DEPTH = 3
"""How many mappings may be nested in a field; deeper ones are written as ``...``."""

_BARE = re.compile(r"[^\s=\"\\]+")
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(*, json_lines: bool, stream: TextIO, level: str = "INFO") -> None:
    """Write all log lines to a stream; replaces the root logger's handlers.

    Raises ``ValueError`` for an unknown level. Writing a line never raises.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if json_lines else PlainFormatter())
    root = logging.getLogger()
    root.setLevel(level)
    root.handlers = [handler]


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, logger, message, then the fields given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record; an ``extra`` never replaces one of the first four fields."""
        first: dict[str, object] = {
            "ts": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        # `first` on the left for the order of the fields, on the right for their values.
        line = msgspec.json.encode(first | _fields_of(record) | first).decode()
        # JSON escapes the C0 controls, but none of the others.
        return CONTROL_CHARACTERS.sub(" ", line)


class PlainFormatter(logging.Formatter):
    """One line of text: time, level, logger, message, then ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        message = CONTROL_CHARACTERS.sub(" ", _message(record))
        fields = "".join(f" {key}={_quoted(value)}" for key, value in _fields_of(record).items())
        return f"{_moment(record)} {record.levelname:<7} {record.name}: {message}{fields}"


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields of a record, masked and cut; an exception becomes ``error`` and ``traceback``."""
    extra: dict[object, object] = {
        key: value for key, value in vars(record).items() if key not in _RECORD_ATTRIBUTES
    }
    fields = _fields(extra, depth=FIELD_DEPTH)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        fields["error"] = _clean(f"{type(error).__name__}: {_text(error)}")
        # Cut at its beginning: the end names the line that raised.
        fields["traceback"] = redacted_text(_trace(error))[-FIELD_CHARACTERS:]
    return fields


def _fields(values: Mapping[object, object], *, depth: int) -> dict[str, object]:
    fields: dict[str, object] = {}
    for key, value in values.items():
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
        message = record.getMessage()
    except Exception:  # noqa: BLE001  a wrong format string does not lose the line
        message = _text(record.msg)
    return _clean(message)


def _text(value: object) -> str:
    try:
        text = str(value)
    except Exception:  # noqa: BLE001  a value that cannot be written does not lose the line
        return f"<{type(value).__name__}>"
    # A lone surrogate cannot be encoded in UTF-8.
    return text.encode("utf-8", "replace").decode()


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_tb(error.__traceback__))


def _clean(text: str) -> str:
    # Masked before it is cut: half a token would not match a token's pattern.
    return redacted_text(text)[:FIELD_CHARACTERS]


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        value = msgspec.json.encode(value).decode()
    text = CONTROL_CHARACTERS.sub(" ", str(value))
    return text if _BARE.fullmatch(text) else msgspec.json.encode(text).decode()


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
