"""The resources served now, built in or by definitions; Events, which two groups serve from one store."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from demo.apiserver.documents import Object, ServedResource, as_object
from demo.apiserver.kinds import CUSTOM_FIELDS, EVENTS, NEW_EVENTS, Kind, built_in_kinds
from demo.apiserver.store import Change, Entry, History, Store, Versions, decode
from demo.apiserver.validation import Cause, invalid, required

NEW_EVENTS_GROUP = "events.k8s.io/v1"
EVENT_LIFETIME = timedelta(hours=1)
"""The default of a genuine server's `--event-ttl`."""

_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_BACK = {new: old for old, new in _NAMES.items()}
_ALWAYS: Object = {
    "involvedObject": {},
    "source": {},
    "firstTimestamp": None,
    "lastTimestamp": None,
    "eventTime": None,
    "reportingComponent": "",
    "reportingInstance": "",
}
"""Fields that core/v1 always writes, with their empty values."""

_UNLESS_EMPTY = ("reportingController", "reportingInstance")


class EventExpiry:
    """Removes Events an hour after their last write; runs whenever an Event is written."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._written: deque[tuple[datetime, str, int]] = deque()

    def wrote(self, store: Store, entry: Entry) -> None:
        """Record the write of an Event, and remove expired ones."""
        now = self._now()
        self._written.append((now, entry.key, entry.version))
        while now - self._written[0][0] > EVENT_LIFETIME:
            _, key, version = self._written.popleft()
            there = store.get(key)
            if there is not None and there.version == version:
                store.remove(key)


def complete_event(obj: Object) -> Object:
    """Add the fields that core/v1 always writes."""
    return {**obj, **{name: obj[name] if obj.get(name) else it for name, it in _ALWAYS.items()}}


def event_causes(obj: Object, *, newer_group: bool) -> Iterator[Cause]:
    """Validate a new Event; the core group checks little."""
    if newer_group and not obj.get("eventTime"):
        yield required("eventTime")
    involved = as_object(obj.get("involvedObject")) or {}
    namespace = involved.get("namespace") or "default"
    if namespace != obj["metadata"].get("namespace"):
        yield invalid(
            "involvedObject.namespace",
            involved.get("namespace", ""),
            "does not match event.namespace",
        )


def to_core_event(obj: Object) -> Object:
    """Convert an Event of events.k8s.io/v1 to core/v1."""
    return {_BACK.get(name, name): it for name, it in obj.items()}


def to_new_event(obj: Object) -> Object:
    """Convert an Event of core/v1 to events.k8s.io/v1."""
    shown = {_NAMES.get(name, name): it for name, it in obj.items()}
    return {name: it for name, it in shown.items() if it or name not in _UNLESS_EMPTY}


def new_event_tail(entry: Entry) -> bytes:
    """Encode an Event of events.k8s.io/v1 from `metadata` on."""
    obj = msgspec.json.decode(b"{" + entry.tail(), type=dict[str, Any])
    return msgspec.json.encode(to_new_event(obj))[1:]


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


class Resource:
    """One resource of one group and version: its objects, and their encoding there."""

    def __init__(self, kind: Kind, store: Store, *, definition: str = "") -> None:
        self.kind = kind
        self.served = kind.served
        self.store = store
        self.definition = definition
        """The name of its CustomResourceDefinition; "" if it is built in."""

        self.custom = bool(definition)
        names = {"kind": self.served.kind, "apiVersion": self.served.api_version}
        self.head = msgspec.json.encode(names)[:-1] + b","
        """The JSON of an object up to its metadata."""

        self.item_head = self.head if self.custom else b"{"
        """The JSON of a list item up to its metadata: only custom resources carry kind and apiVersion there."""

    def tail(self, entry: Entry) -> bytes:
        """Return the JSON after the head, in the form of this group and version."""
        if self.kind is NEW_EVENTS:
            return entry.views.get(NEW_EVENTS_GROUP) or entry.views.setdefault(
                NEW_EVENTS_GROUP, new_event_tail(entry)
            )
        return entry.tail()

    def object(self, entry: Entry) -> Object:
        """Decode the object in its stored form; every call returns a new one."""
        return decode(entry, kind=self.served.kind, api_version=self.served.api_version)

    def stored_form(self, obj: Object) -> Object:
        """Convert an object from the form of this group and version to the stored form."""
        return to_core_event(obj) if self.kind is NEW_EVENTS else obj

    def whole(self, entry: Entry) -> bytes:
        """Encode the object."""
        return self.head + self.tail(entry)

    def line(self, change: str, entry: Entry) -> bytes:
        """Encode one watch event."""
        return b'{"type":"%b","object":%b}\n' % (change.encode(), self.whole(entry))

    def watch_line(self, change: Change) -> bytes:
        """Return the event for watches without a selector, encoded once and shared."""
        name = self.served.api_version
        line = change.lines.get(name)
        if line is None:
            if change.after is not None:
                line = self.line("ADDED" if change.before is None else "MODIFIED", change.after)
            else:
                line = self.line("DELETED", last_state(change))
            change.lines[name] = line
        return line

    def key(self, namespace: str, name: str) -> str:
        """Return the key of an object in the store."""
        return f"{namespace}/{name}" if self.served.namespaced else name


def last_state(change: Change) -> Entry:
    """Return the last state of a removed object, with the resourceVersion of its removal."""
    assert change.before is not None  # noqa: S101 - a change has a state before it or behind it
    return change.before.at(change.version)


class Resources:
    """The resources, by group, version and name."""

    def __init__(self, versions: Versions, *, history: Callable[[], History] = History) -> None:
        self.versions = versions
        self._history = history
        self._all: dict[tuple[str, str, str], Resource] = {}
        for kind in built_in_kinds():
            self._add(Resource(kind, Store(versions, fields=kind.fields, history=history())))
        events = self._all["", "v1", EVENTS].store
        self._add(Resource(NEW_EVENTS, events))

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._all.values()))

    def get(self, group: str, version: str, resource: str) -> Resource | None:
        """Return the resource, or None if it is not served."""
        return self._all.get((group, version, resource))

    def built_in(self, group: str, resource: str) -> Resource:
        """Return a built-in resource of version v1."""
        return self._all[group, "v1", resource]

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """Return the resource with this apiVersion and kind."""
        group, _, version = api_version.rpartition("/")
        for resource in self._all.values():
            served = resource.served
            if (served.group, served.version, served.kind) == (group, version, kind):
                return resource
        return None

    def versions_of(self, group: str) -> list[str]:
        """Return the versions of a group, the preferred one first."""
        found = {one.served.version for one in self if one.served.group == group}
        return sorted(found, key=version_priority)

    def groups(self) -> list[str]:
        """Return all groups but the core one: built-in ones first."""
        found = {one.served.group: one.custom for one in self if one.served.group}
        return sorted(found, key=lambda group: (found[group], group))

    def of(self, group: str, version: str) -> list[Resource]:
        """Return the resources of one group and version."""
        found = [one for one in self if (one.served.group, one.served.version) == (group, version)]
        return sorted(found, key=lambda one: one.served.resource)

    def stores(self) -> list[Store]:
        """Return each store once, however many versions share it."""
        return list({id(one.store): one.store for one in self}.values())

    def define(self, definition: str, served: list[ServedResource]) -> None:
        """Serve the resources of a definition in place of its former ones; their objects are kept."""
        former = [one for one in self if one.definition == definition]
        store = former[0].store if former else Store(self.versions, history=self._history())
        for one in former:
            del self._all[_place(one.served)]
        for each in served:
            kind = Kind(each, generations=True, field_names=CUSTOM_FIELDS, unconditional=False)
            self._add(Resource(kind, store, definition=definition))
        if not served:
            store.close()

    def defined(self, definition: str) -> list[Resource]:
        """Return the resources a definition serves, one per version."""
        return [one for one in self if one.definition == definition]

    def _add(self, resource: Resource) -> None:
        self._all[_place(resource.served)] = resource


def _place(served: ServedResource) -> tuple[str, str, str]:
    return served.group, served.version, served.resource


def version_priority(version: str) -> tuple[int, int, int, str]:
    """Sort key of versions (apimachinery, version/helpers.go): v2, v1, v1beta2, v1beta1, v1alpha1, then others."""
    read = _VERSION.fullmatch(version)
    if read is None:
        return 3, 0, 0, version
    major, stage, minor = read.groups()
    rank = {None: 0, "beta": 1, "alpha": 2}[stage]
    return rank, -int(major), -int(minor or 0), version
