"""Why objects departed: deleted, or out of the selector? One GET each tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.event import Departure
from streams.cluster.errors import ClusterError
from streams.sources.informer.backoff import Backoff
from streams.sources.informer.collection import FORBIDDEN, NOT_FOUND, OK, Collection
from streams.sources.informer.decode import UnreadableError, read_object
from streams.sources.informer.feed import Feed
from streams.sources.informer.notice import Notice
from streams.sources.informer.reader import Answer
from streams.sources.informer.store import tombstone

ASKED_AT_ONCE = 8
"""So many GETs are on their way together; a session holds more connections."""


class Departures:
    """The task that settles a feed's doubts, the oldest first; what got no clear answer comes last."""

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
                await self._settle(tuple(islice(doubts, ASKED_AT_ONCE)))

    async def _settle(self, keys: tuple[str, ...]) -> None:
        doubts = self._feed.doubts
        asked = {key: doubts[key][0] for key in keys}
        uids = await alive(self._collection, keys)
        for key, alive_uid in uids.items():
            if doubts.get(key, (None,))[0] is not asked[key]:
                continue
            if alive_uid is not None:
                self._feed.settle(key, alive_uid=alive_uid)
            else:  # others go first, or so many without an answer hold up all
                doubts[key] = doubts.pop(key)
        if None in uids.values():
            wait_ns = self._backoff.next_ns(self._clock())
            await asyncio.sleep(wait_ns / NANOSECONDS_PER_SECOND)


def departed(key: str, *, uid: str, alive_uid: str) -> Notice:
    """Tell of a departure; who bears the name of an object whose uid nobody knows is taken for it."""
    notice = tombstone(key, uid=uid)
    if alive_uid and alive_uid == (uid or alive_uid):
        notice.departure = Departure.LEFT_SELECTOR
    return notice


async def alive(collection: Collection, keys: Iterable[str]) -> dict[str, str | None]:
    """Ask at once who bears each name now; the caller bounds how many that are."""
    async with asyncio.TaskGroup() as tasks:
        asked = {key: tasks.create_task(_alive(collection, key)) for key in keys}
    return {key: task.result() for key, task in asked.items()}


async def _alive(collection: Collection, key: str) -> str | None:
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
