"""Reading again, beside the watch: for late subscribers, for resyncs, and for what found no room.

One paged list serves all who are due and delivers only to those. An item older than what the store was told is dropped,
a newer one goes through the store to everybody; the watch's own line is the duplicate then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from operators.clock import NANOSECONDS_PER_SECOND, Clock
from operators.event import Change, Departure
from operators.outcome import Hold
from streams.cluster.errors import ClusterError
from streams.informers.decode import Found, UnreadableError, read_object, read_page, read_status
from streams.informers.informer import NOT_FOUND, Informer
from streams.informers.notice import Origin
from streams.informers.reader import Answer
from streams.informers.reflector import OK, Heard
from streams.informers.store import is_older, tombstone
from streams.informers.subscription import Subscription

FEW = 10
"""So few marked objects are read one by one; of more, up to one in 500 (a page's worth of requests)."""
EXPIRED = 410
PAGE_OBJECTS = 500
RETRY_SECONDS = 2.0
TRY_EVERY_NS = 30 * NANOSECONDS_PER_SECOND
LONGEST_SLEEP_SECONDS = 3600.0


class Rereader:
    """The task of one informer that reads again what somebody has to be told of again."""

    def __init__(self, informer: Informer, *, clock: Clock) -> None:
        self._informer = informer
        self._clock = clock
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Look again what is due."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; nothing is read before the watch was opened once."""
        await self._informer.watching.wait()
        while True:
            self._woken.clear()
            if not await self._round():
                await self._sleep()

    async def _round(self) -> bool:
        """Read what is due; whether anything was, or went wrong and is to be tried again."""
        subscriptions = list(self._informer.subscriptions)
        try:
            for subscription in subscriptions:
                subscription.unpark()
                await self._try_holds(subscription)
            listed = self._due(subscriptions)
            if listed:
                await self._list(listed)
            for subscription in subscriptions:
                if subscription.dirty:
                    await self._one_by_one(subscription)
        except ClusterError:
            await asyncio.sleep(RETRY_SECONDS)
            return True
        return any(subscription.dirty for subscription in subscriptions)

    def _due(self, subscriptions: Iterable[Subscription]) -> list[Subscription]:
        now_ns = self._clock()
        few = max(FEW, len(self._informer.store) // PAGE_OBJECTS)
        return [
            one
            for one in subscriptions
            if one.is_late or len(one.dirty) > few or 0 < one.next_resync_ns <= now_ns
        ]

    async def _sleep(self) -> None:
        now_ns = self._clock()
        moments = [
            one.next_resync_ns for one in self._informer.subscriptions if one.next_resync_ns
        ] + [hold.try_at_ns for one in self._informer.subscriptions for hold in one.parked]
        seconds = (min(moments) - now_ns) / NANOSECONDS_PER_SECOND if moments else None
        if seconds is None or seconds > LONGEST_SLEEP_SECONDS:
            seconds = LONGEST_SLEEP_SECONDS
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _try_holds(self, subscription: Subscription) -> None:
        """Read one object of each hold whose time has come: its write is the try for all that wait."""
        for hold, keys in tuple(subscription.parked.items()):
            if hold.open and self._clock() >= hold.try_at_ns and keys:
                hold.try_at_ns = self._clock() + TRY_EVERY_NS
                await self._again(subscription, next(iter(keys)), hold=hold)

    async def _one_by_one(self, subscription: Subscription) -> None:
        for key in tuple(subscription.dirty):
            if subscription.closed:
                return
            await subscription.room.free()
            if key in subscription.dirty:
                await self._again(subscription, key)

    async def _again(
        self, subscription: Subscription, key: str, *, hold: Hold | None = None
    ) -> None:
        answer = await self._informer.get(key)
        marked = subscription.parked.get(hold, {}) if hold is not None else subscription.dirty
        if key not in marked:
            return
        if answer.status == NOT_FOUND:
            subscription.tell(tombstone(key), Origin.GET)
            return
        if answer.status != OK:
            await asyncio.sleep(RETRY_SECONDS)
            return
        try:
            found = read_object(answer.body)
        except UnreadableError:
            marked.pop(key, None)
            return
        if key not in self._informer.store and self._informer.watched.is_selective:
            left = tombstone(key, uid=found.uid)
            left.departure = Departure.LEFT_SELECTOR
            subscription.tell(left, Origin.GET)
        elif not self._news(found, Origin.GET):
            subscription.tell(found.notice(Change.MODIFIED), Origin.GET)

    async def _list(self, due: list[Subscription]) -> None:
        late = [one for one in due if one.is_late]
        resync = [one for one in due if 0 < one.next_resync_ns <= self._clock()]
        marked = {one: set(one.dirty) for one in due if one.dirty}
        query = {**self._informer.watched.selectors(), "limit": str(PAGE_OBJECTS)}
        first = {
            "resourceVersion": self._informer.reflector.version,
            "resourceVersionMatch": "NotOlderThan",
        }
        token = ""
        while True:
            answer = await self._informer.page(query | ({"continue": token} if token else first))
            if answer.status == EXPIRED and token:
                token = read_status(answer.body).token
                continue
            if answer.status != OK:
                await asyncio.sleep(RETRY_SECONDS)
                return
            token = await self._page(answer, late=late, resync=resync, marked=marked)
            if not token:
                break
        self._finish(late, resync)
        await self._absent(marked)

    async def _page(
        self,
        answer: Answer,
        *,
        late: list[Subscription],
        resync: list[Subscription],
        marked: dict[Subscription, set[str]],
    ) -> str:
        page = read_page(answer.body)
        for raw in page.objects:
            try:
                found = read_object(bytes(raw))
            except UnreadableError:
                continue
            if self._is_news_or_old(found):
                continue
            for one in late:
                one.tell(found.notice(Change.ADDED, initial=True), Origin.LIST)
            for one in resync:
                await one.room.free()
                if not self._is_news_or_old(found):
                    one.tell(found.notice(Change.RESYNC), Origin.LIST)
            for one, keys in marked.items():
                keys.discard(found.key)
                await self._offer(one, found)
        return page.token

    async def _offer(self, subscription: Subscription, found: Found) -> None:
        if found.key not in subscription.dirty:
            return
        await subscription.room.free()
        if found.key in subscription.dirty and not self._is_news_or_old(found):
            subscription.tell(found.notice(Change.MODIFIED), Origin.LIST)

    async def _absent(self, marked: dict[Subscription, set[str]]) -> None:
        """What was marked and is in no page is gone, or came after the list: it is asked for."""
        for subscription, keys in marked.items():
            for key in keys:
                if key in subscription.dirty:
                    await subscription.room.free()
                    await self._again(subscription, key)

    def _finish(self, late: Iterable[Subscription], resync: Iterable[Subscription]) -> None:
        for one in late:
            one.is_late = False
            one.synced.set()
        for one in resync:
            one.next_resync_ns = self._clock() + int(one.resync_seconds * NANOSECONDS_PER_SECOND)

    def _news(self, found: Found, origin: Origin) -> bool:
        """Pass a state through the store: whether it was newer than what everybody was told."""
        notices = self._informer.store.observe(found)
        self._informer.tell(Heard([replace(one) for one in notices]), origin)
        return bool(notices)

    def _is_news_or_old(self, found: Found) -> bool:
        store = self._informer.store
        if found.key not in store:
            return True  # deleted since, or so new that the watch tells of it
        version = store.version(found.key)
        return version != found.version and (
            is_older(found.version, version) or self._news(found, Origin.LIST)
        )
