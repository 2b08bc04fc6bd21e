"""When a write is tried again, and when its object is held to be at fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LONGEST_SECONDS = 30.0
RETRY_AFTER_LONGEST_SECONDS = 300.0
"""A server that asks for more is asked again after five minutes all the same."""
FAILURES_AT_FAULT = 8
"""So many failures while other writes succeeded, and the fault is the object's."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How long an event waits while no write succeeds."""

    first_seconds: float
    """The first wait; each is twice as long as the one before, up to 30 s."""
    attempts: int | None = None
    """After so many it is given up; ``None`` is without limit."""


SUBJECTS = Retry(0.5)
"""The newest state of a subject is always worth writing."""
OCCURRENCES = Retry(2.0, attempts=8)
"""Two minutes, if each wait is at its longest (``errorHandling.retry``): behind an occurrence others wait for room."""


class Tries:
    """The failures of one event's write.

    A failure counts against the object only if another write succeeded since the one before: while none succeeds,
    the server is at fault, and the event waits as long as ``retry`` allows.
    """

    __slots__ = ("_at_fault", "_failures", "_random", "_retry", "_successes")

    def __init__(
        self, successes: int, *, random: Callable[[], float], retry: Retry = SUBJECTS
    ) -> None:
        self._successes = successes
        self._random = random
        self._retry = retry
        self._failures = 0
        self._at_fault = 0

    def failed(self, successes: int) -> None:
        """Count a failure; ``successes`` is the sink's count of writes that succeeded so far."""
        self._failures += 1
        if successes > self._successes:
            self._at_fault += 1
        self._successes = successes

    @property
    def over(self) -> bool:
        """Whether the event has to be given up: its object is at fault, or it was tried often enough."""
        attempts = self._retry.attempts
        return self._at_fault >= FAILURES_AT_FAULT or (
            attempts is not None and self._failures >= attempts
        )

    def wait_seconds(self, retry_after_seconds: float | None) -> float:
        """How long to wait: what the server asked for, else twice as long as before up to 30 s, half of it jitter."""
        if retry_after_seconds is not None:
            return min(retry_after_seconds, RETRY_AFTER_LONGEST_SECONDS) + self._random()
        full = min(self._retry.first_seconds * 2.0 ** min(self._failures - 1, 10), LONGEST_SECONDS)
        return full / 2 + self._random() * full / 2
