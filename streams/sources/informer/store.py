"""The store: which objects there are, the version of each that was dispatched last, and what of a state is a change.

It holds no bodies: 50,000 objects take 15 MB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, KeysView

import msgspec

from operators.model.event import (
    ApiResource,
    Change,
    ObjectRef,
    ObjectState,
    RemovalReason,
    Tombstone,
)
from operators.rules.paths import Head
from streams.sources.informer.decode import DecodedObject


class ObjectChange(msgspec.Struct, frozen=True, gc=False):
    """One change of one object, as it is dispatched to all subscribers of an informer.

    Bytes that cannot be decoded are dispatched too, so that they end as a dead letter: with the key "" and no subject.
    """

    key: str
    """``namespace/name``; "" for bytes that cannot be decoded."""
    subject: ObjectRef | None
    """None for bytes that cannot be decoded."""
    payload: ObjectState | Tombstone
    raw: bytes
    """The object's JSON with ``managedFields`` emptied; b"" of a tombstone whose last state is unknown."""
    head: Head | None = None
    """What the one typed pass decoded; None for tombstones and for what cannot be decoded."""


def is_older(version: str, than: str) -> bool:
    """Whether a resourceVersion is certainly the older one.

    Versions of one resource are comparable decimals (KEP-5504); what is no decimal is only equal or not.
    """
    if not (version.isdecimal() and than.isdecimal()):
        return False
    return (len(version), version) < (len(than), than)


class Store:
    """The uid and the version of every known object, by key (``namespace/name``).

    One event loop, no locks. Bounded by the number of objects in the cluster; an entry takes under 300 bytes, for which
    reason it is one text and no tuple. A change must be dispatched before the loop is given back: the store and what
    subscribers know are then never seen apart.
    """

    __slots__ = ("_api_version", "_entries", "_resource", "newest_reread")

    _resource: ApiResource
    _api_version: str

    def __init__(self) -> None:
        self.newest_reread = ""
        """The newest version of a state that was read beside the watch and newer than it; "" if there was none."""
        self._entries: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    @property
    def resource(self) -> ApiResource:
        """What the objects are, as discovery described it; set before the first one is read."""
        return self._resource

    @resource.setter
    def resource(self, resource: ApiResource) -> None:
        self._resource = resource
        self._api_version = resource.api_version  # composed once, not for each object

    def keys(self) -> KeysView[str]:
        """All keys, as a live view."""
        return self._entries.keys()

    def version(self, key: str) -> str:
        """The version dispatched last; "" for an unknown object."""
        return self._entries.get(key, "").partition(" ")[0]

    def uid(self, key: str) -> str:
        """The uid; "" for an unknown object."""
        return self._entries.get(key, "").partition(" ")[2]

    def observe(self, found: DecodedObject, *, initial: bool = False) -> list[ObjectChange]:
        """Take in a state; return what it changes: nothing, the object, or a removal and an addition.

        The uid is the identity: another uid under the same name is another object.
        """
        key = found.key
        entry = self._entries.get(key)
        if entry is None:
            self._put(found)
            return [self.change(found, Change.ADDED, initial=initial)]
        version, _, uid = entry.partition(" ")
        if version == found.version or is_older(found.version, version):
            return []
        self._put(found)
        if uid == found.uid:
            return [self.change(found, Change.MODIFIED)]
        return [
            self.tombstone(key, uid=uid, version=version),
            self.change(found, Change.ADDED),
        ]

    def remove(self, found: DecodedObject) -> list[ObjectChange]:
        """Take in a deletion; return what it changes.

        Its version is that of the deletion, or (before etcd 3) of the last state.
        """
        key = found.key
        version, uid = self.version(key), self.uid(key)
        if not uid or is_older(found.version, version):
            return []
        del self._entries[key]
        tombstone = Tombstone(self._resource, found.uid, found.version)
        removal = ObjectChange(key, self._ref(found.namespace, found.name), tombstone, found.raw)
        if uid == found.uid:
            return [removal]
        return [self.tombstone(key, uid=uid, version=version), removal]

    def retain(self, listed: Collection[str], *, at_version: str) -> Iterator[ObjectChange]:
        """Remove what a complete list lacks, one object for each step of the iterator; newer objects stay."""
        missing = [key for key in self._entries if key not in listed]
        for key in missing:
            # Looked up anew: between two steps the loop may have been given back, and the object read beside the watch.
            version, _, uid = self._entries.get(key, "").partition(" ")
            if uid and not is_older(at_version, version):
                del self._entries[key]
                yield self.tombstone(key, uid=uid, version=version)

    def forget_versions(self) -> None:
        """Treat every state that is read next as a change: the server's versions started over."""
        self.newest_reread = ""
        for key, entry in self._entries.items():
            self._entries[key] = f" {entry.partition(' ')[2]}"

    def change(
        self, found: DecodedObject, change: Change, *, initial: bool = False
    ) -> ObjectChange:
        """Describe a state as a change."""
        state = ObjectState(self._resource, change, found.uid, found.version, initial)
        subject = self._ref(found.namespace, found.name)
        return ObjectChange(found.key, subject, state, found.raw, found.head)

    def tombstone(
        self,
        key: str,
        *,
        uid: str = "",
        version: str = "",
        reason: RemovalReason = RemovalReason.DELETED,
    ) -> ObjectChange:
        """Describe a removal that was inferred: the last state is unknown."""
        namespace, _, name = key.partition("/")
        tombstone = Tombstone(self._resource, uid, version, reason, final_state_unknown=True)
        return ObjectChange(key, self._ref(namespace, name), tombstone, b"")

    def unreadable(self, raw: bytes) -> ObjectChange:
        """Describe bytes that cannot be decoded, so that they end as a dead letter."""
        return ObjectChange("", None, ObjectState(self._resource, Change.MODIFIED, "", ""), raw)

    def _ref(self, namespace: str, name: str) -> ObjectRef:
        return ObjectRef(self._api_version, self._resource.kind, namespace, name)

    def _put(self, found: DecodedObject) -> None:
        self._entries[found.key] = f"{found.version} {found.uid}"
