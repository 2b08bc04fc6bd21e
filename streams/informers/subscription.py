"""One subscriber of an informer: its book, and the subjects it has to be told of again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, KeysView

from operators.event import Kind
from operators.outcome import Hold
from operators.room import Room
from streams.informers.book import Book
from streams.informers.condition import Condition, Statistics
from streams.informers.notice import Notice, Origin, Watched
from streams.informers.reflector import Reflector
from streams.informers.store import Store, tombstone

log = logging.getLogger(__name__)

Handler = Callable[[Notice], None]


class Subscription:
    """What one subscriber is told, in order for each object, and what it could not take yet.

    A mark says that an object's newest state was not dealt with: it is read again when there is room. Marks are
    bounded by the objects the cluster holds, and the deletions that found no room.
    """

    def __init__(
        self,
        watched: Watched,
        handler: Handler,
        *,
        room: Room,
        resync_seconds: float,
        store: Store,
        reflector: Reflector,
        wake: Callable[[], None],
    ) -> None:
        self.watched = watched
        self.room = room
        self.resync_seconds = resync_seconds
        self.book = Book()
        self.kind: Kind | None = None
        self.synced = asyncio.Event()
        self.handler_errors = 0
        self.closed = False
        self.is_late = False
        """Whether it came after the first list began, and waits for one of its own."""
        self.dirty: dict[str, None] = {}
        self.parked: dict[Hold, dict[str, None]] = {}
        self.next_resync_ns = 0
        self.on_close: Callable[[Subscription], None] = lambda _: None
        self._handler = handler
        self._store = store
        self._reflector = reflector
        self._wake = wake

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
        return len(self.dirty) + sum(len(keys) for keys in self.parked.values())

    def knows(self, key: str) -> bool:
        """Whether there is such an object."""
        return key in self._store

    def keys(self) -> KeysView[str]:
        """The keys (``namespace/name``) of all objects, live."""
        return self._store.keys()

    def tell(self, notice: Notice, origin: Origin) -> None:
        """Hand a notice on; a handler that raises harms nobody else."""
        if self.closed:
            return
        self.book.receive(notice, origin)
        self._unmark(notice.key)
        try:
            self._handler(notice)
        except Exception as error:
            self.handler_errors += 1
            log.exception("a handler failed", extra={"key": notice.key, "detail": str(error)})

    def missing(self, namespace: str, name: str) -> None:
        """Tell of an object that ended while nobody watched."""
        self.tell(tombstone(f"{namespace}/{name}"), Origin.LIST)

    def mark_dirty(self, key: str, hold: Hold | None = None) -> None:
        """Note that the newest state of an object was put aside: now, or until a hold opens the way."""
        if self.closed:
            return
        if hold is not None and hold.open:
            self.parked.setdefault(hold, {})[key] = None
        else:
            self.dirty[key] = None
        self._wake()

    def poke(self) -> None:
        """Look again: a hold may have opened."""
        self._wake()

    def unpark(self) -> None:
        """Put what waited for a hold that opened among what is to be read again."""
        for hold in [hold for hold in self.parked if not hold.open]:
            self.dirty.update(self.parked.pop(hold))

    def close(self) -> None:
        """Tell nothing any more; the last subscriber stops the informer."""
        if not self.closed:
            self.closed = True
            self.dirty.clear()
            self.parked.clear()
            self.on_close(self)

    def _unmark(self, key: str) -> None:
        self.dirty.pop(key, None)
        for hold, keys in tuple(self.parked.items()):
            if keys.pop(key, True) is None and not keys:
                del self.parked[hold]
