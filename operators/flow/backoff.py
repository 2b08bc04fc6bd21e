"""Exponential backoff: how long to wait after a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from operators.flow.clock import NANOSECONDS_PER_SECOND

FACTOR: Final = 2.0
"""Each wait is twice as long as the one before, until the cap."""


class Jitter(Enum):
    """The range a wait is spread over, as factors of the exponential wait: ``(least, most)``, ``most`` excluded."""

    ONCE_TO_TWICE = (1.0, 2.0)
    """client-go, ``wait.Jitter(duration, 1.0)``: no wait is shorter than the exponential one."""
    HALF_TO_ONCE = (0.5, 1.0)
    """"Equal jitter": no wait is longer than the exponential one."""
    AROUND = (0.5, 1.5)
    """The mean wait is the exponential one."""

    def spread(self, seconds: float, share: float) -> float:
        """Place a wait in this range; ``share`` is a random number in [0, 1)."""
        least, most = self.value
        return seconds * (least + (most - least) * share)


@dataclass(frozen=True, slots=True)
class BackoffSettings:
    """The waits after failures in a row.

    ``initial_seconds`` is the first wait before jitter, ``cap_seconds`` the longest before jitter, so that a server
    that is back after a long outage is noticed within the cap (twice the cap with ``Jitter.ONCE_TO_TWICE``).
    """

    initial_seconds: float
    cap_seconds: float
    jitter: Jitter = Jitter.ONCE_TO_TWICE
    reset_after_seconds: float | None = None
    """A failure this long after the previous one starts at ``initial_seconds`` again; ``None``: never."""
    retry_after_cap_seconds: float = 600.0
    """The longest ``Retry-After`` that is honoured (RFC 9110, 10.2.3 sets no limit)."""
    retry_after_jitter_seconds: float = 0.0
    """Up to this much is added to a ``Retry-After``, so that clients rejected together do not return together."""
    retry_after_replaces: bool = False
    """Whether ``Retry-After`` is the wait even where the exponential wait is longer; if not, the longer counts."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for a wait of nothing (a busy loop) or a cap below the first wait."""
        if not 0 < self.initial_seconds <= self.cap_seconds:
            raise ValueError(
                f"initial_seconds {self.initial_seconds} must be positive"
                f" and at most cap_seconds {self.cap_seconds}"
            )


class Backoff:
    """The waits after the failures of one operation. ``random`` returns numbers in [0, 1)."""

    __slots__ = ("_failed_at_ns", "_random", "_seconds", "_settings")

    def __init__(self, settings: BackoffSettings, *, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random
        self._seconds = settings.initial_seconds
        self._failed_at_ns: int | None = None

    def next_ns(
        self,
        now_ns: int,
        *,
        retry_after_seconds: float | None = None,
        cap_seconds: float | None = None,
    ) -> int:
        """Record a failure at ``now_ns`` (monotonic clock) and return the nanoseconds to wait before the next attempt.

        ``retry_after_seconds`` is what the server's response requested. ``cap_seconds`` lowers the cap for this wait;
        the next one continues from there.
        """
        settings = self._settings
        if self._is_quiet(now_ns):
            self._seconds = settings.initial_seconds
        self._failed_at_ns = now_ns
        seconds = self._seconds if cap_seconds is None else min(self._seconds, cap_seconds)
        self._seconds = min(seconds * FACTOR, settings.cap_seconds)
        wait_seconds = self._with_retry_after(seconds, retry_after_seconds)
        return int(wait_seconds * NANOSECONDS_PER_SECOND)

    def _with_retry_after(self, seconds: float, retry_after_seconds: float | None) -> float:
        settings, share = self._settings, self._random()
        if retry_after_seconds is None:
            return settings.jitter.spread(seconds, share)
        requested = min(max(retry_after_seconds, 0.0), settings.retry_after_cap_seconds)
        requested += settings.retry_after_jitter_seconds * share
        if settings.retry_after_replaces:
            return requested
        return max(settings.jitter.spread(seconds, share), requested)

    def _is_quiet(self, now_ns: int) -> bool:
        reset_after_seconds = self._settings.reset_after_seconds
        if self._failed_at_ns is None or reset_after_seconds is None:
            return False
        return now_ns - self._failed_at_ns > reset_after_seconds * NANOSECONDS_PER_SECOND
