"""What the API server answered, and what its Status says about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MESSAGE_CHARACTERS = 300
"""As much of an answer as a log line or a condition can carry."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class _Status(msgspec.Struct):
    kind: str = ""
    reason: str | None = None
    message: str | None = None


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
        """What the Status says, else the first characters of the body; one line, at most 300."""
        text = self._status().message or self.body[: 4 * MESSAGE_CHARACTERS].decode(
            "utf-8", "replace"
        )
        return _CONTROL.sub(" ", text).strip()[:MESSAGE_CHARACTERS]

    def _status(self) -> _Status:
        try:
            status = msgspec.json.decode(self.body, type=_Status)
        except msgspec.DecodeError:
            return _Status()
        return status if status.kind == "Status" else _Status()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo is not None else None
