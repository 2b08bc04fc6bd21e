"""The reflector: list, watch, resume, relist, as a state machine without any I/O.

It says what to ask next and is told what came back; time and chance are parameters. So a simulation can drive it
through thousands of fault schedules a second. The rules are client-go's (tools/cache/reflector.go) where it has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from operators.clock import NANOSECONDS_PER_SECOND
from streams.informers.backoff import CAP_SECONDS, Backoff
from streams.informers.book import Silence
from streams.informers.condition import Condition, Fault, Statistics, fault_of
from streams.informers.decode import (
    Line,
    Status,
    UnreadableError,
    read_line,
    read_object,
    read_page,
    read_status,
    read_version,
    unreadable,
)
from streams.informers.notice import Notice, Watched
from streams.informers.paging import Paging
from streams.informers.store import Store

SHORTEST_WATCH_NS = NANOSECONDS_PER_SECOND
"""A watch that ended sooner and brought nothing is a failure (client-go's VeryShortWatchError)."""
WATCH_SECONDS_LEAST = 300
"""Watches end after 5 to 10 minutes, spread, so that reconnects do not come in herds."""
KIND_MISSING_CAP_SECONDS = 5.0
"""An installed kind is met within 10 s."""
ERRORS_BEFORE_RELIST = 3
OK = 200


@dataclass(frozen=True, slots=True)
class ListPage:
    """Ask for a page of a list."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class OpenWatch:
    """Open a watch, and tell every line."""

    query: dict[str, str]


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask nothing before a moment (monotonic nanoseconds)."""

    until_ns: int


Step = ListPage | OpenWatch | Wait


@dataclass(slots=True)
class Heard:
    """What came of one page or one line: notices to tell, and how much is told to nobody, and why."""

    notices: list[Notice] = field(default_factory=list[Notice])
    silent: int = 0
    why: Silence = Silence.DUPLICATE


class Reflector:
    """Keeps a store equal to what the API server holds, and says what changed on the way."""

    def __init__(self, watched: Watched, store: Store, *, random: Callable[[], float]) -> None:
        self.statistics = Statistics()
        self.condition: Condition | None = None
        self.synced = False
        """Whether a list was read to its end."""
        self.watch_failed = False
        """Whether the open watch brought an error after which it is to be closed."""
        self.kind_missing = False
        self._watched = watched
        self._store = store
        self._random = random
        self._backoff = Backoff(random)
        self._paging = Paging(watched.selectors())
        self._wait_until_ns = 0
        self._listing = True
        self._cause = "first"
        self._listed: set[str] = set()
        self._token = ""
        self._not_older_than = ""
        self._version = ""
        self._errors = 0
        self._lines = 0
        self._opened_ns = 0
        self._connect_reason = "listed"

    @property
    def version(self) -> str:
        """Up to where everything was told; the watch resumes here."""
        return self._version

    @property
    def has_begun(self) -> bool:
        """Whether a page was read already: who comes now has missed something."""
        return self.statistics.last_activity_ns > 0

    def next(self, now_ns: int) -> Step:
        """What to do now."""
        if now_ns < self._wait_until_ns:
            return Wait(self._wait_until_ns)
        if not self._listing:
            return OpenWatch(self._watch_query())
        if self._token:
            return ListPage(self._paging.following(self._token))
        self.statistics.relists[self._cause] += 1
        self._listed.clear()
        return ListPage(self._paging.first(self._not_older_than))

    def listed(self, status: int, body: bytes, *, now_ns: int, retry_after: float | None) -> Heard:
        """Take in the answer to a page."""
        if status != OK:
            self._refused(status, body, now_ns=now_ns, retry_after=retry_after)
            return Heard()
        try:
            page = read_page(body)
        except UnreadableError as error:
            self.failed(Fault.UNREADABLE, str(error), now_ns=now_ns)
            return Heard()
        self.statistics.last_activity_ns = now_ns
        self._paging.weigh(len(body))
        heard = Heard()
        for raw in page.objects:
            self._item(bytes(raw), heard)
        self._token = page.token
        if not page.token:
            self._complete(page.version, heard)
        return heard

    def opened(self, now_ns: int) -> None:
        """Note that the watch was accepted."""
        self.statistics.connects[self._connect_reason] += 1
        self.statistics.last_activity_ns = now_ns
        self._opened_ns = now_ns
        self._lines = 0
        self.watch_failed = False
        self.condition = None

    def watch_refused(
        self, status: int, body: bytes, *, now_ns: int, retry_after: float | None
    ) -> None:
        """Take in an answer that is no watch."""
        self._refused(status, body, now_ns=now_ns, retry_after=retry_after)

    def line(self, text: bytes, now_ns: int) -> Heard:
        """Take in one line of the watch."""
        self._lines += 1
        self.statistics.last_activity_ns = now_ns
        try:
            line = read_line(text)
        except UnreadableError:
            return Heard([unreadable(text)])
        if line.type in {"ADDED", "MODIFIED", "DELETED"}:
            return self._change(line)
        if line.type == "BOOKMARK":
            return self._bookmark(bytes(line.object))
        if line.type == "ERROR":
            self._in_stream(read_status(line.object), now_ns=now_ns)
        return Heard(silent=1, why=Silence.SERVER_ERROR)

    def ended(self, now_ns: int) -> None:
        """The server ended the watch, as it does every few minutes."""
        if self._lines == 0 and now_ns - self._opened_ns < SHORTEST_WATCH_NS:
            self.failed(Fault.SHORT_WATCH, "a watch ended at once", now_ns=now_ns)
        self._connect_reason = "ended"

    def idle(self) -> None:
        """Nothing came for longer than bookmarks are apart: the connection may be dead."""
        self._connect_reason = "idle"

    def failed(
        self, fault: Fault, message: str, *, now_ns: int, retry_after: float | None = None
    ) -> None:
        """A request or a watch came to nothing: note why, and when to ask again, and for what."""
        self.statistics.failures[fault.value] += 1
        self._connect_reason = "failed"
        if self.condition is None or self.condition.reason != fault.value:
            self.condition = Condition(fault.value, message, now_ns)
        self._after(fault)
        if fault is Fault.EXPIRED and self._cause == Fault.EXPIRED.value and self._errors == 0:
            return
        cap = KIND_MISSING_CAP_SECONDS if fault is Fault.KIND_MISSING else CAP_SECONDS
        wait_ns = self._backoff.next_ns(now_ns, cap_seconds=cap)
        if retry_after is not None:
            asked = retry_after + self._random()
            wait_ns = max(int(asked * NANOSECONDS_PER_SECOND), 0)
        self._wait_until_ns = now_ns + wait_ns

    def _after(self, fault: Fault) -> None:
        """What a fault means for what is asked next."""
        was_listing = self._listing
        self._errors = self._errors + 1 if was_listing or fault is Fault.SERVER_ERROR else 0
        if fault in {Fault.EXPIRED, Fault.INVALID, Fault.KIND_MISSING, Fault.VERSION_TOO_LARGE}:
            self._relist(fault, fresh=was_listing or fault is Fault.KIND_MISSING)
        elif not was_listing and self._errors >= ERRORS_BEFORE_RELIST:
            self._relist(fault, fresh=False)
        self.kind_missing = fault is Fault.KIND_MISSING

    def _relist(self, fault: Fault, *, fresh: bool) -> None:
        """Begin a list; what an unfinished one brought to light of absences is thrown away."""
        self._listing = True
        self._cause = fault.value
        self._token = ""
        self._listed.clear()
        self._not_older_than = "" if fresh else self._version

    def _refused(self, status: int, body: bytes, *, now_ns: int, retry_after: float | None) -> None:
        said = read_status(body)
        fault = fault_of(status, reason=said.reason, message=said.message)
        self.failed(
            fault, said.message or f"status {status}", now_ns=now_ns, retry_after=retry_after
        )

    def _in_stream(self, said: Status, *, now_ns: int) -> None:
        fault = fault_of(said.code, reason=said.reason, message=said.message)
        self.watch_failed = True
        asked = said.retry_after_seconds or None
        self.failed(fault, said.message, now_ns=now_ns, retry_after=asked)

    def _item(self, raw: bytes, heard: Heard) -> None:
        try:
            found = read_object(raw)
        except UnreadableError:
            heard.notices.append(unreadable(raw))
            return
        self._listed.add(found.key)
        news = self._store.observe(found, initial=not self.synced)
        heard.notices += news
        heard.silent += not news

    def _complete(self, version: str, heard: Heard) -> None:
        lost = self._store.retain(self._listed, at_version=version)
        for notice in lost:
            notice.is_doubtful = self._watched.is_selective
        heard.notices += lost
        self._listed = set()
        self._listing = False
        self.synced = True
        self.condition = None
        self._errors = 0
        self._connect_reason = "listed"
        self._advance(version)

    def _change(self, line: Line) -> Heard:
        try:
            found = read_object(line.object)
        except UnreadableError:
            return Heard([unreadable(bytes(line.object))])
        self._advance(found.version)
        self._errors = 0
        if line.type != "DELETED":
            news = self._store.observe(found)
        else:
            news = self._store.remove(found)
            for notice in news:
                notice.is_doubtful = self._watched.is_selective and not found.is_terminating
        return Heard(news, silent=not news)

    def _bookmark(self, raw: bytes) -> Heard:
        try:
            self._advance(read_version(raw))
        except UnreadableError:
            return Heard(silent=1, why=Silence.SERVER_ERROR)
        return Heard(silent=1, why=Silence.BOOKMARK)

    def _advance(self, version: str) -> None:
        self._version = self.statistics.version = version

    def _watch_query(self) -> dict[str, str]:
        seconds = WATCH_SECONDS_LEAST * (1 + self._random())
        return {
            **self._watched.selectors(),
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(int(seconds)),
        }
