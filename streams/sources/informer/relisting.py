"""One paged list for all who are due, delivered only to those.

A list is not interrupted for whoever has no room while others wait: from there on, what it should have been told is
marked, and read again for it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from operators.model.event import Change
from streams.cluster.errors import TooLargeAnswerError
from streams.sources.informer.book import Silence
from streams.sources.informer.collection import OK, Collection
from streams.sources.informer.condition import OUTDATED, Fault, fault_of
from streams.sources.informer.decode import (
    Found,
    UnreadableError,
    read_object,
    read_page,
    read_status,
    unreadable,
)
from streams.sources.informer.feed import Age, Feed
from streams.sources.informer.notice import Notice, Origin
from streams.sources.informer.paging import Paging
from streams.sources.informer.reader import Answer
from streams.sources.informer.subscription import Subscription

PATIENCE_SECONDS = 1.0
"""How long a list with an audience waits for one subscriber's room."""


class RereadError(Exception):
    """The server did not give what was to be read again; ``fault`` says why."""

    def __init__(self, fault: Fault, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after_seconds = retry_after_seconds


def refusal(answer: Answer) -> RereadError:
    """Say why an answer is not what was asked for."""
    said = read_status(answer.body)
    fault = fault_of(answer.status, reason=said.reason, message=said.message)
    asked = answer.retry_after_seconds or said.retry_after_seconds
    return RereadError(fault, said.message, retry_after_seconds=asked)


class Need(Enum):
    """Why somebody is in the audience of a list."""

    LATE = "late"
    """It came after the first list began: everything is new to it."""
    RESYNC = "resync"
    MARKED = "marked"
    """It is told of its marked objects only."""
    BEHIND = "behind"
    """It has had no room: the rest of the list is marked."""


class Relisting:
    """A list under way; it goes on where it was when a page fails.

    An expired token may be continued at a newer version: each state is a real one, so an inconsistent list is as good.
    """

    def __init__(
        self,
        feed: Feed,
        collection: Collection,
        needs: dict[Subscription, Need],
        *,
        others_wait: Callable[[], bool],
    ) -> None:
        self.served = tuple(needs.items())
        """For whom the list was begun, and why."""
        self._feed = feed
        self._collection = collection
        self._needs = needs
        self._others_wait = others_wait
        self._paging = Paging(feed.watched.selectors())
        self._is_fresh = False
        self._token = ""

    async def step(self) -> bool:
        """Read one page; whether it was the last one needed. Raises ``RereadError`` and ``ClusterError``."""
        try:
            answer = await self._collection.page(self._query())
        except TooLargeAnswerError:
            self._paging.shrink()
            raise
        if answer.status != OK:
            self._refused(answer)
            return False
        try:
            page = read_page(answer.body)
        except UnreadableError as error:
            raise RereadError(Fault.UNREADABLE, str(error), retry_after_seconds=0.0) from None
        self._paging.weigh(len(answer.body))
        for raw in page.objects:
            await self._item(bytes(raw))
        self._token = page.token
        return not (page.token and self._is_wanted())

    def _is_wanted(self) -> bool:
        return any(
            need is not Need.MARKED or subscription.marks.due
            for subscription, need in self._needs.items()
            if not subscription.closed
        )

    def _query(self) -> dict[str, str]:
        if self._token:
            return self._paging.following(self._token)
        return self._paging.first("" if self._is_fresh else self._feed.version)

    def _refused(self, answer: Answer) -> None:
        error = refusal(answer)
        if error.fault not in OUTDATED or (self._is_fresh and not self._token):
            raise error
        self._is_fresh = self._is_fresh or not self._token
        self._token = read_status(answer.body).token if self._token else ""

    async def _item(self, raw: bytes) -> None:
        try:
            found = read_object(raw)
        except UnreadableError:
            self._tell_unreadable(raw)
            return
        age = self._feed.age(found)
        if age is Age.NEW:
            self._feed.take_in(found, Origin.LIST)
            return
        for subscription, need in tuple(self._needs.items()):
            if need is Need.MARKED and found.key not in subscription.marks.due:
                continue
            if age is Age.OLD:
                self._pass_over(subscription, found)
            else:
                await self._offer(subscription, need, found)

    def _pass_over(self, subscription: Subscription, found: Found) -> None:
        """An older state is told to nobody; who never heard of the newer one has it read again."""
        subscription.book.pass_over(Origin.LIST, Silence.DUPLICATE)
        if subscription.missed(found.key):
            subscription.mark_dirty(found.key)

    def _tell_unreadable(self, raw: bytes) -> None:
        for subscription, need in self._needs.items():
            if need is not Need.MARKED:
                subscription.tell(unreadable(raw), Origin.LIST)

    async def _offer(self, subscription: Subscription, need: Need, found: Found) -> None:
        if need is Need.BEHIND or not await self._has_room(subscription):
            self._fall_behind(subscription, need)
            subscription.mark_dirty(found.key)
        elif self._feed.age(found) is not Age.CURRENT:  # the watch was faster than the room
            subscription.book.pass_over(Origin.LIST, Silence.DUPLICATE)
        elif need is not Need.MARKED or found.key in subscription.marks.due:
            subscription.tell(_notice(found, need), Origin.LIST)

    def _fall_behind(self, subscription: Subscription, need: Need) -> None:
        if need is Need.MARKED:
            del self._needs[subscription]
        else:
            self._needs[subscription] = Need.BEHIND

    async def _has_room(self, subscription: Subscription) -> bool:
        while subscription.room.is_full:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await subscription.room.free()
            except TimeoutError:
                heard = [need for need in self._needs.values() if need is not Need.BEHIND]
                if subscription.closed or len(heard) > 1 or self._others_wait():
                    return False
        return True


def _notice(found: Found, need: Need) -> Notice:
    if need is Need.LATE:
        return found.notice(Change.ADDED, initial=True)
    return found.notice(Change.RESYNC if need is Need.RESYNC else Change.MODIFIED)
