"""What the API server answered, and what its Status says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

from operators.model.masking import redacted_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MESSAGE_CHARACTERS = 300
"""As much of an answer as a log line or a condition can carry."""

UNDECODABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What decoding raises: of bytes that are no UTF-8 a ``UnicodeDecodeError``, of a deep nest a ``RecursionError``."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


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
class Answer:
    """One complete answer, of whatever status; ``headers`` are read without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    waited_seconds: float = 0.0
    """How long the request waited for the client's own rate limit."""

    @property
    def retry_after_seconds(self) -> float | None:
        """When to come again, in seconds; None if the server did not say.

        A date is read against the answer's own ``Date``, so the clocks need not agree.
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
        """What the Status says, else the first characters of the body; one line, at most 300, secrets masked."""
        text = self._status().message or self.body[: 4 * MESSAGE_CHARACTERS].decode(
            "utf-8", "replace"
        )
        return redacted_text(_CONTROL.sub(" ", text).strip())[:MESSAGE_CHARACTERS]

    @property
    def causes(self) -> tuple[str, ...]:
        """The reasons among the causes of the Status."""
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
