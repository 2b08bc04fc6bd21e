"""The reflector: list, watch, resume, relist, as a state machine without any I/O.

It says what to ask next and is told what came back; time and chance are parameters. So a simulation can drive it
through thousands of fault schedules. The rules are client-go's (tools/cache/reflector.go) where it has them; what
they keep true is one sentence: everything up to ``version`` was told, and the watch resumes exactly there.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from operators.flow.clock import NANOSECONDS_PER_SECOND
from streams.sources.informer.backoff import CAP_SECONDS, Backoff
from streams.sources.informer.book import Silence
from streams.sources.informer.condition import OUTDATED, Condition, Fault, Statistics, fault_of
from streams.sources.informer.decode import (
    Line,
    UnreadableError,
    read_line,
    read_object,
    read_status,
    read_version,
    unreadable,
)
from streams.sources.informer.listing import Listing
from streams.sources.informer.notice import Watched
from streams.sources.informer.steps import Heard, ListPage, OpenWatch, Resolve, Step, Wait
from streams.sources.informer.store import Store, is_older

SHORTEST_WATCH_NS = NANOSECONDS_PER_SECOND
"""A watch that ended sooner and brought nothing is a failure (client-go's VeryShortWatchError)."""
WATCH_SECONDS_LEAST = 300
"""Watches end after 5 to 10 minutes, spread, so that reconnects do not come in herds."""
KIND_MISSING_CAP_SECONDS = 5.0
"""An installed kind is met within 10 s."""
ERRORS_BEFORE_RELIST = 3
"""So often a watch is tried again from its version when the server answers with errors."""


class _Next(Enum):
    RESOLVE = 1
    LIST = 2
    WATCH = 3


class Reflector:
    """Keeps a store equal to what the API server holds, and says what changed on the way."""

    def __init__(self, watched: Watched, store: Store, *, random: Callable[[], float]) -> None:
        self.statistics = Statistics()
        self.condition: Condition | None = None
        self.has_begun = False
        """Whether a page was read already: who comes now has missed something."""
        self.synced = False
        """Whether a list was read to its end."""
        self.is_watching = False
        """Whether a watch is open that brought no error yet."""
        self._watched = watched
        self._store = store
        self._random = random
        self._backoff = Backoff(random)
        self._listing = Listing(watched, store)
        self._wait_until_ns = 0
        self._next = _Next.RESOLVE
        self._cause = "first"
        self._version = ""
        self._has_moved = False
        self._errors = 0
        self._opened_ns = 0
        self._opened_at = ""
        self._connect_reason = ""

    @property
    def version(self) -> str:
        """Up to where everything was told; the watch resumes here."""
        return self._version

    def next(self, now_ns: int) -> Step:
        """What to do now."""
        if now_ns < self._wait_until_ns:
            return Wait(self._wait_until_ns)
        if self._next is _Next.RESOLVE:
            return Resolve()
        if self._next is _Next.WATCH:
            return OpenWatch(self._watch_query())
        return ListPage(self._listing.query(self._version))

    def resolved(self) -> None:
        """The server serves what is to be watched."""
        self._begin_list(self._cause, fresh=True)

    def listed(self, body: bytes, now_ns: int) -> Heard:
        """Take in a page. What it holds is told at once; what it lacks, when the list is complete."""
        try:
            heard = self._listing.take(body, known_version=self._version, initial=not self.synced)
        except UnreadableError as error:
            self.failed(Fault.UNREADABLE, str(error), now_ns=now_ns)
            return Heard()
        self.has_begun = True
        self.condition = None
        self.statistics.last_activity_ns = now_ns
        if not self._listing.token:
            self._complete(self._listing.version)
        return heard

    def too_large(self, message: str, now_ns: int) -> None:
        """The page was larger than the client allows: the next one is smaller."""
        self._listing.shrink()
        self.failed(Fault.UNREADABLE, message, now_ns=now_ns)

    def opened(self, now_ns: int) -> None:
        """The watch was accepted."""
        self.statistics.connects[self._connect_reason] += 1
        self.statistics.last_activity_ns = now_ns
        self.condition = None
        self.is_watching = True
        self._opened_ns = now_ns
        self._opened_at = self._version

    def line(self, text: bytes, now_ns: int) -> Heard:
        """Take in one line of the watch; an error ends it (``is_watching``)."""
        self.statistics.last_activity_ns = now_ns
        try:
            line = read_line(text)
            if line.type in {"ADDED", "MODIFIED", "DELETED"}:
                return self._change(line)
            if line.type == "BOOKMARK":
                self._advance(read_version(line.object))
                return Heard(silent=1, why=Silence.BOOKMARK)
        except UnreadableError:
            return Heard([unreadable(text)])
        if line.type != "ERROR":
            return Heard([unreadable(text)])
        self.refused(0, line.object, now_ns=now_ns)
        return Heard(silent=1, why=Silence.SERVER_ERROR)

    def ended(self, now_ns: int) -> None:
        """The server ended the watch, as it does every few minutes; one that is new and brought nothing failed."""
        self._close("ended")
        if self._is_short(now_ns):
            self.failed(Fault.SHORT_WATCH, "the watch ended at once", now_ns=now_ns)

    def cut(self, message: str, now_ns: int) -> None:
        """The connection broke: a failure of what never was a watch, or was new and brought nothing.

        Proxies cut what is quiet for half a minute; that is no trouble, and there is more to be had.
        """
        if self.is_watching and not self._is_short(now_ns):
            self._close("cut")
        else:
            self.failed(Fault.UNREACHABLE, message, now_ns=now_ns)

    def idle(self) -> None:
        """Nothing came for longer than bookmarks are apart: the connection may be dead."""
        self._close("idle")

    def refused(
        self, status: int, body: bytes, *, now_ns: int, retry_after_seconds: float | None = None
    ) -> None:
        """Take in an answer that is not what was asked for; ``status`` 0 where only the body has one."""
        said = read_status(body)
        fault = fault_of(status or said.code, reason=said.reason, message=said.message)
        message = said.message or f"the server answered {status or said.code}"
        asked = said.retry_after_seconds if retry_after_seconds is None else retry_after_seconds
        self.failed(fault, message, now_ns=now_ns, retry_after_seconds=asked)

    def failed(
        self, fault: Fault, message: str, *, now_ns: int, retry_after_seconds: float = 0.0
    ) -> None:
        """A request or a watch came to nothing: note why, when to ask again, and for what."""
        self._close("failed")
        self.statistics.failures[fault.value] += 1
        if fault is not Fault.EXPIRED and (
            self.condition is None or self.condition.reason != fault.value
        ):
            self.condition = Condition(fault.value, message, now_ns)
        self._turn(fault)
        cap = KIND_MISSING_CAP_SECONDS if fault is Fault.KIND_MISSING else CAP_SECONDS
        self._wait_until_ns = now_ns + self._backoff.next_ns(
            now_ns, cap_seconds=cap, asked_seconds=retry_after_seconds
        )

    def _turn(self, fault: Fault) -> None:
        """What a fault means for what is asked next; where it means nothing, the same again."""
        listing = self._listing
        if fault is Fault.KIND_MISSING:
            self._next = _Next.RESOLVE
            self._cause = fault.value
        elif self._next is _Next.LIST and fault in OUTDATED:
            self._begin_list(self._cause, fresh=listing.is_fresh or not listing.token)
        elif self._next is _Next.WATCH:
            self._errors += fault is Fault.SERVER_ERROR
            if fault in OUTDATED or self._errors >= ERRORS_BEFORE_RELIST:
                # A list from which nothing came before its version expired was too old itself.
                expired = fault is Fault.EXPIRED and self._has_moved
                self._begin_list(fault.value, fresh=not (expired or fault is Fault.SERVER_ERROR))

    def _begin_list(self, cause: str, *, fresh: bool) -> None:
        self.statistics.relists[cause] += 1
        self._next = _Next.LIST
        self._cause = cause
        self._listing.begin(fresh=fresh)

    def _complete(self, version: str) -> None:
        self._next = _Next.WATCH
        self._connect_reason = "listed"
        self._version = self.statistics.version = version
        self._has_moved = False
        self._errors = 0
        self.synced = True

    def _change(self, line: Line) -> Heard:
        found = read_object(line.object)
        if line.type == "DELETED":
            news = self._store.remove(found)
            for notice in news:
                notice.is_doubtful = self._watched.is_selective and not found.is_terminating
        else:
            news = self._store.observe(found)
        self._advance(found.version)
        return Heard(news, silent=not news)

    def _advance(self, version: str) -> None:
        if version == self._version or is_older(version, self._version):
            return
        self._version = self.statistics.version = version
        self._has_moved = True
        self._errors = 0

    def _is_short(self, now_ns: int) -> bool:
        return self._version == self._opened_at and now_ns - self._opened_ns < SHORTEST_WATCH_NS

    def _close(self, reason: str) -> None:
        self.is_watching = False
        self._connect_reason = reason

    def _watch_query(self) -> dict[str, str]:
        seconds = int(WATCH_SECONDS_LEAST * (1 + self._random()))
        return {
            **self._watched.selectors(),
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
        }
