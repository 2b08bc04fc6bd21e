"""One subscriber of a shared informer: its handler and its room, its counts, and the objects it must be sent again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, KeysView, Mapping
from dataclasses import dataclass
from itertools import islice

from operators.flow.capacity import Room
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Tombstone
from operators.model.outcome import Suspension
from operators.rules.paths import Head, Path
from streams.sources.informer.decode import UnreadableError
from streams.sources.informer.listing import NotDelivered, ReadOrigin
from streams.sources.informer.reflector import Condition, Reflector
from streams.sources.informer.store import ObjectChange, is_older
from streams.sources.informer.target import WatchTarget

log = logging.getLogger(__name__)

RETRY_EVERY_NS = 30 * NANOSECONDS_PER_SECOND
"""How often one of the objects that wait for a suspension may test it with a write."""
RELEASED_AT_ONCE = 1000
"""Keys that are released before yielding to the event loop: about two milliseconds."""

Handler = Callable[[ObjectChange], None]
"""Called on the loop with a change that other subscribers get too: it must not block nor change it."""


def always(_: str) -> bool:
    """Every removal is tracked."""
    return True


@dataclass(frozen=True, slots=True)
class SubscriptionOptions:
    """What a subscriber wants of an informer."""

    room: Room
    """Looked at before anything is read again."""
    resync_seconds: float = 0.0
    """Every object is sent again that often; 0: never."""
    is_tracked: Callable[[str], bool] = always
    """Whether an Observation or an event in flight exists for a key: else a removal without room is discarded."""
    head: type[Head] = Head
    """The fields that are decoded of each object."""
    reads: frozenset[Path] = frozenset()
    """The paths that are decoded beside the head."""


class ReadCounts:
    """What was read for one subscriber, and what became of it: separate counts, so that their sum can be wrong.

    A removal that waits for a check is counted when it is delivered. Not counted: a GET that only answers a check, and
    list items for other subscribers.
    """

    __slots__ = (
        "bookmarks",
        "duplicates",
        "gets",
        "lines",
        "list_items",
        "received",
        "server_errors",
        "synthetic_deletes",
        "timer_reentries",
    )

    def __init__(self) -> None:
        self.lines = 0
        self.list_items = 0
        self.gets = 0
        self.synthetic_deletes = 0
        self.timer_reentries = 0
        self.bookmarks = 0
        self.duplicates = 0
        self.server_errors = 0
        self.received = 0

    @property
    def balance(self) -> int:
        """0, or the reader lost or doubled something."""
        came = (
            self.lines + self.list_items + self.gets + self.synthetic_deletes + self.timer_reentries
        )
        went = self.bookmarks + self.duplicates + self.server_errors + self.received
        return came - went

    def as_mapping(self) -> Mapping[str, int]:
        """The counts by the label of the metric ``zenstreams_source_read``."""
        return {
            "lines": self.lines,
            "list_items": self.list_items,
            "gets": self.gets,
            "synthetic_deletes": self.synthetic_deletes,
            "timer": self.timer_reentries,
            "bookmarks": self.bookmarks,
            "duplicates": self.duplicates,
            "server_errors": self.server_errors,
            "received": self.received,
        }

    def count_delivered(self, change: ObjectChange, origin: ReadOrigin) -> None:
        """Count a change that is delivered."""
        payload = change.payload
        if isinstance(payload, Tombstone) and payload.final_state_unknown:
            self.synthetic_deletes += 1
        else:
            self._count_read(origin, 1)
        self.received += 1

    def count_not_delivered(
        self, origin: ReadOrigin, reason: NotDelivered, *, count: int = 1
    ) -> None:
        """Count what was read and is not delivered."""
        self._count_read(origin, count)
        if reason is NotDelivered.DUPLICATE:
            self.duplicates += count
        elif reason is NotDelivered.BOOKMARK:
            self.bookmarks += count
        else:
            self.server_errors += count

    def count_timer_reentry(self) -> None:
        """Count an event that a timer sends through the pipeline again."""
        self.timer_reentries += 1
        self.received += 1

    def _count_read(self, origin: ReadOrigin, count: int) -> None:
        if origin is ReadOrigin.LINE:
            self.lines += count
        elif origin is ReadOrigin.LIST:
            self.list_items += count
        else:
            self.gets += count


class DirtyKeys:
    """Objects whose newest state was not processed: due as soon as there is room, or waiting for a suspension to end.

    Bounded by the number of known objects, and of removals that found no room. A key is in one place only.
    """

    __slots__ = ("_by_suspension", "_is_known", "_suspended", "due", "removed")

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self.due: dict[str, None] = {}
        """To be read again."""
        self.removed: dict[str, str] = {}
        """Removed before they were marked, so that nothing can be read: the uid of each, "" where it is unknown."""
        self._is_known = is_known
        self._suspended: dict[str, tuple[Suspension, str]] = {}
        self._by_suspension: dict[Suspension, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self.due) + len(self.removed) + len(self._suspended)

    def add(self, key: str, suspension: Suspension | None, *, uid: str = "") -> None:
        """Mark an object, until a suspension ends if it is still open; ``uid`` is that of a removed one."""
        self.clear(key)
        if suspension is not None and suspension.is_open:
            self._suspended[key] = suspension, uid
            self._by_suspension.setdefault(suspension, {})[key] = None
        elif self._is_known(key):
            self.due[key] = None
        else:
            self.removed[key] = uid

    def clear(self, key: str) -> None:
        """Unmark an object: its newest state was delivered."""
        self.due.pop(key, None)
        self.removed.pop(key, None)
        suspended = self._suspended.pop(key, None)
        if suspended is not None:
            suspension, _ = suspended
            keys = self._by_suspension[suspension]
            del keys[key]
            if not keys:
                del self._by_suspension[suspension]

    def put_last(self, key: str) -> None:
        """Let other keys go first: reading this one again, or checking its removal, brought nothing."""
        if self.due.pop(key, True) is None:
            self.due[key] = None
        elif key in self.removed:
            self.removed[key] = self.removed.pop(key)

    def release(self, now_ns: int) -> bool:
        """Make due the keys of ended suspensions, and one of each whose time to be tested has come.

        Releases at most ``RELEASED_AT_ONCE`` keys; returns whether more are to be released now.
        """
        left = RELEASED_AT_ONCE
        for suspension in tuple(self._by_suspension):
            if not suspension.is_open:
                for key in tuple(islice(self._by_suspension[suspension], left)):
                    self._release(key)
                    left -= 1
            elif now_ns >= suspension.retry_at_ns:
                # Moved before the key is released: of all subscribers that share a suspension, one tests it.
                suspension.retry_at_ns = now_ns + RETRY_EVERY_NS
                self._release(next(iter(self._by_suspension[suspension])))
        return any(not suspension.is_open for suspension in self._by_suspension)

    def release_at_ns(self) -> int | None:
        """When ``release`` is to be called at the latest (0: now); None if no key waits for a suspension."""
        return min(
            (one.retry_at_ns if one.is_open else 0 for one in self._by_suspension), default=None
        )

    def clear_all(self) -> None:
        """Unmark all objects: the subscription is closed."""
        for marked in (self.due, self.removed, self._suspended, self._by_suspension):
            marked.clear()

    def _release(self, key: str) -> None:
        _, uid = self._suspended[key]
        self.add(key, None, uid=uid)


class Subscription:
    """Delivers changes to one handler, in order for each object, and remembers what it must send again."""

    def __init__(
        self,
        reflector: Reflector,
        handler: Handler,
        *,
        options: SubscriptionOptions,
        dispatched_version: str,
        wake: Callable[[], None],
        on_close: Callable[[Subscription], None],
    ) -> None:
        self.target: WatchTarget = reflector.target
        self.room = options.room
        self.is_tracked = options.is_tracked
        self.read_counts = ReadCounts()
        self.synced = asyncio.Event()
        """Set once every object there was has been delivered, or marked dirty."""
        self.handler_errors = 0
        self.closed = False
        self.is_late = reflector.has_begun
        """Whether it came after the first list began, and waits for one of its own."""
        self.resync_at_ns: int | None = None
        """When every object is to be sent again (monotonic)."""
        self.dirty = DirtyKeys(reflector.store.__contains__)
        self._resync_ns = int(options.resync_seconds * NANOSECONDS_PER_SECOND)
        self._handler = handler
        self._store = reflector.store
        self._reflector = reflector
        self._dispatched_version = dispatched_version
        self._wake = wake
        self._on_close = on_close

    @property
    def up(self) -> bool:
        """Whether reading works now."""
        return self.condition is None

    @property
    def condition(self) -> Condition | None:
        """Why reading fails; None while it works."""
        return self._reflector.condition

    @property
    def known_objects(self) -> int:
        """How many objects there are."""
        return len(self._store)

    @property
    def dirty_objects(self) -> int:
        """How many objects are to be sent again."""
        return len(self.dirty)

    @property
    def last_activity_ns(self) -> int:
        """When something last arrived of the server, bookmarks included (monotonic); 0 before that."""
        return self._reflector.statistics.last_activity_ns

    @property
    def resource_version(self) -> str:
        """The version up to which every change was dispatched; "" before the first list is complete."""
        return self._reflector.version

    @property
    def counters(self) -> dict[str, Mapping[str, int]]:
        """Counts by metric and label: ``read`` of this subscriber; the others of the shared informer."""
        statistics = self._reflector.statistics
        return {
            "read": self.read_counts.as_mapping(),
            "connects": statistics.connects,
            "relists": statistics.relists,
            "failures": statistics.failures,
        }

    def knows(self, key: str) -> bool:
        """Whether there is such an object."""
        return key in self._store

    def keys(self) -> KeysView[str]:
        """The keys (``namespace/name``) of all objects, as a live view."""
        return self._store.keys()

    def has_missed(self, key: str) -> bool:
        """Whether it came late, and the newest state of an object was dispatched before it came."""
        version = self._store.version(key)
        return self.is_late and bool(version) and not is_older(self._dispatched_version, version)

    def head_of(self, raw: bytes) -> Head | None:
        """Decode the head of an object's bytes anew; None where they cannot be decoded."""
        try:
            return self._reflector.reader.read(raw).head
        except UnreadableError:
            return None

    def deliver(self, change: ObjectChange, origin: ReadOrigin) -> None:
        """Pass a change to the handler; a handler that raises does not affect other subscribers."""
        if self.closed:
            return
        self.read_counts.count_delivered(change, origin)
        # Before the handler: it may mark the key dirty at once, where there is no room.
        if self.dirty:
            self.dirty.clear(change.key)
        try:
            self._handler(change)
        except Exception as error:
            self.handler_errors += 1
            log.exception("handler failed", extra={"key": change.key, "detail": str(error)})

    def mark_dirty(self, key: str, suspension: Suspension | None = None, *, uid: str = "") -> None:
        """Have an object sent again, now or once a suspension ends: its newest state was not processed.

        ``uid`` is that of a removed object. What has no name cannot be read again; a removed object that is not tracked
        need not be.
        """
        if self.closed or not key or key.endswith("/"):
            return
        if self.knows(key) or self.is_tracked(key):
            self.dirty.add(key, suspension, uid=uid)
            self._wake()

    def notify_resumed(self) -> None:
        """Look for keys to release: a suspension may have ended."""
        self._wake()

    def schedule_resync(self, now_ns: int, *, since_ns: int) -> None:
        """Begin a resync period, if the subscriber requested any.

        All periods count from the informer's start, so that periods that are multiples of one another share lists.
        """
        period_ns = self._resync_ns
        if period_ns > 0:
            self.resync_at_ns = now_ns + period_ns - (now_ns - since_ns) % period_ns

    def close(self) -> None:
        """Deliver nothing any more; the last subscription to close stops the informer."""
        if not self.closed:
            self.closed = True
            self.dirty.clear_all()
            self._on_close(self)
