"""What one informer knows, and everybody who is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

from operators.model.event import Change, Departure
from streams.sources.informer.decode import Found
from streams.sources.informer.notice import Notice, Origin, Watched
from streams.sources.informer.reflector import Reflector
from streams.sources.informer.steps import Heard
from streams.sources.informer.store import Store, is_older
from streams.sources.informer.subscription import Subscription

DOUBTS_MAXIMUM_BYTES = 16 * 1024 * 1024
"""What last states of objects in doubt may weigh together; of those beyond, only the name is kept."""


class Age(Enum):
    """How a state that was read beside the watch relates to what was told."""

    OLD = "old"
    CURRENT = "current"
    NEW = "new"


class Feed:
    """Tells subscribers, and keeps back what is in doubt: deleted, or only out of the selector?

    Of one object nothing is told out of order: news of an object in doubt settles the doubt, and comes after it.
    """

    def __init__(self, watched: Watched, *, random: Callable[[], float], since_ns: int = 0) -> None:
        self.watched = watched
        self.since_ns = since_ns
        self.store = Store()
        self.reflector = Reflector(watched, self.store, random=random)
        self.subscriptions: tuple[Subscription, ...] = ()
        self.doubts: dict[str, tuple[Notice, Origin]] = {}
        self.doubtful = asyncio.Event()
        self._doubts_bytes = 0

    @property
    def version(self) -> str:
        """The newest version that was told: the watch's, or that of a state which overtook it."""
        watched, overtook = self.reflector.version, self.store.overtook
        return overtook if is_older(watched, overtook) else watched

    def tell(self, heard: Heard, origin: Origin) -> None:
        """Hand what was heard to every subscriber."""
        for notice in heard.notices:
            if self.doubts:
                alive = notice.uid if notice.change is not Change.DELETED else ""
                self.settle(notice.key, alive_uid=alive)
            if notice.is_doubtful:
                self._doubt(notice, origin)
            else:
                self._tell(notice, origin)
        if heard.silent:
            for subscription in self.subscriptions:
                subscription.book.pass_over(origin, heard.why, count=heard.silent)

    def settle(self, key: str, *, alive_uid: str) -> None:
        """Tell what is kept back of an object: if its uid is still alive, it only left the selector."""
        if key not in self.doubts:
            return
        notice, origin = self.doubts.pop(key)
        self._doubts_bytes -= len(notice.raw)
        if notice.uid == alive_uid:
            notice.departure = Departure.LEFT_SELECTOR
        self._tell(notice, origin)

    def age(self, found: Found) -> Age:
        """Compare a state read beside the watch with what was told.

        An object nobody knows is new only if it is newer than all the watch brought; else it was deleted since.
        """
        version = self.store.version(found.key)
        if not version:
            return Age.NEW if is_older(self.reflector.version, found.version) else Age.OLD
        if version == found.version:
            return Age.CURRENT
        return Age.OLD if is_older(found.version, version) else Age.NEW

    def take_in(self, found: Found, origin: Origin) -> None:
        """Tell everybody of a state that overtook the watch; the watch's own line will be the duplicate."""
        if is_older(self.version, found.version):
            self.store.overtook = found.version
        self.tell(Heard(self.store.observe(found)), origin)

    def _tell(self, notice: Notice, origin: Origin) -> None:
        for subscription in self.subscriptions:
            subscription.tell(notice, origin)

    def _doubt(self, notice: Notice, origin: Origin) -> None:
        if self._doubts_bytes + len(notice.raw) > DOUBTS_MAXIMUM_BYTES:
            notice.raw = b""
        self._doubts_bytes += len(notice.raw)
        self.doubts[notice.key] = notice, origin
        self.doubtful.set()
