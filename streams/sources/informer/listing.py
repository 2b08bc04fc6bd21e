"""Complete lists, page by page: what a list holds is dispatched as it is read, what it lacks at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import islice

import msgspec

from streams.sources.informer.decode import ObjectReader, Page, UnreadableError, read_page
from streams.sources.informer.store import ObjectChange, Store, is_older
from streams.sources.informer.target import WatchTarget

MAXIMUM_OBJECTS = 500
"""client-go's page size (tools/pager)."""
MINIMUM_OBJECTS = 50
"""A list of many smaller requests takes longer than its token lives (5 minutes at 5 requests a second)."""
TARGET_BYTES = 4 * 1024 * 1024
"""The size of a page that is aimed at: it is decoded in one go, and the event loop is blocked meanwhile."""
OBJECTS_AT_ONCE = 100
"""Objects that are decoded and dispatched before yielding to the event loop: about a millisecond."""


class ReadOrigin(Enum):
    """What brought a state to the reader."""

    LINE = "line"
    LIST = "list"
    GET = "get"


class NotDelivered(Enum):
    """Why something that was read is delivered to no handler."""

    BOOKMARK = "bookmark"
    DUPLICATE = "duplicate"
    SERVER_ERROR = "server_error"


class ReflectorOutput(msgspec.Struct):
    """What came of one line, or of a part of a page: changes to dispatch, then removals; how much is not delivered."""

    changes: list[ObjectChange] = []
    removals: list[ObjectChange] = []
    """Removals of a target with a selector: each object was deleted, or only left the selector."""
    not_delivered: int = 0
    reason: NotDelivered = NotDelivered.DUPLICATE


class Paging:
    """The queries of one list after another; the page size follows the size in bytes of the page before."""

    __slots__ = ("_limit", "_selector_query")

    def __init__(self, selector_query: dict[str, str]) -> None:
        self._selector_query = selector_query
        self._limit = MAXIMUM_OBJECTS

    def first(self, not_older_than: str) -> dict[str, str]:
        """Begin a list; "" requests the most recent state (with a limit, a bare version would mean Exact)."""
        query = {**self._selector_query, "limit": str(self._limit)}
        if not_older_than:
            query["resourceVersion"] = not_older_than
            query["resourceVersionMatch"] = "NotOlderThan"
        return query

    def following(self, token: str) -> dict[str, str]:
        """Continue a list; the token holds its version."""
        return {**self._selector_query, "limit": str(self._limit), "continue": token}

    def adapt(self, page_bytes: int) -> None:
        """Halve the page size above 4 MiB, but not below 50 objects; double it below a quarter of that, up to 500."""
        if page_bytes > TARGET_BYTES:
            self._limit = min(self._limit, max(self._limit // 2, MINIMUM_OBJECTS))
        elif page_bytes < TARGET_BYTES // 4:
            self._limit = min(self._limit * 2, MAXIMUM_OBJECTS)

    def shrink(self) -> None:
        """Halve the page size, down to one object: a page was too large to be read."""
        self._limit = max(self._limit // 2, 1)


class Listing:
    """The reflector's list under way. Every page shows the version of the first one, where the watch will open.

    Only what a complete list lacks is removed: an abandoned one removes nothing.
    """

    def __init__(self, target: WatchTarget, store: Store, reader: ObjectReader) -> None:
        self.is_fresh = True
        """Whether it requests the most recent state, instead of one not older than what was read."""
        self.token = ""
        """Requests the next page; "" before the first and after the last."""
        self.version = ""
        self._target = target
        self._store = store
        self._reader = reader
        self._paging = Paging(target.selector_query())
        self._listed: set[str] = set()

    def begin(self, *, fresh: bool) -> None:
        """Begin anew."""
        self.is_fresh = fresh
        self.token = ""
        self._listed = set()

    def query(self, known_version: str) -> dict[str, str]:
        """The query of the next page."""
        if self.token:
            return self._paging.following(self.token)
        return self._paging.first("" if self.is_fresh else known_version)

    def accept(self, body: bytes, *, known_version: str) -> Page:
        """Accept a page as the next one, without decoding its objects. Raises ``UnreadableError``."""
        page = read_page(body)
        self._paging.adapt(len(body))
        if not self.token:
            self.version = page.version
            if self.is_fresh and is_older(page.version, known_version):
                self._store.forget_versions()  # the server was restored from a backup
        self.token = page.token
        return page

    def outputs(self, page: Page, *, initial: bool) -> Iterator[ReflectorOutput]:
        """Decode the objects of a page, and after the last page remove what the list lacks.

        Each output holds at most ``OBJECTS_AT_ONCE`` objects, and is to be dispatched before the next is taken.
        """
        for part in _parts(page.objects):
            output = ReflectorOutput()
            for raw in part:
                self._add(bytes(raw), output, initial=initial)
            yield output
        if not page.token:
            yield from self._removals()

    def shrink(self) -> None:
        """Request smaller pages: one was too large to be read."""
        self._paging.shrink()

    def _add(self, raw: bytes, output: ReflectorOutput, *, initial: bool) -> None:
        try:
            found = self._reader.read(raw)
        except UnreadableError:
            output.changes.append(self._store.unreadable(raw))
            return
        self._listed.add(found.key)
        changes = self._store.observe(found, initial=initial)
        output.changes += changes
        output.not_delivered += not changes

    def _removals(self) -> Iterator[ReflectorOutput]:
        listed, self._listed = self._listed, set()
        removed = self._store.retain(listed, at_version=self.version)
        # A step of ``removed`` takes an object out of the store: a part is dispatched before the next one is taken.
        while part := list(islice(removed, OBJECTS_AT_ONCE)):
            yield removal_output(part, target=self._target)


def removal_output(removals: list[ObjectChange], *, target: WatchTarget) -> ReflectorOutput:
    """Of a target with a selector it must be found out whether the objects still exist."""
    if target.has_selector:
        return ReflectorOutput(removals=removals)
    return ReflectorOutput(removals)


def _parts(objects: Iterable[msgspec.Raw]) -> Iterator[list[msgspec.Raw]]:
    rest = iter(objects)
    while part := list(islice(rest, OBJECTS_AT_ONCE)):
        yield part
