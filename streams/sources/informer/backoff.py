"""How long to wait after a failure."""

from __future__ import annotations

from collections.abc import Callable

from operators.flow.clock import NANOSECONDS_PER_SECOND

INITIAL_SECONDS = 0.8
CAP_SECONDS = 30.0
RESET_SECONDS = 120.0
RETRY_AFTER_CAP_SECONDS = 600.0
"""A server that says "come back tomorrow" is asked sooner."""


class Backoff:
    """From 0.8 s, doubled to 30 s, each wait spread over once to twice of that; anew after two quiet minutes.

    At most seven failures in the first minute (client-go, reflector.go). ``random`` gives [0, 1).
    """

    __slots__ = ("_failed_at_ns", "_random", "_seconds")

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._seconds = INITIAL_SECONDS
        self._failed_at_ns: int | None = None

    def next_ns(
        self, now_ns: int, *, cap_seconds: float = CAP_SECONDS, asked_seconds: float = 0.0
    ) -> int:
        """Note a failure; return the nanoseconds to wait: less than twice the cap, unless the server asked for more."""
        if self._is_quiet(now_ns):
            self._seconds = INITIAL_SECONDS
        self._failed_at_ns = now_ns
        seconds = min(self._seconds, cap_seconds)
        self._seconds = min(seconds * 2, CAP_SECONDS)
        asked_seconds = min(asked_seconds, RETRY_AFTER_CAP_SECONDS)
        return int(max(seconds * (1 + self._random()), asked_seconds) * NANOSECONDS_PER_SECOND)

    def _is_quiet(self, now_ns: int) -> bool:
        if self._failed_at_ns is None:
            return True
        return now_ns - self._failed_at_ns > RESET_SECONDS * NANOSECONDS_PER_SECOND
