"""One informer: a reflector at work over a client, shared by all who watch the same.

The reader is never stalled by a subscriber: telling is a plain call, and who has no room is told again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from operators.flow.capacity import Room
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.event import Kind
from streams.cluster.errors import (
    ClusterError,
    CredentialsRefusedError,
    DiscoveryError,
    IdleTimeoutError,
    TooLargeAnswerError,
)
from streams.sources.informer.collection import OK, Collection
from streams.sources.informer.condition import Fault, fault_of
from streams.sources.informer.departures import Departures
from streams.sources.informer.feed import Feed
from streams.sources.informer.lines import Lines
from streams.sources.informer.notice import Origin, Watched
from streams.sources.informer.reader import Reader, Watching
from streams.sources.informer.reread import Rereader
from streams.sources.informer.steps import ListPage, OpenWatch, Resolve, Step, Wait
from streams.sources.informer.subscription import Handler, Subscription

log = logging.getLogger(__name__)

Discover = Callable[[Watched], Awaitable[Kind | None]]
"""Asks what a resource is; None where the server does not serve it now. Raises a ``ClusterError``."""


class Informer:
    """Lists and watches one selection of one resource, and tells its subscribers."""

    def __init__(
        self,
        watched: Watched,
        reader: Reader,
        *,
        discover: Discover,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.watched = watched
        self._feed = Feed(watched, random=random, since_ns=clock())
        self._reflector = self._feed.reflector
        self._collection = Collection(watched, reader)
        self._rereader = Rereader(self._feed, self._collection, clock=clock, random=random)
        self._departures = Departures(self._feed, self._collection, clock=clock, random=random)
        self._discover = discover
        self._clock = clock
        self._logged = ""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who is told."""
        return self._feed.subscriptions

    def subscribe(
        self,
        handler: Handler,
        *,
        room: Room,
        resync_seconds: float,
        matters: Callable[[str], bool],
        on_close: Callable[[Subscription], None],
    ) -> Subscription:
        """Tell one more; whoever comes late gets a list of its own."""
        subscription = Subscription(
            self.watched,
            handler,
            room=room,
            resync_seconds=resync_seconds,
            matters=matters,
            store=self._feed.store,
            reflector=self._reflector,
            told_version=self._feed.version,
            wake=self._rereader.wake,
            on_close=on_close,
        )
        subscription.kind = self._collection.kind
        subscription.resync_later(self._clock(), since_ns=self._feed.since_ns)
        self._feed.subscriptions = (*self._feed.subscriptions, subscription)
        self._rereader.wake()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Tell one less."""
        self._feed.subscriptions = tuple(
            one for one in self._feed.subscriptions if one is not subscription
        )

    async def run(self) -> None:
        """Work until cancelled; whatever else ends it is a defect."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reflect(), name="reflector")
            tasks.create_task(self._rereader.run(), name="rereader")
            tasks.create_task(self._departures.run(), name="departures")

    async def _reflect(self) -> None:
        while True:
            step = self._reflector.next(self._clock())
            try:
                await self._take(step)
            except IdleTimeoutError:
                self._reflector.idle()
            except CredentialsRefusedError as error:
                self._reflector.failed(Fault.UNAUTHORIZED, str(error), now_ns=self._clock())
            except DiscoveryError as error:
                fault = fault_of(error.status, reason="", message="")
                self._reflector.failed(fault, str(error), now_ns=self._clock())
            except TooLargeAnswerError as error:
                self._reflector.too_large(str(error), self._clock())
            except ClusterError as error:
                self._reflector.cut(str(error), self._clock())
            self._log()

    async def _take(self, step: Step) -> None:
        match step:
            case Wait(until_ns):
                await asyncio.sleep((until_ns - self._clock()) / NANOSECONDS_PER_SECOND)
            case Resolve():
                await self._resolve()
            case ListPage(query):
                await self._list(query)
            case OpenWatch(query):
                async with self._collection.watch(query) as watching:
                    await self._watch(watching)

    async def _resolve(self) -> None:
        watched = self.watched
        kind = await self._discover(watched)
        if kind is None:
            where = f"{watched.group}/{watched.version}".lstrip("/")
            message = f"the server has no {watched.resource} in {where}"
            self._reflector.failed(Fault.KIND_MISSING, message, now_ns=self._clock())
            return
        self._collection.kind = kind
        for subscription in self.subscriptions:
            subscription.kind = kind
        self._reflector.resolved()

    async def _list(self, query: dict[str, str]) -> None:
        answer = await self._collection.page(query)
        if answer.status != OK:
            self._reflector.refused(
                answer.status,
                answer.body,
                now_ns=self._clock(),
                retry_after_seconds=answer.retry_after_seconds,
            )
            return
        self._feed.tell(self._reflector.listed(answer.body, self._clock()), Origin.LIST)
        if self._reflector.synced:
            for subscription in self.subscriptions:
                if not subscription.is_late:
                    subscription.synced.set()

    async def _watch(self, watching: Watching) -> None:
        reflector, clock = self._reflector, self._clock
        if watching.status != OK:
            answer = await watching.answer()
            reflector.refused(
                answer.status,
                answer.body,
                now_ns=clock(),
                retry_after_seconds=answer.retry_after_seconds,
            )
            return
        reflector.opened(clock())
        self._log()
        self._rereader.wake()
        lines = Lines()
        async for chunk in watching.chunks():
            for line in lines.feed(chunk):
                self._feed.tell(reflector.line(line, clock()), Origin.LINE)
                if not reflector.is_watching:
                    return
            reflector.statistics.overlong_lines += lines.take_overlong()
        reflector.ended(clock())

    def _log(self) -> None:
        """Say what stands in the way of reading, once for each reason, and when nothing does any more."""
        condition = self._reflector.condition
        reason = condition.reason if condition is not None else ""
        if reason == self._logged:
            return
        self._logged = reason
        resource = f"{self.watched.resource}.{self.watched.group}".rstrip(".")
        about = {"resource": resource, "namespace": self.watched.namespace}
        if condition is None:
            log.info("is read again", extra=about)
        else:
            log.warning(
                "cannot be read", extra={**about, "reason": reason, "detail": condition.message}
            )
