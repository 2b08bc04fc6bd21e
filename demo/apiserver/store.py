"""The objects of one resource: as they are, and as they were at any version that is not forgotten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from demo.apiserver.documents import Object
from demo.apiserver.history import Entry, Happened, History, Versions

SNAPSHOTS = 4
"""Lists that are read in pages at the same time; the fifth is reconstructed for every page."""

Fields = Callable[[Object], Mapping[str, str]]
"""What field selectors may ask of an object."""

_NONE: Mapping[str, str] = {}


def no_fields(_: Object) -> Mapping[str, str]:
    """Nothing beyond name and namespace, which every object has."""
    return _NONE


class Forgotten(Exception):  # noqa: N818 - it is a plain answer, and says nothing of a fault
    """The state at a version can no longer be told."""


class Store:
    """One resource's objects by key, encoded; whatever is read from it is never changed."""

    def __init__(
        self, versions: Versions, *, fields: Fields = no_fields, history: History | None = None
    ) -> None:
        self.history = history or History()
        self.changed_at = 0
        """The version of the newest change."""

        self.closed = False
        """Whether the resource is served no more; its watches end."""

        self._versions = versions
        self._fields = fields
        self._entries: dict[str, Entry] = {}
        self._snapshots: dict[int, list[Entry]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Entry | None:
        """The newest state of an object."""
        return self._entries.get(key)

    def put(self, entry: Entry) -> Entry:
        """Store a state under the next version; returns it with that."""
        stored = entry.at(self._versions.next())
        before = self._entries.get(entry.key)
        self._entries[entry.key] = stored
        self._happened(Happened(stored.version, before, stored))
        return stored

    def remove(self, key: str) -> None:
        """Remove an object, which takes a version of its own."""
        before = self._entries.pop(key)
        self._happened(Happened(self._versions.next(), before, None))

    def forget_history(self) -> None:
        """Forget all history up to now: no watch from before, no older list, no continue token."""
        self.history.forget(self._versions.current)
        self._snapshots.clear()

    def close(self) -> None:
        """End all watches: the resource is served no more."""
        self.closed = True
        self.history.wake()

    def at(self, version: int) -> list[Entry]:
        """All objects at that version, in the order of their keys; raises Forgotten."""
        if version < self.history.floor:
            raise Forgotten
        version = min(version, self.changed_at)
        found = self._snapshots.pop(version, None)
        if found is None:
            found = self._reconstructed(version)
        self._snapshots[version] = found
        while len(self._snapshots) > SNAPSHOTS:
            del self._snapshots[next(iter(self._snapshots))]
        return found

    def now(self) -> list[Entry]:
        """All objects, in the order of their keys."""
        return self.at(self._versions.current)

    def _reconstructed(self, version: int) -> list[Entry]:
        entries = dict(self._entries)
        for happened in self.history.newest_first():
            if happened.version <= version:
                break
            if happened.before is not None:
                entries[happened.before.key] = happened.before
            elif happened.after is not None:
                del entries[happened.after.key]
        return [entries[key] for key in sorted(entries)]

    def _happened(self, happened: Happened) -> None:
        self.changed_at = happened.version
        self.history.append(happened)

    def encoded(self, key: str, obj: Object) -> Entry:
        """A state that can be stored; kind, apiVersion and version differ by reader, and stand in front."""
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
            rest=_behind(written),
        )


def _behind(written: bytes) -> bytes:
    """What follows the version: `{"metadata":{` is cut off, and a comma put where fields follow."""
    opened = written[len(b'{"metadata":{') :]
    return opened if opened.startswith(b"}") else b"," + opened


def decoded(entry: Entry, *, kind: str, api_version: str) -> Object:
    """The object of an entry, anew for every caller."""
    obj = msgspec.json.decode(b"{" + entry.tail(), type=dict[str, Any])
    return {"apiVersion": api_version, "kind": kind, **obj}
