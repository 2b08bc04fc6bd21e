"""The two clocks of the pipeline; both come in through parameters, so that tests can control them."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

Clock = Callable[[], int]
"""Monotonic nanoseconds (``time.monotonic_ns``): for durations, rates and waits, never for a date."""

WallClock = Callable[[], datetime]
"""The time of day in UTC: for what is stored, never for a duration."""


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""
        ...


CallLater = Callable[[float, Callable[[], object]], Timer]
"""Calls back after so many seconds: an event loop's ``call_later``."""

NANOSECONDS_PER_SECOND = 1_000_000_000

# Both make no Python call: they are read for every event.
utc_now: WallClock = partial(datetime.now, UTC)
"""The time of day, in UTC."""
utc_now_ns: Clock = time.time_ns  # noqa: TID251  where a trace's clock is anchored
"""The time of day, in nanoseconds since 1970."""
