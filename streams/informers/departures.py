"""Why objects departed: deleted, or out of the selector? One GET each tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from operators.clock import NANOSECONDS_PER_SECOND, Clock
from streams.cluster.errors import ClusterError
from streams.informers.backoff import Backoff
from streams.informers.collection import FORBIDDEN, NOT_FOUND, OK, Collection
from streams.informers.decode import UnreadableError, read_object
from streams.informers.feed import Feed
from streams.informers.reader import Answer


class Departures:
    """The task that settles a feed's doubts, the oldest first."""

    def __init__(
        self, feed: Feed, collection: Collection, *, clock: Clock, random: Callable[[], float]
    ) -> None:
        self._feed = feed
        self._collection = collection
        self._clock = clock
        self._backoff = Backoff(random)

    async def run(self) -> None:
        """Work until cancelled."""
        doubts = self._feed.doubts
        while True:
            await self._feed.doubtful.wait()
            self._feed.doubtful.clear()
            while doubts:
                await self._settle(next(iter(doubts)))

    async def _settle(self, key: str) -> None:
        notice, _ = self._feed.doubts[key]
        alive_uid = await alive(self._collection, key)
        if alive_uid is None:
            wait_ns = self._backoff.next_ns(self._clock())
            await asyncio.sleep(wait_ns / NANOSECONDS_PER_SECOND)
        elif self._feed.doubts.get(key, (None,))[0] is notice:
            self._feed.settle(key, alive_uid=alive_uid)


async def alive(collection: Collection, key: str) -> str | None:
    """The uid of whoever bears the name now, "" if nobody does; None where the server does not say.

    Who may not ask is told of deletions: that something lives on is only said where it was seen.
    """
    try:
        answer = await collection.identify(key)
    except ClusterError:
        return None
    if answer.status in {NOT_FOUND, FORBIDDEN}:
        return ""
    return _uid(answer) if answer.status == OK else None


def _uid(answer: Answer) -> str | None:
    try:
        return read_object(answer.body).uid
    except UnreadableError:
        return None
