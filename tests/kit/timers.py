"""Time that stands still until a test moves it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

from operators.flow.clock import NANOSECONDS_PER_SECOND


class VirtualTimer:
    """A call to come; ``cancelled`` once nobody wants it."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualTime:
    """A clock and its timers; a timer fires ``late_ns`` too late, or too early, as those of real loops may."""

    def __init__(self, *, late_ns: int = 0) -> None:
        self.now_ns = 0
        self._late_ns = late_ns
        self._order = count()
        self._timers: list[tuple[int, int, VirtualTimer]] = []

    def clock(self) -> int:
        return self.now_ns

    def call_later(self, seconds: float, callback: Callable[[], object]) -> VirtualTimer:
        wait_ns = max(1, round(seconds * NANOSECONDS_PER_SECOND) + self._late_ns)
        timer = VirtualTimer(callback)
        heapq.heappush(self._timers, (self.now_ns + wait_ns, next(self._order), timer))
        return timer

    @property
    def pending(self) -> int:
        """How many timers are still to fire."""
        return sum(not timer.cancelled for *_, timer in self._timers)

    def advance(self, nanoseconds: int) -> None:
        """Let so much time pass; what comes due is called at its own moment."""
        until_ns = self.now_ns + nanoseconds
        while self._timers and self._timers[0][0] <= until_ns:
            due_ns, _, timer = heapq.heappop(self._timers)
            if not timer.cancelled:
                self.now_ns = due_ns
                timer.callback()
        self.now_ns = until_ns
