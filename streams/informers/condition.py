"""What stands in the way of an informer, and what it has been through."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

_EXPIRED = 410
_BY_STATUS = {
    400: "Invalid",
    401: "Unauthorized",
    403: "Forbidden",
    404: "KindMissing",
    406: "Invalid",
    422: "Invalid",
    429: "TooManyRequests",
    504: "VersionTooLarge",
}


class Fault(StrEnum):
    """Why a request, or a watch, came to nothing."""

    EXPIRED = "Expired"
    VERSION_TOO_LARGE = "VersionTooLarge"
    """The server is behind what was already seen."""
    INVALID = "Invalid"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    KIND_MISSING = "KindMissing"
    TOO_MANY_REQUESTS = "TooManyRequests"
    SERVER_ERROR = "ServerError"
    UNREACHABLE = "Unreachable"
    UNREADABLE = "Unreadable"
    SHORT_WATCH = "ShortWatch"
    """A watch that ended within a second and brought nothing."""


def fault_of(code: int, *, reason: str, message: str) -> Fault:
    """Classify a Status: code first, reason and text where a gateway changed the code."""
    if code == _EXPIRED or reason in {"Expired", "Gone"}:
        return Fault.EXPIRED
    if "Too large resource version" in message:
        return Fault.VERSION_TOO_LARGE
    return Fault(_BY_STATUS.get(code, "ServerError"))


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong now, and since when (monotonic nanoseconds)."""

    reason: str
    message: str
    since_ns: int


@dataclass(slots=True)
class Statistics:
    """What an informer did: for metrics, read at scrape time. Keys come from small closed sets."""

    connects: Counter[str] = field(default_factory=Counter[str])
    """Watches opened, by what came before: listed, ended, idle, failed."""
    relists: Counter[str] = field(default_factory=Counter[str])
    """Lists begun, by cause: first, or the value of a ``Fault``."""
    failures: Counter[str] = field(default_factory=Counter[str])
    """Requests and watches that came to nothing, by ``Fault``."""
    overlong_lines: int = 0
    last_activity_ns: int = 0
    """When the server was last heard, bookmarks included (monotonic)."""
    version: str = ""
    """The version up to which everything was told."""
