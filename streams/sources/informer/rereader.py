"""Reading again, beside the watch: for late subscribers, for resyncs, and for what found no room.

Only the watch, and the reflector's relist, remove objects. What is read beside the watch and no longer exists is left
to them; a state that is newer than what was dispatched is dispatched to all subscribers through the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container
from enum import Enum
from itertools import islice

from operators.flow.backoff import Backoff
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.event import Change
from streams.cluster.errors import ClusterError, ResponseTooLargeError
from streams.sources.informer.decode import (
    DecodedObject,
    UnreadableError,
    read_page,
    read_status,
)
from streams.sources.informer.dispatcher import (
    CHECKED_AT_ONCE,
    Dispatcher,
    Freshness,
    inferred_removal,
    uids_alive,
)
from streams.sources.informer.listing import OBJECTS_AT_ONCE, NotDelivered, Paging, ReadOrigin
from streams.sources.informer.reflector import READ_BACKOFF, VERSION_FAULTS, Fault, fault_of
from streams.sources.informer.store import ObjectChange, Store
from streams.sources.informer.subscription import Subscription
from streams.sources.informer.target import FORBIDDEN, NOT_FOUND, OK, ReadResponse, TargetClient

FEW = 10
"""Up to so many dirty objects are read one by one; of many known objects, one in 500: as many as a list has pages."""
PAGE_OBJECTS = 500
REMOVALS_AT_ONCE = 100
"""Removals that are delivered before the loop is given back: about a millisecond."""
ROOM_PATIENCE_SECONDS = 1.0
"""How long a list for several subscribers waits for the room of one."""
REST_NS = NANOSECONDS_PER_SECOND
"""The pause after a list, and after a GET that brought nothing: the watch is about to bring the change."""
FORBIDDEN_NS = 300 * NANOSECONDS_PER_SECOND
"""How long lists replace GETs that are forbidden: rights may be granted later."""
LONGEST_SLEEP_NS = 3600 * NANOSECONDS_PER_SECOND


class RereadError(Exception):
    """The server did not return what was to be read again; ``fault`` is the reason."""

    def __init__(self, fault: Fault, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after_seconds = retry_after_seconds


class Need(Enum):
    """Why a list is read for a subscriber."""

    LATE = "late"
    """It came after the first list began: it gets every object."""
    RESYNC = "resync"
    """Its resync period is over: it gets every object."""
    DIRTY = "dirty"
    """It gets its dirty objects only."""
    BEHIND = "behind"
    """It had no room: the rest of the list is marked dirty."""


class Relisting:
    """One paged list for the subscribers that need it, delivered only to those; a failed page is requested again.

    The list is not interrupted for a subscriber without room while others wait: what it should have got from there on
    is marked dirty. An expired token may be continued at a newer version: each state is a real one, so that an
    inconsistent list serves as well.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        client: TargetClient,
        needs: dict[Subscription, Need],
        *,
        others_wait: Callable[[], bool],
    ) -> None:
        self.served = tuple(needs.items())
        """The subscribers that the list was begun for, and why."""
        self._dispatcher = dispatcher
        self._client = client
        self._needs = needs
        self._others_wait = others_wait
        self._paging = Paging(dispatcher.target.selector_query())
        self._is_fresh = False
        self._token = ""

    async def read_page(self) -> bool:
        """Read and deliver one page; returns whether it was the last one needed.

        Raises ``RereadError`` and ``ClusterError``.
        """
        try:
            response = await self._client.list_page(self._query())
        except ResponseTooLargeError:
            self._paging.shrink()
            raise
        if response.status != OK:
            self._redirect(response)
            return False
        try:
            page = read_page(response.body)
        except UnreadableError as error:
            raise RereadError(Fault.UNREADABLE, str(error), retry_after_seconds=0.0) from None
        self._paging.adapt(len(response.body))
        for number, raw in enumerate(page.objects, start=1):
            await self._offer_object(bytes(raw))
            if number % OBJECTS_AT_ONCE == 0:  # a server may ignore the limit
                await asyncio.sleep(0)
        self._token = page.token
        return not (page.token and self._is_needed())

    def _is_needed(self) -> bool:
        return any(
            need is not Need.DIRTY or subscription.dirty.due
            for subscription, need in self._needs.items()
            if not subscription.closed
        )

    def _query(self) -> dict[str, str]:
        if self._token:
            return self._paging.following(self._token)
        return self._paging.first("" if self._is_fresh else self._dispatcher.version)

    def _redirect(self, response: ReadResponse) -> None:
        """Decide how the list continues after an error response; raise it if the version is not the cause."""
        error = _error_of(response)
        if error.fault not in VERSION_FAULTS or (self._is_fresh and not self._token):
            raise error
        self._is_fresh = self._is_fresh or not self._token
        self._token = read_status(response.body).token if self._token else ""

    async def _offer_object(self, raw: bytes) -> None:
        dispatcher = self._dispatcher
        try:
            found = dispatcher.reader.read(raw)
        except UnreadableError:
            self._deliver_unreadable(raw)
            return
        freshness = dispatcher.freshness(found)
        if freshness is Freshness.NEWER:
            dispatcher.dispatch_newer(found, ReadOrigin.LIST)
            return
        for subscription, need in tuple(self._needs.items()):
            if need is Need.DIRTY and found.key not in subscription.dirty.due:
                continue
            if freshness is Freshness.OLDER:
                self._skip_older(subscription, found)
            else:
                await self._offer(subscription, need, found)

    def _skip_older(self, subscription: Subscription, found: DecodedObject) -> None:
        """An older state is not delivered; a subscriber that came after the newer one has it read again."""
        subscription.read_counts.count_not_delivered(ReadOrigin.LIST, NotDelivered.DUPLICATE)
        if subscription.has_missed(found.key):
            subscription.mark_dirty(found.key)

    def _deliver_unreadable(self, raw: bytes) -> None:
        change = self._dispatcher.store.unreadable(raw)
        for subscription, need in self._needs.items():
            if need is not Need.DIRTY:
                subscription.deliver(change, ReadOrigin.LIST)

    async def _offer(self, subscription: Subscription, need: Need, found: DecodedObject) -> None:
        if need is Need.BEHIND or not await self._has_room(subscription):
            self._fall_behind(subscription, need)
            subscription.mark_dirty(found.key)
        # Compared anew: while room was awaited the watch may have brought a newer state, or cleared the key.
        elif self._dispatcher.freshness(found) is not Freshness.SAME:
            subscription.read_counts.count_not_delivered(ReadOrigin.LIST, NotDelivered.DUPLICATE)
        elif need is not Need.DIRTY or found.key in subscription.dirty.due:
            subscription.deliver(_change_for(need, found, self._dispatcher.store), ReadOrigin.LIST)

    def _fall_behind(self, subscription: Subscription, need: Need) -> None:
        if need is Need.DIRTY:
            del self._needs[subscription]
        else:
            self._needs[subscription] = Need.BEHIND

    async def _has_room(self, subscription: Subscription) -> bool:
        while subscription.room.is_full:
            try:
                async with asyncio.timeout(ROOM_PATIENCE_SECONDS):
                    await subscription.room.free()
            except TimeoutError:
                keeping_up = [need for need in self._needs.values() if need is not Need.BEHIND]
                if subscription.closed or len(keeping_up) > 1 or self._others_wait():
                    return False
        return True


class Rereader:
    """The task of one informer that reads again what subscribers must be sent again."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        client: TargetClient,
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._dispatcher = dispatcher
        self._client = client
        self._clock = clock
        self._backoff = Backoff(READ_BACKOFF, random=random)
        self._woken = asyncio.Event()
        self._rest_until_ns = 0
        self._relisting: Relisting | None = None
        self._may_get_at_ns = 0
        self._skips_removals = False
        """Whether the last round ended with an unclear response about a removal: this reads the other keys first."""

    def wake(self) -> None:
        """Look again for what is due."""
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; nothing is read while no watch is open."""
        while True:
            # Cleared before anything is looked at: what changes after the look wakes the sleep.
            self._woken.clear()
            now_ns = self._clock()
            await self._release(now_ns)
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

    async def _release(self, now_ns: int) -> None:
        # All with one reading of the clock, that of the sleep that follows: what comes due later ends the sleep.
        for one in self._dispatcher.subscriptions:
            has_more = one.dirty.release(now_ns)
            while has_more:
                await asyncio.sleep(0)
                has_more = one.dirty.release(now_ns)

    def _is_due(self, now_ns: int) -> bool:
        if not self._dispatcher.reflector.is_watching or now_ns < self._rest_until_ns:
            return False
        return self._relisting is not None or any(
            self._wants(one) and not one.room.is_full for one in self._dispatcher.subscriptions
        )

    def _wants(self, subscription: Subscription) -> bool:
        dirty = subscription.dirty
        return bool(dirty.due or dirty.removed) or self._needs_all(subscription) is not None

    def _needs_all(self, subscription: Subscription) -> Need | None:
        if subscription.is_late:
            return Need.LATE
        at_ns = subscription.resync_at_ns
        return Need.RESYNC if at_ns is not None and at_ns <= self._clock() else None

    async def _round(self) -> None:
        if self._relisting is None:
            ready = [one for one in self._dispatcher.subscriptions if not one.room.is_full]
            await self._deliver_all_removals(ready)
            self._relisting = self._begin_list(ready)
            if self._relisting is None:
                for subscription in ready:
                    await self._read_first(subscription)
                return
        if await self._relisting.read_page():
            for subscription, need in self._relisting.served:
                self._on_served(subscription, need)
            self._relisting = None
            self._rest_until_ns = self._clock() + REST_NS

    def _begin_list(self, ready: list[Subscription]) -> Relisting | None:
        needs = {one: need for one in ready if (need := self._needs_all(one)) is not None}
        may_get = self._clock() >= self._may_get_at_ns
        few = max(FEW, len(self._dispatcher.store) // PAGE_OBJECTS) if may_get else 0
        if not needs and sum(len(one.dirty.due) for one in ready) <= few:
            return None
        for one in ready:
            if one.dirty.due:
                needs.setdefault(one, Need.DIRTY)
        return Relisting(
            self._dispatcher,
            self._client,
            needs,
            others_wait=lambda: self._others_wait(needs),
        )

    def _others_wait(self, served: Container[Subscription]) -> bool:
        """Whether a subscriber that the list under way does not serve could be sent something now."""
        now_ns = self._clock()
        for one in self._dispatcher.subscriptions:
            if one not in served:
                one.dirty.release(now_ns)
                if self._wants(one) and not one.room.is_full:
                    return True
        return False

    def _on_served(self, subscription: Subscription, need: Need) -> None:
        if need is Need.LATE:
            subscription.is_late = False
            subscription.synced.set()
        elif need is Need.RESYNC:
            subscription.schedule_resync(self._clock(), since_ns=self._dispatcher.since_ns)

    async def _deliver_all_removals(self, ready: list[Subscription]) -> None:
        if self._skips_removals:
            self._skips_removals = False
            return
        unclear = [await self._deliver_removals(one) for one in ready]
        if any(unclear):
            self._skips_removals = True
            raise RereadError(Fault.SERVER_ERROR, "no clear response", retry_after_seconds=0.0)

    async def _deliver_removals(self, subscription: Subscription) -> bool:
        """Deliver removals, after one GET where the object may exist elsewhere; return whether one was unclear."""
        removed = subscription.dirty.removed
        may_exist = self._dispatcher.target.may_exist_outside
        first = dict(islice(removed.items(), REMOVALS_AT_ONCE))
        checked = [key for key in first if may_exist(key)][:CHECKED_AT_ONCE]
        uids: dict[str, str | None] = dict.fromkeys(
            (key for key in first if not may_exist(key)), ""
        )
        uids |= await uids_alive(self._client, self._dispatcher.reader, checked)
        for key, alive_uid in uids.items():
            if alive_uid is None:
                subscription.dirty.put_last(key)
            # Only if still marked as it was: while the requests were in flight the object may have been delivered.
            elif removed.get(key) == first[key] and not subscription.room.is_full:
                removal = inferred_removal(
                    self._dispatcher.store, key, uid=first[key], alive_uid=alive_uid
                )
                self._deliver(subscription, removal)
        return None in uids.values()

    async def _read_first(self, subscription: Subscription) -> None:
        """Read one dirty object, and deliver it to all subscribers that have it marked."""
        key = next(iter(subscription.dirty.due), None)
        if key is None:
            return
        self._put_last(key)  # others first, should this one get no response
        response = await self._client.get(key)
        if response.status == FORBIDDEN:
            self._may_get_at_ns = self._clock() + FORBIDDEN_NS  # until then by lists
            return
        if response.status not in {OK, NOT_FOUND}:
            raise _error_of(response)
        try:
            self._on_object(self._dispatcher.reader.read(response.body))
        except UnreadableError:  # a Status: not found
            self._rest(key)

    def _on_object(self, found: DecodedObject) -> None:
        key, freshness = found.key, self._dispatcher.freshness(found)
        # With a selector a newer state may be outside of it: left to the watch.
        if freshness is Freshness.NEWER and not self._dispatcher.target.has_selector:
            self._dispatcher.dispatch_newer(found, ReadOrigin.GET)
            return
        for one in self._dispatcher.subscriptions:
            if key not in one.dirty.due or one.room.is_full:
                continue
            if freshness is Freshness.SAME:
                self._deliver(one, self._dispatcher.store.change(found, Change.MODIFIED))
            else:
                one.read_counts.count_not_delivered(ReadOrigin.GET, NotDelivered.DUPLICATE)
        if freshness is not Freshness.SAME:
            self._rest(key)

    def _deliver(self, subscription: Subscription, change: ObjectChange) -> None:
        subscription.deliver(change, ReadOrigin.GET)
        if change.key in subscription.dirty.due or change.key in subscription.dirty.removed:
            self._rest(change.key)  # there was room, and still too little for this object

    def _rest(self, key: str) -> None:
        self._rest_until_ns = self._clock() + REST_NS
        self._put_last(key)

    def _put_last(self, key: str) -> None:
        for one in self._dispatcher.subscriptions:
            one.dirty.put_last(key)

    def _back_off(self, retry_after_seconds: float) -> None:
        now_ns = self._clock()
        self._rest_until_ns = now_ns + self._backoff.next_ns(
            now_ns, retry_after_seconds=retry_after_seconds
        )

    async def _sleep(self, now_ns: int) -> None:
        """Sleep until something may be due: a moment, a wake-up, or room where there was none.

        ``now_ns`` is when nothing was due: a moment that has come since then must not be passed over.
        """
        full = [
            one for one in self._dispatcher.subscriptions if one.room.is_full and self._wants(one)
        ]
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
        for one in self._dispatcher.subscriptions:
            moments += [
                at_ns
                for at_ns in (one.resync_at_ns, one.dirty.release_at_ns())
                if at_ns is not None and at_ns > now_ns
            ]
        return min(moments)


def _error_of(response: ReadResponse) -> RereadError:
    """Classify a response that is not what was requested."""
    error = read_status(response.body)
    fault = fault_of(response.status, reason=error.reason, message=error.message)
    retry_after_seconds = response.retry_after_seconds or error.retry_after_seconds
    return RereadError(fault, error.message, retry_after_seconds=retry_after_seconds)


def _change_for(need: Need, found: DecodedObject, store: Store) -> ObjectChange:
    if need is Need.LATE:
        return store.change(found, Change.ADDED, initial=True)
    return store.change(found, Change.RESYNC if need is Need.RESYNC else Change.MODIFIED)
