"""The reflector: list, watch, resume, relist, as a state machine without any I/O.

``next_step`` returns what to request; the ``on_`` methods take what came of it. Time and randomness are parameters,
so that a simulation can drive it through thousands of fault schedules. The rules are client-go's where it has them
(tools/cache/reflector.go). The invariant: every change up to ``version`` was returned by an ``on_`` method, and the
watch resumes exactly there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from operators.flow.backoff import Backoff, BackoffSettings
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import ApiResource
from streams.sources.informer.decode import (
    ObjectReader,
    Page,
    UnreadableError,
    WatchEvent,
    decode_watch_event,
    read_status,
    read_version,
    recognise_watch_event,
)
from streams.sources.informer.listing import (
    Listing,
    NotDelivered,
    ReflectorOutput,
    removal_output,
)
from streams.sources.informer.store import Store, is_older
from streams.sources.informer.target import WatchTarget

READ_BACKOFF = BackoffSettings(0.8, 30.0, reset_after_seconds=120.0)
"""Of all requests of an informer: client-go's reflector (tools/cache/reflector.go), at most 7 failures in a minute."""
SHORTEST_WATCH_NS = NANOSECONDS_PER_SECOND
"""A watch that ended sooner and brought nothing is a failure (client-go's VeryShortWatchError)."""
WATCH_SECONDS_LEAST = 300
"""Watches end after 5 to 10 minutes, spread, so that clients do not reconnect at the same time (client-go)."""
KIND_MISSING_CAP_SECONDS = 5.0
"""A kind that is installed later is found within 10 s."""
ERRORS_BEFORE_RELIST = 3
"""So often a watch is retried from its version while the server responds with errors."""


class Fault(StrEnum):
    """Why a request, or a watch, failed; the reason of a condition, and a label of metrics."""

    EXPIRED = "Expired"
    VERSION_TOO_LARGE = "VersionTooLarge"
    """The server is behind what was already read."""
    INVALID = "Invalid"
    UNAUTHORIZED = "Unauthorized"
    FORBIDDEN = "Forbidden"
    KIND_MISSING = "KindMissing"
    TOO_MANY_REQUESTS = "TooManyRequests"
    SERVER_ERROR = "ServerError"
    UNREACHABLE = "Unreachable"
    UNREADABLE = "Unreadable"
    SHORT_WATCH = "ShortWatch"
    """A watch that ended within a second and brought nothing."""


VERSION_FAULTS = frozenset({Fault.EXPIRED, Fault.INVALID, Fault.VERSION_TOO_LARGE})
"""The responses to a resourceVersion or a continue token that the server cannot serve from."""

_BY_STATUS = {
    400: Fault.INVALID,
    401: Fault.UNAUTHORIZED,
    403: Fault.FORBIDDEN,
    404: Fault.KIND_MISSING,
    406: Fault.INVALID,
    410: Fault.EXPIRED,
    422: Fault.INVALID,
    429: Fault.TOO_MANY_REQUESTS,
}


def fault_of(code: int, *, reason: str, message: str) -> Fault:
    """Classify a Status: by reason and text first, for a gateway may have changed the code.

    "Too large resource version" comes as 504 with reason Timeout (apiserver, storage/errors.go); a 504
    without it is a server error.
    """
    if reason in {"Expired", "Gone"}:
        return Fault.EXPIRED
    if "Too large resource version" in message:
        return Fault.VERSION_TOO_LARGE
    return _BY_STATUS.get(code, Fault.SERVER_ERROR)


@dataclass(frozen=True, slots=True)
class Condition:
    """Why reading fails now: the reason, and the message of the first failure for it."""

    reason: str
    message: str


@dataclass(slots=True)
class Statistics:
    """Counts of one informer, read by metrics at scrape time. Keys come from small closed sets."""

    connects: Counter[str] = field(default_factory=Counter[str])
    """Watches opened, by what came before: listed, ended, cut, idle, failed."""
    relists: Counter[str] = field(default_factory=Counter[str])
    """Lists begun, by cause: first, or the value of a ``Fault``."""
    failures: Counter[str] = field(default_factory=Counter[str])
    """Failed requests and watches, by ``Fault``."""
    last_activity_ns: int = 0
    """When something last arrived, bookmarks included (monotonic)."""


@dataclass(frozen=True, slots=True)
class Discover:
    """Find out by discovery whether the server serves the target's resource."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """Request a page of a list."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Open a watch, and pass every line to ``on_line``."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wait:
    """Request nothing before a moment (monotonic nanoseconds)."""

    until_ns: int


Step = Discover | ListPage | OpenWatch | Wait


class _Next(Enum):
    RESOLVE = 1
    LIST = 2
    WATCH = 3


class Reflector:
    """Keeps a store equal to what the API server holds, and returns what changed."""

    def __init__(
        self,
        target: WatchTarget,
        store: Store,
        reader: ObjectReader,
        *,
        random: Callable[[], float],
    ) -> None:
        self.target = target
        self.store = store
        self.reader = reader
        self.statistics = Statistics()
        self.condition: Condition | None = None
        self.has_begun = False
        """Whether a page was read: a later subscriber has missed its objects."""
        self.synced = False
        """Whether a list was read to its end."""
        self.is_watching = False
        """Whether a watch is open that brought no error yet."""
        self._random = random
        self._backoff = Backoff(READ_BACKOFF, random=random)
        self._listing = Listing(target, store, reader)
        self._wait_until_ns = 0
        self._next = _Next.RESOLVE
        self._cause = "first"
        self._version = ""
        self._has_advanced = False
        self._errors = 0
        self._opened_ns = 0
        self._opened_at = ""
        self._connect_reason = ""

    @property
    def version(self) -> str:
        """The version up to which every change was returned; the watch resumes here."""
        return self._version

    def next_step(self, now_ns: int) -> Step:
        """What to do now."""
        if now_ns < self._wait_until_ns:
            return Wait(self._wait_until_ns)
        if self._next is _Next.RESOLVE:
            return Discover()
        if self._next is _Next.WATCH:
            return OpenWatch(self._watch_query())
        return ListPage(self._listing.query(self._version))

    def on_discovered(self, resource: ApiResource) -> None:
        """The server serves the target's resource: list it."""
        self.store.resource = resource
        self._begin_list(self._cause, fresh=True)

    def on_page(self, body: bytes, now_ns: int) -> Iterator[ReflectorOutput]:
        """Take a page of the list: its objects, and after the last page the removal of what the list lacks.

        The iterator does the work in parts. Dispatch each output before the next is taken, and take all of them before
        the next step; between two of them the loop may be given back.
        """
        try:
            page = self._listing.accept(body, known_version=self._version)
        except UnreadableError as error:
            self.on_failure(Fault.UNREADABLE, str(error), now_ns=now_ns)
            return iter(())
        # Before the first output: who subscribes between two of them must get a list of its own.
        self.has_begun = True
        self.condition = None
        self.statistics.last_activity_ns = now_ns
        return self._outputs(page)

    def on_page_too_large(self, message: str, now_ns: int) -> None:
        """The page was larger than the client allows: the next one is smaller."""
        self._listing.shrink()
        self.on_failure(Fault.UNREADABLE, message, now_ns=now_ns)

    def on_watch_opened(self, now_ns: int) -> None:
        """The server accepted the watch."""
        self.statistics.connects[self._connect_reason] += 1
        self.statistics.last_activity_ns = now_ns
        self.condition = None
        self.is_watching = True
        self._opened_ns = now_ns
        self._opened_at = self._version

    def on_line(self, line: bytes, now_ns: int) -> ReflectorOutput:
        """Take one line of the watch; an error closes the watch (``is_watching``)."""
        self.statistics.last_activity_ns = now_ns
        # Recognised first, as it costs nothing; an unreadable object may be due to an encoding that was not recognised.
        # Nothing changes before an object is read, so that trying twice is safe.
        for parse in (recognise_watch_event, decode_watch_event):
            try:
                return self._on_event(parse(line), now_ns)
            except UnreadableError:
                continue
        return ReflectorOutput([self.store.unreadable(line)])

    def on_watch_ended(self, now_ns: int) -> None:
        """The server ended the watch, as it does every few minutes; one that is new and brought nothing failed."""
        self._close("ended")
        if self._is_short(now_ns):
            self.on_failure(Fault.SHORT_WATCH, "the watch ended at once", now_ns=now_ns)

    def on_connection_lost(self, message: str, now_ns: int) -> None:
        """The connection broke: a failure where no watch was open, or one that is new and brought nothing.

        Proxies cut connections that are quiet for half a minute: the watch is resumed at once.
        """
        if self.is_watching and not self._is_short(now_ns):
            self._close("cut")
        else:
            self.on_failure(Fault.UNREACHABLE, message, now_ns=now_ns)

    def on_idle(self) -> None:
        """Nothing came for longer than bookmarks are apart: the connection may be broken, the watch is resumed."""
        self._close("idle")

    def on_error_response(
        self, status: int, body: bytes, *, now_ns: int, retry_after_seconds: float | None = None
    ) -> None:
        """Take a response that is not what was requested; ``status`` 0 where only the body has one."""
        error = read_status(body)
        fault = fault_of(status or error.code, reason=error.reason, message=error.message)
        message = error.message or f"the server responded {status or error.code}"
        retry = error.retry_after_seconds if retry_after_seconds is None else retry_after_seconds
        self.on_failure(fault, message, now_ns=now_ns, retry_after_seconds=retry)

    def on_failure(
        self, fault: Fault, message: str, *, now_ns: int, retry_after_seconds: float = 0.0
    ) -> None:
        """A request or a watch failed: record why, and decide what to request next, and when."""
        self._close("failed")
        self.statistics.failures[fault.value] += 1
        if fault is not Fault.EXPIRED and (
            self.condition is None or self.condition.reason != fault.value
        ):
            self.condition = Condition(fault.value, message)
        self._redirect(fault)
        cap_seconds = KIND_MISSING_CAP_SECONDS if fault is Fault.KIND_MISSING else None
        self._wait_until_ns = now_ns + self._backoff.next_ns(
            now_ns, retry_after_seconds=retry_after_seconds, cap_seconds=cap_seconds
        )

    def _redirect(self, fault: Fault) -> None:
        """Decide what is requested after a fault; the same again, unless the fault requires another step."""
        listing = self._listing
        if fault is Fault.KIND_MISSING:
            self._next = _Next.RESOLVE
            self._cause = fault.value
        elif self._next is _Next.LIST and fault in VERSION_FAULTS:
            self._begin_list(self._cause, fresh=listing.is_fresh or not listing.token)
        elif self._next is _Next.WATCH:
            self._errors += fault is Fault.SERVER_ERROR
            if fault in VERSION_FAULTS or self._errors >= ERRORS_BEFORE_RELIST:
                # A list from which nothing came before its version expired was too old itself.
                expired = fault is Fault.EXPIRED and self._has_advanced
                self._begin_list(fault.value, fresh=not (expired or fault is Fault.SERVER_ERROR))

    def _begin_list(self, cause: str, *, fresh: bool) -> None:
        self.statistics.relists[cause] += 1
        self._next = _Next.LIST
        self._cause = cause
        self._listing.begin(fresh=fresh)

    def _outputs(self, page: Page) -> Iterator[ReflectorOutput]:
        yield from self._listing.outputs(page, initial=not self.synced)
        if page.token:
            return
        # Only now: the version may be resumed from once all that the list holds and lacks was returned.
        self._next = _Next.WATCH
        self._connect_reason = "listed"
        self._version = self._listing.version
        self._has_advanced = False
        self._errors = 0
        self.synced = True

    def _on_event(self, event: WatchEvent, now_ns: int) -> ReflectorOutput:
        if event.type in {"ADDED", "MODIFIED", "DELETED"}:
            return self._on_change(event)
        if event.type == "BOOKMARK":
            self._advance(read_version(event.object))
            return ReflectorOutput(not_delivered=1, reason=NotDelivered.BOOKMARK)
        if event.type == "ERROR":
            self.on_error_response(0, event.object, now_ns=now_ns)
            return ReflectorOutput(not_delivered=1, reason=NotDelivered.SERVER_ERROR)
        raise UnreadableError(f"found the type {event.type!r} of a watch event")

    def _on_change(self, event: WatchEvent) -> ReflectorOutput:
        found = self.reader.read(event.object)
        # The store before the version: the watch must never resume behind a change that was not returned.
        if event.type == "DELETED":
            changes = self.store.remove(found)
            if changes and not found.is_terminating:
                self._advance(found.version)
                return removal_output(changes, target=self.target)
        else:
            changes = self.store.observe(found)
        self._advance(found.version)
        return ReflectorOutput(changes, not_delivered=not changes)

    def _advance(self, version: str) -> None:
        if version == self._version or is_older(version, self._version):
            return
        self._version = version
        self._has_advanced = True
        self._errors = 0

    def _is_short(self, now_ns: int) -> bool:
        return self._version == self._opened_at and now_ns - self._opened_ns < SHORTEST_WATCH_NS

    def _close(self, reason: str) -> None:
        self.is_watching = False
        self._connect_reason = reason

    def _watch_query(self) -> dict[str, str]:
        seconds = int(WATCH_SECONDS_LEAST * (1 + self._random()))
        return {
            **self.target.selector_query(),
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
