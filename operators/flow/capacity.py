"""Room and credits: what one pipeline may hold, and how much of it may be in flight.

Rx has no demand signal; these two replace it. ``Room`` counts from admission to settlement;
``Credits`` count from the buffer to settlement. Both are plain numbers on one event loop: no locks.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Room:
    """What one pipeline may hold, in events and in bytes, from admission to settlement.

    A reader that can wait calls ``await room.free()`` before it reads on; one that cannot checks ``fits``.
    """

    __slots__ = ("_waiting", "bytes", "capacity", "capacity_bytes", "items")

    def __init__(self, capacity: int, *, capacity_bytes: int) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.items = 0
        self.bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether not even an empty event would fit."""
        return self.items >= self.capacity or self.bytes >= self.capacity_bytes

    def fits(self, size_bytes: int, *, instead_of: int = -1) -> bool:
        """Whether an event fits, in the place of one of ``instead_of`` bytes if that is not negative."""
        items, bytes_ = self.excess(size_bytes, instead_of=instead_of)
        return items <= 0 and bytes_ <= 0

    def excess(self, size_bytes: int, *, instead_of: int = -1) -> tuple[int, int]:
        """How many events and bytes would be too many with such an event; nothing positive if it fits."""
        items, bytes_ = self.items - self.capacity, self.bytes + size_bytes - self.capacity_bytes
        return (items, bytes_ - instead_of) if instead_of >= 0 else (items + 1, bytes_)

    def take(self, size_bytes: int) -> None:
        """Hold one event more."""
        self.items += 1
        self.bytes += size_bytes

    def give(self, size_bytes: int) -> None:
        """Hold one event less, and wake the reader that has waited longest."""
        self.items -= 1
        self.bytes -= size_bytes
        self._wake()

    async def free(self) -> None:
        """Wait until there is room for an event; waiters go in order, one a settlement.

        A waiter that was cancelled after its wake-up passes it on.
        """
        while self.is_full:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
                elif not waiter.cancelled():
                    self._wake()
                raise

    def _wake(self) -> None:
        while self._waiting and not self.is_full:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class Credits:
    """How many events may be between the buffer and their settlement."""

    __slots__ = ("limit", "taken")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    @property
    def available(self) -> bool:
        """Whether one more event may leave the buffer."""
        return self.taken < self.limit

    def take(self) -> None:
        """Count one event that leaves the buffer."""
        self.taken += 1

    def give(self) -> None:
        """Count one event that was settled."""
        self.taken -= 1
