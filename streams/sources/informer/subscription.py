"""One subscriber of a shared informer: its ear, its room, its book, and what it is to be told again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, KeysView

from operators.flow.capacity import Room
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Kind
from operators.model.outcome import Hold
from streams.sources.informer.book import Book
from streams.sources.informer.condition import Condition, Statistics
from streams.sources.informer.marks import Marks
from streams.sources.informer.notice import Notice, Origin, Watched
from streams.sources.informer.reflector import Reflector
from streams.sources.informer.store import Store, is_older

log = logging.getLogger(__name__)

Handler = Callable[[Notice], None]
"""Called on the loop, at once, with a notice that others are told too: it must not block, keep or change it."""


class Subscription:
    """What one subscriber is told, in order for each object, and what it could not take yet.

    ``matters`` says whether anybody downstream remembers an object, or has an event of it on the way: a departure
    that found no room and matters to nobody is not told again.
    """

    def __init__(
        self,
        watched: Watched,
        handler: Handler,
        *,
        room: Room,
        resync_seconds: float,
        matters: Callable[[str], bool],
        store: Store,
        reflector: Reflector,
        told_version: str,
        wake: Callable[[], None],
        on_close: Callable[[Subscription], None],
    ) -> None:
        self.watched = watched
        self.room = room
        self.matters = matters
        self.book = Book()
        self.kind: Kind | None = None
        """What is watched, once the server said so; before anything is told."""
        self.synced = asyncio.Event()
        """Set once every object there was has been told."""
        self.handler_errors = 0
        self.closed = False
        self.is_late = reflector.has_begun
        """Whether it came after the first list began, and waits for one of its own."""
        self.resync_at_ns: int | None = None
        """When it is to be told of every object again."""
        self.marks = Marks(store.__contains__)
        self._resync_ns = int(resync_seconds * NANOSECONDS_PER_SECOND)
        self._handler = handler
        self._store = store
        self._reflector = reflector
        self._told_version = told_version
        self._wake = wake
        self._on_close = on_close

    @property
    def condition(self) -> Condition | None:
        """What stands in the way of reading, if anything does."""
        return self._reflector.condition

    @property
    def statistics(self) -> Statistics:
        """What the shared informer did."""
        return self._reflector.statistics

    @property
    def known(self) -> int:
        """How many objects there are."""
        return len(self._store)

    @property
    def dirty_count(self) -> int:
        """How many objects are to be told of again."""
        return len(self.marks)

    def knows(self, key: str) -> bool:
        """Whether there is such an object."""
        return key in self._store

    def missed(self, key: str) -> bool:
        """Whether it came late, and the newest state of an object was told before it came."""
        version = self._store.version(key)
        return self.is_late and bool(version) and not is_older(self._told_version, version)

    def keys(self) -> KeysView[str]:
        """The keys (``namespace/name``) of all objects, live."""
        return self._store.keys()

    def tell(self, notice: Notice, origin: Origin) -> None:
        """Hand a notice on; a handler that raises harms nobody else."""
        if self.closed:
            return
        self.book.receive(notice, origin)
        if self.marks:
            self.marks.clear(notice.key)
        try:
            self._handler(notice)
        except Exception as error:
            self.handler_errors += 1
            log.exception("a handler failed", extra={"key": notice.key, "detail": str(error)})

    def mark_dirty(self, key: str, hold: Hold | None = None, *, uid: str = "") -> None:
        """Note that the newest state of an object was put aside: now, or until a hold opens the way.

        ``uid`` is that of an object which departed, here or while nobody watched. What has no name cannot be read
        again, nor what departed and matters to nobody.
        """
        if self.closed or key.endswith("/"):
            return
        if self.knows(key) or self.matters(key):
            self.marks.add(key, hold, uid=uid)
            self._wake()

    def poke(self) -> None:
        """Look again: a hold may have opened."""
        self._wake()

    def resync_later(self, now_ns: int, *, since_ns: int) -> None:
        """Begin a resync period, if the subscriber asked for any.

        All periods count from the informer's start, so that those that can share a list do.
        """
        period_ns = self._resync_ns
        if period_ns > 0:
            self.resync_at_ns = now_ns + period_ns - (now_ns - since_ns) % period_ns

    def close(self) -> None:
        """Tell nothing any more; the last subscriber stops the informer."""
        if not self.closed:
            self.closed = True
            self.marks.clear_all()
            self._on_close(self)
