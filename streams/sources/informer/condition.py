"""What stands in the way of an informer, and what it has been through."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


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


OUTDATED = frozenset({Fault.EXPIRED, Fault.INVALID, Fault.VERSION_TOO_LARGE})
"""What the server says of a version or a token it cannot serve from."""

_BY_STATUS = {
    400: Fault.INVALID,
    401: Fault.UNAUTHORIZED,
    403: Fault.FORBIDDEN,
    404: Fault.KIND_MISSING,
    406: Fault.INVALID,
    410: Fault.EXPIRED,
    422: Fault.INVALID,
    429: Fault.TOO_MANY_REQUESTS,
}


def fault_of(code: int, *, reason: str, message: str) -> Fault:
    """Classify a Status: by reason and text first, for a gateway may have changed the code.

    "Too large resource version" comes as 504 with reason Timeout (apiserver, storage/errors.go); a 504
    without it is a server in trouble.
    """
    if reason in {"Expired", "Gone"}:
        return Fault.EXPIRED
    if "Too large resource version" in message:
        return Fault.VERSION_TOO_LARGE
    return _BY_STATUS.get(code, Fault.SERVER_ERROR)


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
    """Watches opened, by what came before: listed, ended, cut, idle, failed."""
    relists: Counter[str] = field(default_factory=Counter[str])
    """Lists begun, by cause: first, or the value of a ``Fault``."""
    failures: Counter[str] = field(default_factory=Counter[str])
    """Requests and watches that came to nothing, by ``Fault``."""
    overlong_lines: int = 0
    last_activity_ns: int = 0
    """When the server was last heard, bookmarks included (monotonic)."""
    version: str = ""
    """The version up to which everything was told."""
