"""The two clocks of the pipeline; both come in through parameters, so that a test can hold them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

Clock = Callable[[], int]
"""Monotonic nanoseconds (``time.monotonic_ns``): for durations, rates and waits, never for a date."""

WallClock = Callable[[], datetime]
"""The time of day in UTC: for what is written down, never for a duration."""


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """Let it not come."""
        ...


CallLater = Callable[[float, Callable[[], object]], Timer]
"""Calls back after so many seconds: an event loop's ``call_later``."""

NANOSECONDS_PER_SECOND = 1_000_000_000
_SECONDS_CHARACTERS = len("2006-01-02T15:04:05")
_MICRO_CHARACTERS = len("2006-01-02T15:04:05.000000")


def utc_now() -> datetime:
    """Say what time it is, in UTC."""
    return datetime.now(UTC)


def utc_now_ns() -> int:
    """Say what time it is, in nanoseconds since 1970."""
    return time.time_ns()  # noqa: TID251  where a trace's clock is anchored


def timestamp(moment: datetime) -> str:
    """Write a moment as Kubernetes does: RFC 3339, whole seconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:_SECONDS_CHARACTERS] + "Z"


def micro_timestamp(moment: datetime) -> str:
    """Write a moment as Kubernetes' MicroTime: RFC 3339, microseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:_MICRO_CHARACTERS] + "Z"
