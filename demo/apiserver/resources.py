"""Everything that is served at the moment: built in, and by definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from demo.apiserver.builtin import NEW_EVENTS, kinds
from demo.apiserver.documents import Object
from demo.apiserver.events import NEWER, newer_tail, older
from demo.apiserver.fields import CUSTOM_FIELDS
from demo.apiserver.history import Entry, Happened, History, Versions
from demo.apiserver.kinds import EVENTS, Kind
from demo.apiserver.served import Served
from demo.apiserver.store import Store, decoded

_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


class Resource:
    """One resource of one group and version, its objects, and how they are written there."""

    def __init__(self, kind: Kind, store: Store, *, definition: str = "") -> None:
        self.kind = kind
        self.served = kind.served
        self.store = store
        self.definition = definition
        """The name of the definition that it is served by; "" if it is built in."""

        self.custom = bool(definition)
        names = {"kind": self.served.kind, "apiVersion": self.served.api_version}
        self.head = msgspec.json.encode(names)[:-1] + b","
        """How an object begins, up to its metadata."""

        self.item_head = self.head if self.custom else b"{"
        """How an item of a list begins: only custom ones say what they are."""

    def tail(self, entry: Entry) -> bytes:
        """What follows the head, in the form of this group and version."""
        if self.kind is NEW_EVENTS:
            return entry.views.get(NEWER) or entry.views.setdefault(NEWER, newer_tail(entry))
        return entry.tail()

    def object(self, entry: Entry) -> Object:
        """The object, anew for every caller, in the form it is stored in."""
        return decoded(entry, kind=self.served.kind, api_version=self.served.api_version)

    def stored_form(self, obj: Object) -> Object:
        """What to store of an object that came in the form of this group and version."""
        return older(obj) if self.kind is NEW_EVENTS else obj

    def whole(self, entry: Entry) -> bytes:
        """The object as JSON."""
        return self.head + self.tail(entry)

    def line(self, change: str, entry: Entry) -> bytes:
        """One line of a watch."""
        return b'{"type":"%b","object":%b}\n' % (change.encode(), self.whole(entry))

    def told(self, happened: Happened) -> bytes:
        """The line of a watch that selects everything, written once."""
        name = self.served.api_version
        line = happened.lines.get(name)
        if line is None:
            if happened.after is not None:
                change = "ADDED" if happened.before is None else "MODIFIED"
                line = self.line(change, happened.after)
            else:
                line = self.line("DELETED", gone(happened))
            happened.lines[name] = line
        return line

    def key(self, namespace: str, name: str) -> str:
        """The key of an object in the store."""
        return f"{namespace}/{name}" if self.served.namespaced else name


def gone(happened: Happened) -> Entry:
    """What a watch shows of an object that left: its last state, with the version of its leaving."""
    assert happened.before is not None  # noqa: S101 - a change has a state before it or behind it
    return happened.before.at(happened.version)


class Resources:
    """The resources by group, version and name."""

    def __init__(self, versions: Versions, *, history: Callable[[], History] = History) -> None:
        self.versions = versions
        self._history = history
        self._all: dict[tuple[str, str, str], Resource] = {}
        for kind in kinds():
            self._add(Resource(kind, Store(versions, fields=kind.fields, history=history())))
        events = self._all["", "v1", EVENTS].store
        self._add(Resource(NEW_EVENTS, events))

    def __iter__(self) -> Iterator[Resource]:
        return iter(list(self._all.values()))

    def get(self, group: str, version: str, resource: str) -> Resource | None:
        """The resource, None if nobody serves it."""
        return self._all.get((group, version, resource))

    def built_in(self, group: str, resource: str) -> Resource:
        """One of version v1 that is always there."""
        return self._all[group, "v1", resource]

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource whose objects say this of themselves."""
        group, _, version = api_version.rpartition("/")
        for resource in self._all.values():
            served = resource.served
            if (served.group, served.version, served.kind) == (group, version, kind):
                return resource
        return None

    def versions_of(self, group: str) -> list[str]:
        """The versions of a group, the preferred one first."""
        found = {one.served.version for one in self if one.served.group == group}
        return sorted(found, key=priority)

    def groups(self) -> list[str]:
        """All groups but the core one: the built-in ones, then those of definitions."""
        found = {one.served.group: one.custom for one in self if one.served.group}
        return sorted(found, key=lambda group: (found[group], group))

    def of(self, group: str, version: str) -> list[Resource]:
        """The resources of one group and version."""
        found = [one for one in self if (one.served.group, one.served.version) == (group, version)]
        return sorted(found, key=lambda one: one.served.resource)

    def stores(self) -> list[Store]:
        """Each store once, however many versions share it."""
        return list({id(one.store): one.store for one in self}.values())

    def define(self, definition: str, served: list[Served]) -> None:
        """Serve what a definition says; objects of what it served before stay."""
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
        """What a definition serves, version by version."""
        return [one for one in self if one.definition == definition]

    def _add(self, resource: Resource) -> None:
        self._all[_place(resource.served)] = resource


def _place(served: Served) -> tuple[str, str, str]:
    return served.group, served.version, served.resource


def priority(version: str) -> tuple[int, int, int, str]:
    """The order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, and then whatever else."""
    read = _VERSION.fullmatch(version)
    if read is None:
        return 3, 0, 0, version
    major, stage, minor = read.groups()
    rank = {None: 0, "beta": 1, "alpha": 2}[stage]
    return rank, -int(major), -int(minor or 0), version
