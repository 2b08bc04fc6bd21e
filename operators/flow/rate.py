"""Token bucket: how fast something may happen.

The generic cell rate algorithm (ITU-T I.371, virtual scheduling): the state is one number, the moment at which the
bucket is full again. In whole nanoseconds no rounding error accumulates, and a wait is exactly as long as announced.
"""

from __future__ import annotations

from typing import Final

from operators.flow.clock import NANOSECONDS_PER_SECOND

SLOWEST_PER_SECOND: Final = 1e-8
"""One token in three years; a slower rate would exceed the range of an event loop's timers."""


class TokenBucket:
    """Gains ``per_second`` tokens a second up to ``burst``; starts full.

    A rate of 0 counts as ``SLOWEST_PER_SECOND``; a burst of 0 never has a token. ``debt`` is how many tokens ``spend``
    may take beyond an empty bucket; what is spent beyond that is forgiven.
    Every method takes the time of a monotonic clock in nanoseconds, which must not decrease between calls.
    """

    __slots__ = ("_burst_ns", "_full_at_ns", "_least_ns", "_token_ns")

    def __init__(self, per_second: float, *, burst: int, now_ns: int, debt: int = 0) -> None:
        """Raise ``ValueError`` for a rate, burst or debt that is negative or not a number."""
        if not per_second >= 0 or burst < 0 or debt < 0:
            raise ValueError(
                f"rate {per_second}, burst {burst} and debt {debt} must not be negative"
            )
        self._token_ns = max(1, round(NANOSECONDS_PER_SECOND / max(per_second, SLOWEST_PER_SECOND)))
        self._burst_ns = burst * self._token_ns
        self._least_ns = (burst + debt) * self._token_ns
        self._full_at_ns = now_ns

    def has(self, now_ns: int, *, tokens: int = 1, spare: int = 0) -> bool:
        """Whether so many tokens are available, and ``spare`` more would be left."""
        return self.wait_ns(now_ns, tokens=tokens + spare) == 0

    def take(self, now_ns: int, *, tokens: int = 1) -> bool:
        """Take so many tokens if they are available; return whether they were taken."""
        if self.wait_ns(now_ns, tokens=tokens):
            return False
        self._full_at_ns = max(self._full_at_ns, now_ns) + tokens * self._token_ns
        return True

    def spend(self, now_ns: int, *, tokens: int = 1) -> None:
        """Take so many tokens whether or not they are available, down to the debt; a negative number returns tokens."""
        spent_ns = max(self._full_at_ns, now_ns) + tokens * self._token_ns
        self._full_at_ns = min(spent_ns, now_ns + self._least_ns)

    def wait_ns(self, now_ns: int, *, tokens: int = 1) -> int:
        """Return how long until so many tokens are available; more than ``burst`` never are, however long the wait."""
        return max(
            0, max(self._full_at_ns, now_ns) + tokens * self._token_ns - self._burst_ns - now_ns
        )
