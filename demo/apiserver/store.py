"""The objects of one resource: their newest states, and a bounded history of changes for older lists and watches."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from demo.apiserver.documents import Object

RING_EVENTS = 10_000
"""Bound of the history in changes; a genuine server keeps five minutes."""

RING_BYTES = 64 * 1024 * 1024
"""Bound of the history in bytes: large objects shorten it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One state of one object, encoded once; immutable."""

    key: str
    """`namespace/name`, or the name of a cluster-scoped object."""

    uid: str
    version: int
    labels: Mapping[str, str]
    fields: Mapping[str, str]
    """Selectable fields beyond name and namespace."""

    rest: bytes
    """The JSON after the resourceVersion; each reader prepends its own head."""

    views: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)
    """Cached encodings in other groups, of Events for example."""

    @property
    def namespace(self) -> str:
        """The namespace; "" for a cluster-scoped object."""
        return self.key.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The name."""
        return self.key.rpartition("/")[2]

    def tail(self) -> bytes:
        """Return the JSON from `metadata` on; `{` or a head with kind and apiVersion precedes it."""
        return b'"metadata":{"resourceVersion":"%d"%b' % (self.version, self.rest)

    def at(self, version: int) -> Entry:
        """Return the state under another resourceVersion."""
        return replace(self, version=version, views={})


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one object; `before` is None for a creation, `after` for a removal."""

    version: int
    before: Entry | None
    after: Entry | None
    lines: dict[str, bytes] = field(default_factory=dict[str, bytes], compare=False, repr=False)
    """Cached events of watches without a selector, by apiVersion."""

    @property
    def size_bytes(self) -> int:
        """The approximate memory it retains."""
        return sum(len(one.rest) for one in (self.before, self.after) if one is not None)


class Versions:
    """The resourceVersion of the whole server: one increasing counter."""

    def __init__(self) -> None:
        self.current = 1

    def next(self) -> int:
        """Return the resourceVersion of the next change."""
        self.current += 1
        return self.current


class History:
    """The changes of a resource, oldest first, by sequence number; bounded in number and in bytes.

    Watches read it by that number at their own positions. One whose position was dropped has
    lost changes, and is closed.
    """

    def __init__(self, *, events: int = RING_EVENTS, size_bytes: int = RING_BYTES) -> None:
        self.floor = 0
        """The oldest resourceVersion that can be watched from or reconstructed."""

        self.first = 0
        self.end = 0
        self._most_events = events
        self._most_bytes = size_bytes
        self._held: dict[int, Change] = {}
        self._bytes = 0
        self._waiters: set[asyncio.Future[None]] = set()

    def append(self, change: Change) -> None:
        """Append a change, drop the oldest beyond the bounds, and wake waiting watches."""
        self._held[self.end] = change
        self.end += 1
        self._bytes += change.size_bytes
        while self.end - self.first > self._most_events or (
            self._bytes > self._most_bytes and self.end - self.first > 1
        ):
            self._drop()
        self.wake()

    def forget(self, version: int) -> None:
        """Drop all changes up to this resourceVersion, the newest."""
        while self.first < self.end:
            self._drop()
        self.floor = version

    def _drop(self) -> None:
        dropped = self._held.pop(self.first)
        self.first += 1
        self.floor = dropped.version
        self._bytes -= dropped.size_bytes

    def after(self, version: int) -> int:
        """Return the number of the first change after this resourceVersion."""
        numbers = range(self.first, self.end)
        return self.first + bisect_right(numbers, version, key=lambda at: self._held[at].version)

    def since(self, number: int) -> Iterator[Change]:
        """Return the changes from this number on, which must not have been dropped."""
        return (self._held[at] for at in range(number, self.end))

    def newest_first(self) -> Iterator[Change]:
        """Return the changes, newest first."""
        return (self._held[at] for at in range(self.end - 1, self.first - 1, -1))

    def wake(self) -> None:
        """Wake all waiting watches."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def changed(self) -> None:
        """Wait for the next change, or for the end of the resource."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


SNAPSHOTS = 4
"""Bound of cached snapshots for paged lists; a further list is reconstructed for every page."""

Fields = Callable[[Object], Mapping[str, str]]
"""Returns the selectable fields of an object."""

_NONE: Mapping[str, str] = {}


def no_fields(_: Object) -> Mapping[str, str]:
    """Return no fields beyond name and namespace."""
    return _NONE


class VersionExpired(Exception):  # noqa: N818 - a regular outcome, not an error
    """The state at a resourceVersion was compacted."""


class Store:
    """The objects of one resource by key, encoded; entries are immutable."""

    def __init__(
        self, versions: Versions, *, fields: Fields = no_fields, history: History | None = None
    ) -> None:
        self.history = history or History()
        self.changed_at = 0
        """The resourceVersion of the newest change."""

        self.closed = False
        """Whether the resource is no longer served; its watches end."""

        self._versions = versions
        self._fields = fields
        self._entries: dict[str, Entry] = {}
        self._snapshots: dict[int, list[Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """Return the newest state of an object, or None."""
        return self._entries.get(key)

    def put(self, entry: Entry) -> Entry:
        """Store a state under the next resourceVersion, and return it with that."""
        stored = entry.at(self._versions.next())
        before = self._entries.get(entry.key)
        self._entries[entry.key] = stored
        self._record(Change(stored.version, before, stored))
        return stored

    def remove(self, key: str) -> None:
        """Remove an object, which takes a resourceVersion."""
        before = self._entries.pop(key)
        self._record(Change(self._versions.next(), before, None))

    def forget_history(self) -> None:
        """Drop all history: older watches, lists and continue tokens expire."""
        self.history.forget(self._versions.current)
        self._snapshots.clear()

    def close(self) -> None:
        """End all watches, because the resource is no longer served."""
        self.closed = True
        self.history.wake()

    def at(self, version: int) -> list[Entry]:
        """Return all objects at a resourceVersion, sorted by key. Raises VersionExpired."""
        if version < self.history.floor:
            raise VersionExpired
        version = min(version, self.changed_at)
        found = self._snapshots.pop(version, None)
        if found is None:
            found = self._reconstructed(version)
        self._snapshots[version] = found
        while len(self._snapshots) > SNAPSHOTS:
            del self._snapshots[next(iter(self._snapshots))]
        return found

    def now(self) -> list[Entry]:
        """Return all objects, sorted by key."""
        return self.at(self._versions.current)

    def _reconstructed(self, version: int) -> list[Entry]:
        entries = dict(self._entries)
        for change in self.history.newest_first():
            if change.version <= version:
                break
            if change.before is not None:
                entries[change.before.key] = change.before
            elif change.after is not None:
                del entries[change.after.key]
        return [entries[key] for key in sorted(entries)]

    def _record(self, change: Change) -> None:
        self.changed_at = change.version
        self.history.append(change)

    def encoded(self, key: str, obj: Object) -> Entry:
        """Encode an object as an entry, without kind, apiVersion and resourceVersion, which differ by reader."""
        metadata: dict[str, Any] = obj["metadata"]
        body = {
            "metadata": {at: it for at, it in metadata.items() if at != "resourceVersion"},
            **{at: it for at, it in obj.items() if at not in {"metadata", "kind", "apiVersion"}},
        }
        written = msgspec.json.encode(body)
        return Entry(
            key=key,
            uid=metadata.get("uid", ""),
            version=0,
            labels=metadata.get("labels") or _NONE,
            fields=self._fields(obj),
            rest=_after_version(written),
        )


def _after_version(written: bytes) -> bytes:
    """Cut off `{"metadata":{`, and begin with a comma if fields follow."""
    opened = written[len(b'{"metadata":{') :]
    return opened if opened.startswith(b"}") else b"," + opened


def decode(entry: Entry, *, kind: str, api_version: str) -> Object:
    """Decode an entry; every call returns a new object."""
    obj = msgspec.json.decode(b"{" + entry.tail(), type=dict[str, Any])
    return {"apiVersion": api_version, "kind": kind, **obj}
