"""Lists, in one response or in pages of one version with continue tokens, and watches with bookmarks."""

from __future__ import annotations

import asyncio
import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from demo.apiserver.errors import (
    LOST_TOKEN,
    LOST_VERSION,
    TOO_OLD,
    StatusError,
    bad_request,
    expired,
    too_new,
)
from demo.apiserver.requests import Call, ReadOptions, read_options
from demo.apiserver.resources import Resource, last_state
from demo.apiserver.selectors import Matches, everything, selection
from demo.apiserver.store import Change, Entry, VersionExpired, Versions

ENCODING = "meta.k8s.io/v1"
_INVALID = "invalid continue token: continue key is not valid"
_WHEREVER = -1
"""The version in a token returned with a 410: the list continues at the newest state."""


class Continuation(msgspec.Struct, frozen=True):
    """A decoded continue token; `version` is None for an inconsistent continuation."""

    version: int | None
    behind: str

    def token(self) -> str:
        """Encode the token, opaque to clients."""
        version = _WHEREVER if self.version is None else self.version
        content = {"v": ENCODING, "rv": version, "start": f"/{self.behind}\0"}
        return urlsafe_b64encode(msgspec.json.encode(content)).decode().rstrip("=")


def read_token(token: str) -> Continuation:
    """Decode a token. Raises StatusError (400)."""
    try:
        written = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise _refused(f"illegal base64 data at input byte {len(token) // 4 * 4}") from None
    try:
        content = msgspec.json.decode(written, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        first = written[:1].decode("ascii", "replace")
        raise _refused(f"invalid character '{first}' looking for beginning of value") from None
    version, encoding, start = content.get("rv"), content.get("v"), content.get("start")
    if encoding != ENCODING:
        raise _refused(f"server does not recognize this encoded version {encoding}")
    if version == 0 or not isinstance(version, int) or not isinstance(start, str) or not start:
        raise _refused("incorrect encoded start resourceVersion")
    behind = start.removeprefix("/").removesuffix("\0")
    return Continuation(None if version == _WHEREVER else version, behind)


def _refused(why: str) -> StatusError:
    return bad_request(f"{_INVALID}: {why}")


@dataclass(frozen=True, slots=True)
class ListPage:
    """A page of a list, or the whole list."""

    entries: list[Entry]
    version: int
    token: str = ""
    """The continue token of the next page; "" on the last one."""

    remaining: int | None = None
    """The number of remaining objects; None with a selector."""

    def metadata(self) -> dict[str, Any]:
        """Return the list's metadata."""
        more = {"continue": self.token} if self.token else {}
        left = {} if self.remaining is None else {"remainingItemCount": self.remaining}
        return {"resourceVersion": str(self.version), **more, **left}


def list_page(call: Call, *, current: int) -> ListPage:
    """Return the requested page. Raises StatusError (400, 410, 422, 504)."""
    options = read_options(call.query, watch=False)
    matches = selector_of(call, options)
    if options.token:
        return _continued(call, options, matches, current=current)
    if options.version is not None and options.version > current:
        raise too_new(options.version, current)
    exact = options.match == "Exact" or (options.limit and options.version and not options.match)
    version = options.version if exact and options.version else current
    unlimited = options.version == 0  # as the server's cache answers it
    try:
        entries = call.resource.store.at(version)
    except VersionExpired:
        raise expired(LOST_VERSION) from None
    return _select_page(
        call, entries, matches, version=version, limit=0 if unlimited else options.limit, behind=""
    )


def selector_of(call: Call, options: ReadOptions) -> Matches:
    """Compile the selectors. Raises StatusError (400)."""
    return selection(options.labels, options.fields, known_fields=call.resource.kind.field_names)


def _continued(call: Call, options: ReadOptions, matches: Matches, *, current: int) -> ListPage:
    at = read_token(options.token)
    if options.version:
        raise bad_request("specifying resource version is not allowed when using continue")
    version = current if at.version is None else at.version
    if version > current:
        raise too_new(version, current)
    try:
        entries = call.resource.store.at(version)
    except VersionExpired:
        fresh = Continuation(None, at.behind).token()
        raise expired(LOST_TOKEN, token=fresh) from None
    return _select_page(
        call, entries, matches, version=version, limit=options.limit, behind=at.behind
    )


def _select_page(
    call: Call, entries: list[Entry], matches: Matches, *, version: int, limit: int, behind: str
) -> ListPage:
    prefix = f"{call.namespace}/" if call.namespace else ""
    first = _first_behind(entries, prefix + behind if behind else prefix)
    last = _first_behind(entries, prefix + "\U0010ffff") if prefix else len(entries)
    if not limit and matches is everything:
        return ListPage(entries[first:last], version)
    found: list[Entry] = []
    for at in range(first, last):
        if matches(entries[at]):
            if limit and len(found) == limit:
                return _cut(found, version, prefix=prefix, left=last - at, matches=matches)
            found.append(entries[at])
    return ListPage(found, version)


def _cut(found: list[Entry], version: int, *, prefix: str, left: int, matches: Matches) -> ListPage:
    token = Continuation(version, found[-1].key.removeprefix(prefix)).token()
    return ListPage(found, version, token, left if matches is everything else None)


def _first_behind(entries: list[Entry], key: str) -> int:
    """Return the index of the first object whose key is greater."""
    low, high = 0, len(entries)
    while low < high:
        middle = (low + high) // 2
        if entries[middle].key <= key:
            low = middle + 1
        else:
            high = middle
    return low


def encode_list(call: Call, listed: ListPage) -> bytes:
    """Encode a list."""
    resource = call.resource
    head = resource.item_head
    items = b",".join([head + resource.tail(entry) for entry in listed.entries])
    return _head(call, listed.metadata()) + items + b"]}"


def _head(call: Call, metadata: Mapping[str, Any]) -> bytes:
    served = call.resource.served
    names = {"kind": served.list_kind, "apiVersion": served.api_version, "metadata": metadata}
    return msgspec.json.encode(names)[:-1] + b',"items":['


CHUNK_BYTES = 256 * 1024
"""Bound of one write; other requests are served between two writes."""

LONGEST_SECONDS = 3600.0
"""Upper bound of a watch without timeoutSeconds; a genuine server takes 30 to 60 minutes."""

SHORTEST_SECONDS = 1800.0
BOOKMARK_SECONDS = 60.0
BEFORE_THE_END_SECONDS = 2.0
"""The last bookmark is sent this long before the end."""

_LOST = -1
"""A position before all history."""

INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class WatchView:
    """The selection and encoding of one watch."""

    resource: Resource
    matches: Matches
    prefix: str
    line: Callable[[str, Entry], bytes]
    plain: bool
    """Whether the events are those that all watches without a selector share."""

    def line_for(self, change: Change) -> bytes:
        """Return the event of a change, or b"" if it is not selected."""
        if self.plain:
            return self.resource.watch_line(change)
        was = change.before is not None and self.has(change.before)
        if change.after is not None and self.has(change.after):
            return self.line("MODIFIED" if was else "ADDED", change.after)
        return self.line("DELETED", last_state(change)) if was else b""

    def has(self, entry: Entry) -> bool:
        """Return whether an object is selected."""
        return entry.key.startswith(self.prefix) and self.matches(entry)


class Bookmarks:
    """The schedule of a watch: its bookmarks and its end, on the loop's clock."""

    def __init__(self, started: float, seconds: float, *, enabled: bool) -> None:
        self._now = asyncio.get_running_loop().time
        self._ends_at = started + seconds
        self._regular_at = started + BOOKMARK_SECONDS
        self._last_at = self._ends_at - BEFORE_THE_END_SECONDS
        self._enabled = enabled
        self._last_sent = not enabled or self._last_at <= started

    def is_over(self) -> bool:
        """Return whether the watch has reached its end."""
        return self._now() >= self._ends_at

    def take_due(self) -> bool:
        """Return whether a bookmark is due now, and schedule the next one if so."""
        now = self._now()
        if not self._enabled or now < self.next_at():
            return False
        self._last_sent = self._last_sent or now >= self._last_at
        self._regular_at = now + BOOKMARK_SECONDS
        return True

    def next_at(self) -> float:
        """Return the time of the next bookmark or the end."""
        if not self._enabled:
            return self._ends_at
        return min(self._regular_at, self._ends_at if self._last_sent else self._last_at)


class Watch:
    """One open watch. It has no queue: it reads the store's history at its own position."""

    def __init__(
        self, call: Call, options: ReadOptions, shown: WatchView, *, versions: Versions
    ) -> None:
        self._options = options
        self._shown = shown
        self._versions = versions
        self._store = call.resource.store
        self._history = call.resource.store.history
        self._next = 0

    async def chunks(self, *, seconds: float) -> AsyncIterator[bytes]:
        """Yield events, many per chunk.

        Ends at the timeout, when the resource is no longer served, or when the reader fell behind the history.
        """
        bookmarks = Bookmarks(
            asyncio.get_running_loop().time(), seconds, enabled=self._options.bookmarks
        )
        for chunk in self._beginning():
            yield chunk
        while self._next >= self._history.first:
            if self._next < self._history.end:
                yield self._changes()
            elif self._store.closed or bookmarks.is_over():
                return
            elif bookmarks.take_due():
                yield self._bookmark()
            else:
                # No await between the check above and the registration in `_wait`: a change in between would not
                # wake this watch.
                await self._wait(bookmarks.next_at())

    def _beginning(self) -> Iterator[bytes]:
        """Yield the initial events, or position the watch after a resourceVersion that is still in the history."""
        version = self._options.version
        if not version or self._options.initial_events is True:
            yield from self._initial()
        elif version >= self._history.floor:
            self._next = self._history.after(version)
        else:
            self._next = _LOST
            yield _event_line("ERROR", expired(TOO_OLD).status)

    def _initial(self) -> Iterator[bytes]:
        """Yield the objects as ADDED unless sendInitialEvents is false, then the closing bookmark (KEP-3157)."""
        entries = self._store.now() if self._options.initial_events is not False else []
        # The position is taken with the snapshot: changes while the chunks are sent come after them.
        self._next = self._history.end
        marked = self._options.bookmarks and self._options.initial_events is not False
        end = self._bookmark(INITIAL_END) if marked else b""
        held: list[bytes] = []
        size = 0
        for entry in entries:
            if self._shown.has(entry):
                held.append(self._shown.line("ADDED", entry))
                size += len(held[-1])
            if size >= CHUNK_BYTES:
                yield b"".join(held)
                held, size = [], 0
        yield b"".join([*held, end])

    def _changes(self) -> bytes:
        held: list[bytes] = []
        size = 0
        for change in self._history.since(self._next):
            line = self._shown.line_for(change)
            self._next += 1
            held.append(line)
            size += len(line)
            if size >= CHUNK_BYTES:
                break
        return b"".join(held)

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        """Encode a bookmark at the newest resourceVersion; all events up to it were yielded."""
        served = self._shown.resource.served
        metadata: dict[str, object] = {"resourceVersion": str(self._versions.current)}
        if annotations:
            metadata["annotations"] = annotations
        body = {"kind": served.kind, "apiVersion": served.api_version, "metadata": metadata}
        return _event_line("BOOKMARK", body)

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._history.changed()
        except TimeoutError:
            return


def _event_line(change: str, body: object) -> bytes:
    return msgspec.json.encode({"type": change, "object": body}) + b"\n"


def open_watch(
    call: Call, *, versions: Versions, line: Callable[[str, Entry], bytes] | None
) -> tuple[Watch, ReadOptions]:
    """Open a watch; `line` replaces the resource's own encoding. Raises StatusError (400, 422, 500, 504)."""
    options = read_options(call.query, watch=True)
    matches = selector_of(call, options)
    if options.initial_events and options.version and options.version > versions.current:
        raise too_new(options.version, versions.current)
    prefix = f"{call.namespace}/" if call.namespace else ""
    plain = line is None and matches is everything and not prefix
    shown = WatchView(call.resource, matches, prefix, line or call.resource.line, plain)
    return Watch(call, options, shown, versions=versions), options


def watch_seconds(options: ReadOptions, chance: Random) -> float:
    """Return the duration of a watch: timeoutSeconds, else a random one between the bounds."""
    return options.timeout_seconds or chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
