"""When a write is tried again, and when its object is considered at fault."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field

from operators.flow.backoff import Backoff, BackoffSettings, Jitter
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.spec import Spec
from operators.model.units import duration_seconds

SHORTEST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
DEFAULT_FIRST_WAIT_SECONDS = 2.0
RETRY_AFTER_LONGEST_SECONDS = 300.0
"""A server that requests a longer pause is tried again after five minutes all the same."""
FAILURES_AT_FAULT = 8
"""So many failures while other writes succeeded, and the object is at fault, not the server."""


class Retry(Spec):
    """How often, and after which waits, the write of an occurrence is tried again."""

    max_attempts: int = Field(default=3, description="Attempts in total, the first included.")
    backoff: str = Field(
        default="exponential",
        description="How the waits grow; each is twice as long as the one before, whatever is set.",
    )
    backoff_base: str = Field(
        default="1s", description="The first wait, from 500ms to 30s.", examples=["2s"]
    )

    @property
    def attempts(self) -> int:
        """Attempts in all, at least one."""
        return max(self.max_attempts, 1)

    @property
    def first_wait_seconds(self) -> float:
        """The first wait, ``backoff_base`` within 0.5 s to 30 s; 2 s where that is no duration.

        Each wait is twice as long as the one before, up to 30 s.
        """
        try:
            seconds = duration_seconds(self.backoff_base)
        except ValueError:
            return DEFAULT_FIRST_WAIT_SECONDS
        return min(max(seconds, SHORTEST_SECONDS), LONGEST_SECONDS)


OCCURRENCES = Retry(max_attempts=8, backoff_base="2s")
"""Two minutes, if each wait is at its longest (``errorHandling.retry``): behind an occurrence others wait for room."""


class Tries:
    """The failed attempts of one event's write.

    A failure counts against the object only if another write succeeded since the one before: while none succeeds, the
    server is at fault, and the event waits as long as ``retry`` allows: without limit where it is None, for the newest
    state of a subject is always worth writing.
    """

    __slots__ = ("_at_fault", "_attempts", "_backoff", "_failures", "_successes")

    def __init__(
        self, successes: int, *, random: Callable[[], float], retry: Retry | None = None
    ) -> None:
        self._successes = successes
        self._attempts = retry.attempts if retry is not None else None
        self._failures = 0
        self._at_fault = 0
        settings = BackoffSettings(
            retry.first_wait_seconds if retry is not None else SHORTEST_SECONDS,
            LONGEST_SECONDS,
            jitter=Jitter.HALF_TO_ONCE,
            retry_after_cap_seconds=RETRY_AFTER_LONGEST_SECONDS,
            retry_after_jitter_seconds=1.0,
            retry_after_replaces=True,
        )
        self._backoff = Backoff(settings, random=random)

    def record_failure(self, successes: int) -> None:
        """Count a failure; ``successes`` is the queue's count of writes that succeeded so far."""
        self._failures += 1
        if successes > self._successes:
            self._at_fault += 1
        self._successes = successes

    @property
    def exhausted(self) -> bool:
        """Whether the event is to be given up: its object is at fault, or it was tried often enough."""
        return self._at_fault >= FAILURES_AT_FAULT or (
            self._attempts is not None and self._failures >= self._attempts
        )

    def wait_seconds(self, now_ns: int, *, retry_after_seconds: float | None) -> float:
        """Return the seconds to wait: what the server requested, else twice the last up to 30 s, half of it jitter."""
        wait_ns = self._backoff.next_ns(now_ns, retry_after_seconds=retry_after_seconds)
        return wait_ns / NANOSECONDS_PER_SECOND
