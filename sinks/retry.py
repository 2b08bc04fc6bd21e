"""When a write is tried again, and when its object is held to be at fault."""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
RETRY_AFTER_LONGEST_SECONDS = 300.0
"""A server that asks for more is asked again after five minutes all the same."""
FAILURES_AT_FAULT = 8
"""So many failures while other writes succeeded, and the fault is the object's."""


class Tries:
    """The failures of one event's write.

    A failure counts against the object only if another write succeeded since the one before: while none succeeds,
    the server is at fault, and a subject waits without limit.
    """

    __slots__ = ("_at_fault", "_failures", "_random", "_successes")

    def __init__(self, successes: int, *, random: Callable[[], float]) -> None:
        self._successes = successes
        self._random = random
        self._failures = 0
        self._at_fault = 0

    def failed(self, successes: int) -> None:
        """Count a failure; ``successes`` is the sink's count of writes that succeeded so far."""
        self._failures += 1
        if successes > self._successes:
            self._at_fault += 1
        self._successes = successes

    @property
    def at_fault(self) -> bool:
        """Whether the object has to be given up."""
        return self._at_fault >= FAILURES_AT_FAULT

    def wait_seconds(self, retry_after_seconds: float | None) -> float:
        """How long to wait: what the server asked for, else 0.5 s doubling to 30 s, with half of it jitter."""
        if retry_after_seconds is not None:
            return min(retry_after_seconds, RETRY_AFTER_LONGEST_SECONDS) + self._random()
        full = min(FIRST_SECONDS * 2.0 ** min(self._failures - 1, 10), LONGEST_SECONDS)
        return full / 2 + self._random() * full / 2
