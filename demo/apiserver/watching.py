"""Watches: what there is, then what happens, line by line, until the time is up or the reader too slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from random import Random

import msgspec

from demo.apiserver.answers import TOO_OLD, expired, too_new
from demo.apiserver.calls import Call
from demo.apiserver.history import Entry, Happened, Versions
from demo.apiserver.listing import selected
from demo.apiserver.options import Reading, reading
from demo.apiserver.resources import Resource, gone
from demo.apiserver.selectors import Matches, everything

CHUNK_BYTES = 256 * 1024
"""Written at once; between two chunks other requests have their turn."""

LONGEST_SECONDS = 3600.0
"""A watch that names no time; a genuine server takes 30 to 60 minutes."""

SHORTEST_SECONDS = 1800.0
BOOKMARK_SECONDS = 60.0
BEFORE_THE_END_SECONDS = 2.0
"""A bookmark comes that long before the end."""

_LOST = -1
"""Before all that is remembered."""

INITIAL_END = {"k8s.io/initial-events-end": "true"}


@dataclass(frozen=True, slots=True)
class Shown:
    """How one watch sees a resource: another form of the objects, or a selection."""

    resource: Resource
    matches: Matches
    prefix: str
    line: Callable[[str, Entry], bytes]
    plain: bool
    """Whether the lines are those that every plain watch shares."""

    def told(self, happened: Happened) -> bytes:
        """What this watch says of a change, b"" for nothing."""
        if self.plain:
            return self.resource.told(happened)
        was = happened.before is not None and self.has(happened.before)
        if happened.after is not None and self.has(happened.after):
            return self.line("MODIFIED" if was else "ADDED", happened.after)
        return self.line("DELETED", gone(happened)) if was else b""

    def has(self, entry: Entry) -> bool:
        """Whether an object is in it."""
        return entry.key.startswith(self.prefix) and self.matches(entry)


class Bookmarks:
    """When a watch says up to where everything was told, and when it ends."""

    def __init__(self, begun: float, seconds: float, *, wanted: bool) -> None:
        self._now = asyncio.get_running_loop().time
        self._ends_at = begun + seconds
        self._regular_at = begun + BOOKMARK_SECONDS
        self._last_at = self._ends_at - BEFORE_THE_END_SECONDS
        self._wanted = wanted
        self._last_said = not wanted or self._last_at <= begun

    def over(self) -> bool:
        """Whether the time is up."""
        return self._now() >= self._ends_at

    def due(self) -> bool:
        """Whether one is to be said now: each is due once."""
        now = self._now()
        if not self._wanted or now < self.next_at():
            return False
        self._last_said = self._last_said or now >= self._last_at
        self._regular_at = now + BOOKMARK_SECONDS
        return True

    def next_at(self) -> float:
        """When something is to be done next, on the loop's clock."""
        if not self._wanted:
            return self._ends_at
        return min(self._regular_at, self._ends_at if self._last_said else self._last_at)


class Watch:
    """One open watch; it has no queue, but reads the store's history at its own pace."""

    def __init__(self, call: Call, asked: Reading, shown: Shown, *, versions: Versions) -> None:
        self._asked = asked
        self._shown = shown
        self._versions = versions
        self._store = call.resource.store
        self._history = call.resource.store.history
        self._next = 0

    async def chunks(self, *, seconds: float) -> AsyncIterator[bytes]:
        """The lines, many at once.

        Ends in time, with the resource, or when the reader fell behind what is remembered.
        """
        marks = Bookmarks(asyncio.get_running_loop().time(), seconds, wanted=self._asked.bookmarks)
        for chunk in self._beginning():
            yield chunk
        while self._next >= self._history.first:
            if self._next < self._history.end:
                yield self._news()
            elif self._store.closed or marks.over():
                return
            elif marks.due():
                yield self._bookmark()
            else:
                await self._wait(marks.next_at())

    def _beginning(self) -> Iterator[bytes]:
        """Where to begin: with all there is, or behind a version, if that is not forgotten."""
        version = self._asked.version
        if not version or self._asked.initial_events is True:
            yield from self._initial()
        elif version >= self._history.floor:
            self._next = self._history.after(version)
        else:
            self._next = _LOST
            yield _line("ERROR", expired(TOO_OLD).status)

    def _initial(self) -> Iterator[bytes]:
        """All there is as ADDED, unless that is not wanted, and where it ends if that is."""
        entries = self._store.now() if self._asked.initial_events is not False else []
        self._next = self._history.end
        marked = self._asked.bookmarks and self._asked.initial_events is not False
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

    def _news(self) -> bytes:
        held: list[bytes] = []
        size = 0
        for happened in self._history.since(self._next):
            line = self._shown.told(happened)
            self._next += 1
            held.append(line)
            size += len(line)
            if size >= CHUNK_BYTES:
                break
        return b"".join(held)

    def _bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        """Up to where everything was told: to now, for nothing is being told."""
        served = self._shown.resource.served
        metadata: dict[str, object] = {"resourceVersion": str(self._versions.current)}
        if annotations:
            metadata["annotations"] = annotations
        body = {"kind": served.kind, "apiVersion": served.api_version, "metadata": metadata}
        return _line("BOOKMARK", body)

    async def _wait(self, until: float) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._history.news()
        except TimeoutError:
            return


def _line(change: str, body: object) -> bytes:
    return msgspec.json.encode({"type": change, "object": body}) + b"\n"


def watch(
    call: Call, *, versions: Versions, line: Callable[[str, Entry], bytes] | None
) -> tuple[Watch, Reading]:
    """Open a watch; `line` is another form than the resource's own; raises RefusedError (400, 422, 500)."""
    asked = reading(call.query, watch=True)
    matches = selected(call, asked)
    if asked.initial_events and asked.version and asked.version > versions.current:
        raise too_new(asked.version, versions.current)
    prefix = f"{call.namespace}/" if call.namespace else ""
    plain = line is None and matches is everything and not prefix
    shown = Shown(call.resource, matches, prefix, line or call.resource.line, plain)
    return Watch(call, asked, shown, versions=versions), asked


def seconds(asked: Reading, chance: Random) -> float:
    """How long a watch lasts: what it asks for, else anything between half an hour and one."""
    return asked.timeout_seconds or chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
