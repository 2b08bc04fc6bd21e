"""Reading again, beside the watch: for late subscribers, for resyncs, and for what found no room.

Only the watch, and the relist after it, take objects away. What is read beside it and is no longer there is left
to them; what is newer than what was told goes through the store to everybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from itertools import islice

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.event import Change
from streams.cluster.errors import ClusterError
from streams.sources.informer.backoff import Backoff
from streams.sources.informer.book import Silence
from streams.sources.informer.collection import FORBIDDEN, NOT_FOUND, OK, Collection
from streams.sources.informer.condition import Fault
from streams.sources.informer.decode import Found, UnreadableError, read_object
from streams.sources.informer.departures import ASKED_AT_ONCE, alive, departed
from streams.sources.informer.feed import Age, Feed
from streams.sources.informer.notice import Notice, Origin
from streams.sources.informer.relisting import Need, Relisting, RereadError, refusal
from streams.sources.informer.subscription import Subscription

FEW = 10
"""So few marked objects are read one by one; of many known objects, one in 500: as many as pages."""
PAGE_OBJECTS = 500
AT_ONCE = 100
"""So many departures are told before the loop is given back."""
REST_NS = NANOSECONDS_PER_SECOND
"""The pause after a list, and after a GET that brought nothing: the watch is about to tell."""
FORBIDDEN_NS = 300 * NANOSECONDS_PER_SECOND
"""How long whoever may not get lists: rights are granted later, too."""
LONGEST_SLEEP_NS = 3600 * NANOSECONDS_PER_SECOND


class Rereader:
    """The task of one informer that reads again what somebody is to be told again."""

    def __init__(
        self, feed: Feed, collection: Collection, *, clock: Clock, random: Callable[[], float]
    ) -> None:
        self._feed = feed
        self._collection = collection
        self._clock = clock
        self._backoff = Backoff(random)
        self._woken = asyncio.Event()
        self._rest_until_ns = 0
        self._relisting: Relisting | None = None
        self._may_get_at_ns = 0
        self._skips_questions = False
        """Whether the last round ended at a question without an answer: this one does the rest first."""

    def wake(self) -> None:
        """Look again what is due."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; nothing is read while no watch is open."""
        while True:
            self._woken.clear()
            now_ns = self._clock()
            if not self._is_due(now_ns):
                await self._sleep(now_ns)
                continue
            try:
                await self._round()
            except RereadError as error:
                self._back_off(error.retry_after_seconds)
            except ClusterError:
                self._back_off(0.0)
            await asyncio.sleep(0)

    def _is_due(self, now_ns: int) -> bool:
        for subscription in self._feed.subscriptions:
            subscription.marks.release(now_ns)
        if not self._feed.reflector.is_watching or now_ns < self._rest_until_ns:
            return False
        return self._relisting is not None or any(
            self._wants(one) and not one.room.is_full for one in self._feed.subscriptions
        )

    def _wants(self, subscription: Subscription) -> bool:
        marks = subscription.marks
        return bool(marks.due or marks.gone) or self._needs_all(subscription) is not None

    def _needs_all(self, subscription: Subscription) -> Need | None:
        if subscription.is_late:
            return Need.LATE
        at_ns = subscription.resync_at_ns
        return Need.RESYNC if at_ns is not None and at_ns <= self._clock() else None

    async def _round(self) -> None:
        if self._relisting is None:
            ready = [one for one in self._feed.subscriptions if not one.room.is_full]
            await self._tell_all_gone(ready)
            self._relisting = self._begin_list(ready)
            if self._relisting is None:
                for subscription in ready:
                    await self._tell_first(subscription)
                return
        if await self._relisting.step():
            for subscription, need in self._relisting.served:
                self._served(subscription, need)
            self._relisting = None
            self._rest_until_ns = self._clock() + REST_NS

    def _begin_list(self, ready: list[Subscription]) -> Relisting | None:
        needs = {one: need for one in ready if (need := self._needs_all(one)) is not None}
        may_get = self._clock() >= self._may_get_at_ns
        few = max(FEW, len(self._feed.store) // PAGE_OBJECTS) if may_get else 0
        if not needs and sum(len(one.marks.due) for one in ready) <= few:
            return None
        for one in ready:
            if one.marks.due:
                needs.setdefault(one, Need.MARKED)
        return Relisting(
            self._feed, self._collection, needs, others_wait=lambda: self._others_wait(needs)
        )

    def _others_wait(self, audience: Container[Subscription]) -> bool:
        """Whether somebody whom the list under way is not for could be told something now."""
        now_ns = self._clock()
        for one in self._feed.subscriptions:
            if one not in audience:
                one.marks.release(now_ns)
                if self._wants(one) and not one.room.is_full:
                    return True
        return False

    def _served(self, subscription: Subscription, need: Need) -> None:
        if need is Need.LATE:
            subscription.is_late = False
            subscription.synced.set()
        elif need is Need.RESYNC:
            subscription.resync_later(self._clock(), since_ns=self._feed.since_ns)

    async def _tell_all_gone(self, ready: list[Subscription]) -> None:
        if self._skips_questions:
            self._skips_questions = False
            return
        unclear = [await self._tell_gone(one) for one in ready]
        if any(unclear):
            self._skips_questions = True
            raise RereadError(Fault.SERVER_ERROR, "no clear answer", retry_after_seconds=0.0)

    async def _tell_gone(self, subscription: Subscription) -> bool:
        """Tell of departures, by one GET where the object may live on elsewhere; whether an answer was unclear."""
        gone, may_live_on = subscription.marks.gone, self._feed.watched.may_live_on
        first = dict(islice(gone.items(), AT_ONCE))
        asked = [key for key in first if may_live_on(key)][:ASKED_AT_ONCE]
        living = dict.fromkeys((key for key in first if not may_live_on(key)), "")
        living |= await alive(self._collection, asked)
        for key, alive_uid in living.items():
            if alive_uid is None:
                subscription.marks.put_last(key)
            elif gone.get(key) == first[key] and not subscription.room.is_full:
                self._tell(subscription, departed(key, uid=first[key], alive_uid=alive_uid))
        return None in living.values()

    async def _tell_first(self, subscription: Subscription) -> None:
        """Read one marked object, and tell of it whoever has it marked."""
        key = next(iter(subscription.marks.due), None)
        if key is None:
            return
        self._put_last(key)  # should it get no answer, others go first
        answer = await self._collection.get(key)
        if answer.status == FORBIDDEN:
            self._may_get_at_ns = self._clock() + FORBIDDEN_NS  # whoever may list, lists
            return
        if answer.status not in {OK, NOT_FOUND}:
            raise refusal(answer)
        try:
            self._got(read_object(answer.body))
        except UnreadableError:  # a Status: not found
            self._rest(key)

    def _got(self, found: Found) -> None:
        key, age = found.key, self._feed.age(found)
        if age is Age.NEW and not self._feed.watched.is_selective:
            self._feed.take_in(found, Origin.GET)
            return
        for one in self._feed.subscriptions:
            if key not in one.marks.due or one.room.is_full:
                continue
            if age is Age.CURRENT:
                self._tell(one, found.notice(Change.MODIFIED))
            else:
                one.book.pass_over(Origin.GET, Silence.DUPLICATE)
        if age is not Age.CURRENT:
            self._rest(key)

    def _tell(self, subscription: Subscription, notice: Notice) -> None:
        subscription.tell(notice, Origin.GET)
        if notice.key in subscription.marks.due or notice.key in subscription.marks.gone:
            self._rest(notice.key)  # there was room, and still too little for this one

    def _rest(self, key: str) -> None:
        self._rest_until_ns = self._clock() + REST_NS
        self._put_last(key)

    def _put_last(self, key: str) -> None:
        for one in self._feed.subscriptions:
            one.marks.put_last(key)

    def _back_off(self, retry_after_seconds: float) -> None:
        now_ns = self._clock()
        self._rest_until_ns = now_ns + self._backoff.next_ns(
            now_ns, asked_seconds=retry_after_seconds
        )

    async def _sleep(self, now_ns: int) -> None:
        """Sleep until something may be due: a moment, a wake-up, or room where there was none.

        ``now_ns`` is when nothing was: a moment that came since then must not be passed over.
        """
        full = [one for one in self._feed.subscriptions if one.room.is_full and self._wants(one)]
        waits = [asyncio.ensure_future(self._woken.wait())]
        if self._rest_until_ns <= now_ns:
            waits += [asyncio.ensure_future(one.room.free()) for one in full]
        seconds = (self._next_ns(now_ns) - self._clock()) / NANOSECONDS_PER_SECOND
        try:
            await asyncio.wait(
                waits, timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for wait in waits:
                wait.cancel()

    def _next_ns(self, now_ns: int) -> int:
        moments = [now_ns + LONGEST_SLEEP_NS]
        if now_ns < self._rest_until_ns:
            moments.append(self._rest_until_ns)
        for one in self._feed.subscriptions:
            moments += [
                at_ns
                for at_ns in (one.resync_at_ns, one.marks.release_at_ns())
                if at_ns is not None and at_ns > now_ns
            ]
        return min(moments)
