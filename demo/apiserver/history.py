"""One object as it is stored, and what happened to all of one resource: a ring with a floor."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

RING_EVENTS = 10_000
"""What a watch may be behind; a genuine server remembers five minutes."""

RING_BYTES = 64 * 1024 * 1024
"""Large objects make the ring shorter, not the process larger."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One state of one object: encoded once, and never changed."""

    key: str
    """`namespace/name`, or the name of what is in no namespace."""

    uid: str
    version: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    """What field selectors may ask for beyond name and namespace."""

    rest: bytes
    """The JSON behind the version, to the end: each reader puts its own head before it."""

    views: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)
    """Other forms of it, once somebody asked: an Event in the other group, for one."""

    @property
    def namespace(self) -> str:
        """The namespace, "" if it is in none."""
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The name."""
        return self.key.rpartition("/")[2]

    def tail(self) -> bytes:
        """The JSON from `metadata` on: `{` or a head with kind and apiVersion is all that lacks."""
        return b'"metadata":{"resourceVersion":"%d"%b' % (self.version, self.rest)

    def at(self, version: int) -> Entry:
        """The same state under another version: how a watch shows what is gone."""
        return replace(self, version=version, views={})


@dataclass(frozen=True, slots=True)
class Happened:
    """One change of one object; `before` or `after` is None where there was or is none."""

    version: int
    before: Entry | None
    after: Entry | None
    lines: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)
    """How a watch without a selector tells of it, by the head of the one who watches."""

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        return sum(len(one.rest) for one in (self.before, self.after) if one is not None)


class Versions:
    """The resourceVersion of the whole server: one rising count, whatever changes."""

    def __init__(self) -> None:
        self.current = 1

    def next(self) -> int:
        """The version of the change that is about to happen."""
        self.current += 1
        return self.current


class History:
    """What happened, oldest first, by a running number; bounded in events and in bytes.

    Watches read it by that number, each at its own pace. One that is overtaken by the ring's end has
    lost something, and is to be cut.
    """

    def __init__(self, *, events: int = RING_EVENTS, size_bytes: int = RING_BYTES) -> None:
        self.floor = 0
        """The oldest version that can be told from here on, or be reconstructed."""

        self.first = 0
        self.end = 0
        self._most_events = events
        self._most_bytes = size_bytes
        self._held: dict[int, Happened] = {}
        self._bytes = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def append(self, happened: Happened) -> None:
        """Remember, forget the oldest beyond the bounds, and wake who waits."""
        self._held[self.end] = happened
        self.end += 1
        self._bytes += happened.size_bytes
        while self.end - self.first > self._most_events or (
            self._bytes > self._most_bytes and self.end - self.first > 1
        ):
            self._drop()
        self.wake()

    def forget(self, version: int) -> None:
        """Forget all up to this version, which is the newest."""
        while self.first < self.end:
            self._drop()
        self.floor = version

    def _drop(self) -> None:
        gone = self._held.pop(self.first)
        self.first += 1
        self.floor = gone.version
        self._bytes -= gone.size_bytes

    def after(self, version: int) -> int:
        """The number of the first change behind this version."""
        numbers = range(self.first, self.end)
        return self.first + bisect_right(numbers, version, key=lambda at: self._held[at].version)

    def since(self, number: int) -> Iterator[Happened]:
        """All from this number on; it must not be overtaken."""
        return (self._held[at] for at in range(number, self.end))

    def newest_first(self) -> Iterator[Happened]:
        """All, backwards."""
        return (self._held[at] for at in range(self.end - 1, self.first - 1, -1))

    def wake(self) -> None:
        """Let everybody look who waits for news."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def news(self) -> None:
        """Return when something happened."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
