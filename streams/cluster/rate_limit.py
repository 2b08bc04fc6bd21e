"""The client's own rate limit, as client-go's flowcontrol has it, with its waits made visible."""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.flow.rate import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_RATE_PER_SECOND = 5.0
DEFAULT_BURST = 10
"""client-go, rest/config.go: DefaultQPS and DefaultBurst."""

SLOW_SECONDS = 1.0
"""client-go warns of the same wait (rest/request.go, longThrottleLatency)."""

SLOW_REPORT_INTERVAL_SECONDS = 60.0
_NANOSECONDS_PER_MILLISECOND = 1_000_000


class RateLimiter:
    """A token bucket with a queue: each request takes one token, first come, first served.

    Holds one waiter per task that awaits ``take``, so its callers bound it.

    ``on_slow`` is called with the seconds of a wait longer than one second, at most once in 60 s; it must not raise.
    """

    def __init__(
        self,
        rate_per_second: float = DEFAULT_RATE_PER_SECOND,
        *,
        burst: int = DEFAULT_BURST,
        clock: Clock,
        on_slow: Callable[[float], None] | None = None,
    ) -> None:
        """Raises ``ValueError`` unless the rate is positive and the burst at least 1: any other would wait for ever."""
        if not rate_per_second > 0 or burst < 1:
            raise ValueError(f"rate {rate_per_second} must be positive, burst {burst} at least 1")
        self.waited_seconds_total = 0.0
        self._clock = clock
        self._on_slow = on_slow
        self._bucket = TokenBucket(rate_per_second, burst=burst, now_ns=clock())
        self._waiters: dict[asyncio.Future[None], None] = {}
        """In the order of their calls; a dict, because a cancelled waiter is removed from the middle."""
        self._timer: asyncio.TimerHandle | None = None
        self._reported_at_ns: int | None = None

    @property
    def waiting(self) -> int:
        """How many tasks wait for a token now."""
        return len(self._waiters)

    async def take(self) -> float:
        """Wait for a token and return the seconds waited; 0.0 if one was available.

        A cancelled wait returns the token it may have been granted already.
        """
        began_ns = self._clock()
        # Waiters come first, though a token may be there before their timer fires. No await between the check and
        # the take: the token would be taken twice.
        if not self._waiters and self._bucket.take(began_ns):
            return 0.0
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        self._arm()
        try:
            await waiter
        except asyncio.CancelledError:
            self._withdraw(waiter)
            raise
        finally:
            waited_seconds = (self._clock() - began_ns) / NANOSECONDS_PER_SECOND
            self._record(waited_seconds)
        return waited_seconds

    def _arm(self) -> None:
        if self._timer is None and self._waiters:
            # Whole milliseconds, rounded up: a timer that fires early would only be set again.
            delay_ms = ceil(self._bucket.wait_ns(self._clock()) / _NANOSECONDS_PER_MILLISECOND)
            self._timer = asyncio.get_running_loop().call_later(delay_ms / 1_000, self._grant)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _grant(self) -> None:
        """Give the tokens there are to the first waiters; set the timer for the next token."""
        self._timer = None
        now_ns = self._clock()
        while self._waiters and self._bucket.has(now_ns):
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            # Cancelled in this turn of the loop, its task not resumed yet: the token is the next waiter's.
            if not waiter.done():
                self._bucket.spend(now_ns)
                waiter.set_result(None)
        self._arm()

    def _withdraw(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            del self._waiters[waiter]
        elif not waiter.cancelled():
            # Granted, but its task was cancelled before it resumed: the token was never used.
            self._bucket.spend(self._clock(), tokens=-1)
        self._disarm()
        self._arm()

    def _record(self, waited_seconds: float) -> None:
        self.waited_seconds_total += waited_seconds
        if waited_seconds <= SLOW_SECONDS or self._on_slow is None:
            return
        now_ns = self._clock()
        interval_ns = round(SLOW_REPORT_INTERVAL_SECONDS * NANOSECONDS_PER_SECOND)
        if self._reported_at_ns is None or now_ns - self._reported_at_ns >= interval_ns:
            self._reported_at_ns = now_ns
            self._on_slow(waited_seconds)
