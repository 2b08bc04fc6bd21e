"""How fast this client may speak: the token bucket of client-go's flowcontrol.

A bucket that hides its waiting is worse than none: ``take`` says how long it waited, and the bucket
counts what was waited in total.
"""

from __future__ import annotations

import asyncio
from math import ceil
from typing import TYPE_CHECKING

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_RATE_PER_SECOND = 5.0
DEFAULT_BURST = 10
"""client-go, rest/config.go: DefaultQPS and DefaultBurst."""

SLOW_SECONDS = 1.0
"""client-go warns of the same wait (rest/request.go, longThrottleLatency)."""

TELL_AT_MOST_EVERY_SECONDS = 60.0


class Bucket:
    """Tokens come at a steady rate, up to a burst; each request takes one, in the order of asking.

    It holds one waiter per task that awaits ``take``, so its callers bound it. Its state is one
    number, the moment at which it will be full again (virtual scheduling, as in GCRA).

    ``on_slow`` is told the seconds of a wait longer than one second, at most every 60 s; it must
    not raise.
    """

    def __init__(
        self,
        rate_per_second: float = DEFAULT_RATE_PER_SECOND,
        *,
        burst: int = DEFAULT_BURST,
        clock: Clock,
        on_slow: Callable[[float], None] | None = None,
    ) -> None:
        """Raises ``ValueError`` unless the rate is positive and the burst at least 1."""
        if not rate_per_second > 0 or burst < 1:
            raise ValueError(f"rate {rate_per_second} must be positive, burst {burst} at least 1")
        self.waited_seconds_total = 0.0
        self.slow_waits_total = 0
        self._clock = clock
        self._on_slow = on_slow
        self._interval_ns = round(NANOSECONDS_PER_SECOND / rate_per_second)
        self._depth_ns = burst * self._interval_ns
        self._full_at_ns = clock()
        self._waiters: dict[asyncio.Future[None], None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._told_at_ns: int | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a token now."""
        return len(self._waiters)

    async def take(self) -> float:
        """Wait for a token and say how many seconds that took; 0.0 if one was there.

        A cancelled wait leaves the bucket as if it had never asked.
        """
        began_ns = self._clock()
        if not self._waiters and self._ready_at_ns <= began_ns:
            self._spend(began_ns)
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
            self._note(waited_seconds)
        return waited_seconds

    @property
    def _ready_at_ns(self) -> int:
        return self._full_at_ns + self._interval_ns - self._depth_ns

    def _spend(self, now_ns: int) -> None:
        self._full_at_ns = max(self._full_at_ns, now_ns) + self._interval_ns

    def _arm(self) -> None:
        if self._timer is None and self._waiters:
            now_ns = self._clock()
            # Whole milliseconds, rounded up: a timer that fires early would only be set again.
            delay_ms = max(0, ceil((self._ready_at_ns - now_ns) / 1_000_000))
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(delay_ms / 1_000, self._grant)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _grant(self) -> None:
        self._timer = None
        now_ns = self._clock()
        while self._waiters and self._ready_at_ns <= now_ns:
            waiter = next(iter(self._waiters))
            del self._waiters[waiter]
            if not waiter.done():
                self._spend(now_ns)
                waiter.set_result(None)
        self._arm()

    def _withdraw(self, waiter: asyncio.Future[None]) -> None:
        if waiter in self._waiters:
            del self._waiters[waiter]
        elif not waiter.cancelled():
            self._full_at_ns -= self._interval_ns  # granted, but never used
        self._disarm()
        self._arm()

    def _note(self, waited_seconds: float) -> None:
        self.waited_seconds_total += waited_seconds
        if waited_seconds <= SLOW_SECONDS:
            return
        self.slow_waits_total += 1
        now_ns = self._clock()
        quiet_ns = round(TELL_AT_MOST_EVERY_SECONDS * NANOSECONDS_PER_SECOND)
        if self._told_at_ns is None or now_ns - self._told_at_ns >= quiet_ns:
            self._told_at_ns = now_ns
            if self._on_slow is not None:
                self._on_slow(waited_seconds)
