"""A response of the API server, and the Status in it."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from operators.model.content import redacted_text
from operators.model.text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MESSAGE_CHARACTERS = 300
"""As much of a response as a log line or a condition carries."""

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises: ``UnicodeDecodeError`` for bytes that are not UTF-8, ``RecursionError`` for deep nesting."""


class _Status(msgspec.Struct):
    kind: str = ""
    reason: str | None = None
    message: str | None = None


class _Cause(msgspec.Struct):
    reason: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class _Detailed(msgspec.Struct):
    details: _Details | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """One complete response of any status; the lookup in ``headers`` ignores case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    waited_seconds: float = 0.0
    """How long the request waited for the client's own rate limit."""

    @property
    def retry_after_seconds(self) -> float | None:
        """The ``Retry-After`` in seconds (RFC 9110, 10.2.3); None where there is none that can be read.

        A date is compared with the response's own ``Date``, so the clocks need not agree.
        """
        text = self.headers.get("Retry-After", "").strip()
        if text.isascii() and text.isdigit():
            return float(text)
        at, now = _date(text), _date(self.headers.get("Date", ""))
        return None if at is None or now is None else max(0.0, (at - now).total_seconds())

    @property
    def reason(self) -> str:
        """The machine-readable reason of the Status, or an empty text."""
        return self._status().reason or ""

    @property
    def message(self) -> str:
        """The message of the Status, else the start of the body: one line, at most 300 characters, secrets masked."""
        text = self._status().message or self.body[: 4 * MESSAGE_CHARACTERS].decode(
            "utf-8", "replace"
        )
        # Masked before it is cut: half a token would not be recognised.
        return redacted_text(one_line(text))[:MESSAGE_CHARACTERS]

    @property
    def causes(self) -> tuple[str, ...]:
        """The reasons of the causes in the Status' details."""
        try:
            details = msgspec.json.decode(self.body, type=_Detailed).details
        except UNDECODABLE:
            return ()
        return tuple(cause.reason for cause in (details.causes or ())) if details else ()

    def _status(self) -> _Status:
        try:
            status = msgspec.json.decode(self.body, type=_Status)
        except UNDECODABLE:
            return _Status()
        return status if status.kind == "Status" else _Status()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo is not None else None
