"""One informer: a reflector at work over a client, shared by all who watch the same.

The reader is never stalled by a subscriber: telling is a plain call, and who has no room is told again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from operators.clock import NANOSECONDS_PER_SECOND, Clock
from operators.event import Departure, Kind
from streams.cluster.errors import ClusterError, IdleTimeoutError
from streams.cluster.paths import resource_path
from streams.informers.condition import Fault
from streams.informers.decode import UnreadableError, read_object
from streams.informers.lines import Lines
from streams.informers.notice import Notice, Origin, Watched
from streams.informers.reader import Answer, Reader
from streams.informers.reflector import OK, Heard, ListPage, OpenWatch, Reflector, Wait
from streams.informers.store import Store
from streams.informers.subscription import Subscription

log = logging.getLogger(__name__)

IDLE_SECONDS = 70.0
"""Bookmarks come about once a minute: a watch without a byte for longer may be dead."""
DOUBT_RETRY_SECONDS = 2.0
NOT_FOUND = 404

Discover = Callable[[Watched], Awaitable[Kind | None]]

_AS = "application/json;as={};g=meta.k8s.io;v=v1"


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
        self.store = Store()
        self.reflector = Reflector(watched, self.store, random=random)
        self.subscriptions: list[Subscription] = []
        self.kind: Kind | None = None
        self.watching = asyncio.Event()
        """Set once the watch was opened: what is read again then cannot miss a change."""
        self._reader = reader
        self._discover = discover
        self._clock = clock
        self._doubts: dict[str, tuple[Notice, Origin]] = {}
        self._doubtful = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._settle_doubts())
            tasks.create_task(self._reflect())

    def tell(self, heard: Heard, origin: Origin) -> None:
        """Hand what was heard to every subscriber."""
        for notice in heard.notices:
            before = self._doubts.pop(notice.key, None)
            if before is not None:
                self._tell_all(_departed(before[0], notice.uid), before[1])
            if notice.is_doubtful:
                self._doubts[notice.key] = notice, origin
                self._doubtful.set()
            else:
                self._tell_all(notice, origin)
        if heard.silent:
            for subscription in self.subscriptions:
                subscription.book.pass_over(origin, heard.why, count=heard.silent)

    async def page(self, query: dict[str, str]) -> Answer:
        """Ask for a page of a list; raises a ``ClusterError``."""
        kind = "PartialObjectMetadataList" if self.watched.is_metadata_only else ""
        return await self._reader.request(
            "GET", self._path(), verb="list", query=query, headers=_accept(kind)
        )

    async def get(self, key: str) -> Answer:
        """Ask for one object; raises a ``ClusterError``."""
        namespace, _, name = key.partition("/")
        watched = self.watched
        path = resource_path(
            watched.group, watched.version, watched.resource, namespace=namespace, name=name
        )
        kind = "PartialObjectMetadata" if watched.is_metadata_only else ""
        return await self._reader.request("GET", path, verb="get", headers=_accept(kind))

    def _tell_all(self, notice: Notice, origin: Origin) -> None:
        for subscription in tuple(self.subscriptions):
            subscription.tell(notice, origin)

    async def _reflect(self) -> None:
        while True:
            if self.kind is None or self.reflector.kind_missing:
                await self._resolve()
            step = self.reflector.next(self._clock())
            if isinstance(step, Wait):
                await asyncio.sleep((step.until_ns - self._clock()) / NANOSECONDS_PER_SECOND)
                continue
            try:
                await (self._list(step) if isinstance(step, ListPage) else self._watch(step))
            except IdleTimeoutError:
                self.reflector.idle()
            except ClusterError as error:
                self.reflector.cut(str(error), self._clock())

    async def _resolve(self) -> None:
        try:
            kind = await self._discover(self.watched)
        except ClusterError as error:
            self.reflector.failed(Fault.UNREACHABLE, str(error), now_ns=self._clock())
            return
        if kind is None:
            where = f"{self.watched.resource} in {self.watched.group}/{self.watched.version}"
            self.reflector.failed(
                Fault.KIND_MISSING, f"the server has no {where}", now_ns=self._clock()
            )
            return
        self.kind = kind
        self.reflector.kind_missing = False
        for subscription in self.subscriptions:
            subscription.kind = kind

    async def _list(self, step: ListPage) -> None:
        if self.kind is None:
            return
        answer = await self.page(step.query)
        heard = self.reflector.listed(
            answer.status,
            answer.body,
            now_ns=self._clock(),
            retry_after=answer.retry_after_seconds,
        )
        self.tell(heard, Origin.LIST)
        if self.reflector.synced:
            for subscription in self.subscriptions:
                if not subscription.is_late:
                    subscription.synced.set()

    async def _watch(self, step: OpenWatch) -> None:
        kind = "PartialObjectMetadata" if self.watched.is_metadata_only else ""
        reflector = self.reflector
        async with self._reader.watch(
            self._path(), query=step.query, headers=_accept(kind), idle_seconds=IDLE_SECONDS
        ) as watching:
            if watching.status != OK:
                answer = await watching.answer()
                reflector.watch_refused(
                    answer.status,
                    answer.body,
                    now_ns=self._clock(),
                    retry_after=answer.retry_after_seconds,
                )
                return
            reflector.opened(self._clock())
            self.watching.set()
            lines = Lines()
            async for chunk in watching.chunks():
                for line in lines.feed(chunk):
                    self.tell(reflector.line(line, self._clock()), Origin.LINE)
                    if reflector.watch_failed:
                        return
            reflector.ended(self._clock())

    async def _settle_doubts(self) -> None:
        """Find out, one GET each, which objects were deleted and which only left the selector."""
        while True:
            await self._doubtful.wait()
            self._doubtful.clear()
            while self._doubts:
                key, (notice, origin) = next(iter(self._doubts.items()))
                try:
                    answer = await self.get(key)
                except ClusterError:
                    answer = None
                if self._doubts.get(key, (None, origin))[0] is not notice:
                    continue
                if answer is None or answer.status not in {OK, NOT_FOUND}:
                    await asyncio.sleep(DOUBT_RETRY_SECONDS)
                    continue
                del self._doubts[key]
                self._tell_all(_departed(notice, _uid(answer)), origin)

    def _path(self) -> str:
        watched = self.watched
        return resource_path(
            watched.group, watched.version, watched.resource, namespace=watched.namespace
        )


def _accept(kind: str) -> dict[str, str] | None:
    return {"Accept": _AS.format(kind)} if kind else None


def _uid(answer: Answer) -> str:
    if answer.status != OK:
        return ""
    try:
        return read_object(answer.body).uid
    except UnreadableError:
        return ""


def _departed(notice: Notice, found_uid: str) -> Notice:
    """The same uid is still there: it left the selector; none, or another one: it was deleted."""
    if notice.uid and found_uid == notice.uid:
        notice.departure = Departure.LEFT_SELECTOR
    return notice
