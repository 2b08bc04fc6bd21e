"""What is known of a cluster's objects: which there are, and the version of each that was told last.

No bodies: 50,000 objects are 15 MB. Here lives what tells a change from a repetition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, KeysView

from operators.model.event import Change
from streams.sources.informer.decode import Found
from streams.sources.informer.notice import Notice


def is_older(version: str, than: str) -> bool:
    """Whether a resourceVersion is certainly the older one.

    Versions of one resource are comparable decimals (KEP-5504); what is no decimal is only equal or not.
    """
    if not (version.isdecimal() and than.isdecimal()):
        return False
    return (len(version), version) < (len(than), than)


class Store:
    """The uid and the version of every known object, by key ("namespace/name").

    One writer, on one loop. Bounded by what the cluster holds; an entry takes under 300 bytes, which is
    why it is one text and no tuple.
    """

    __slots__ = ("_entries", "overtook")

    def __init__(self) -> None:
        self.overtook = ""
        """The newest version of a state that overtook the watch, "" if none did."""
        self._entries: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def keys(self) -> KeysView[str]:
        """All keys, live."""
        return self._entries.keys()

    def version(self, key: str) -> str:
        """The version told last, "" if there is no such object."""
        return self._entries.get(key, "").partition(" ")[0]

    def uid(self, key: str) -> str:
        """The uid, "" if there is no such object."""
        return self._entries.get(key, "").partition(" ")[2]

    def observe(self, found: Found, *, initial: bool = False) -> list[Notice]:
        """Take in a state; return what is news in it: nothing, the change, or an end and a beginning.

        The uid is the identity: another one under the same name is another object.
        """
        key = found.key
        entry = self._entries.get(key)
        if entry is None:
            self._put(key, found)
            return [found.notice(Change.ADDED, initial=initial)]
        version, _, uid = entry.partition(" ")
        if version == found.version or is_older(found.version, version):
            return []
        self._put(key, found)
        if uid == found.uid:
            return [found.notice(Change.MODIFIED)]
        return [_lost(key, uid, version), found.notice(Change.ADDED)]

    def remove(self, found: Found) -> list[Notice]:
        """Take in a deletion; return what is news in it.

        Its version is that of the deletion, or (before etcd 3) of the last state.
        """
        key = found.key
        version, uid = self.version(key), self.uid(key)
        if not uid or is_older(found.version, version):
            return []
        del self._entries[key]
        deleted = found.notice(Change.DELETED)
        return [deleted] if uid == found.uid else [_lost(key, uid, version), deleted]

    def retain(self, listed: Collection[str], *, at_version: str) -> list[Notice]:
        """Remove what a complete list does not hold, and tell of it; what is newer than the list stays."""
        gone = [
            key
            for key in self._entries
            if key not in listed and not is_older(at_version, self.version(key))
        ]
        told = [_lost(key, self.uid(key), self.version(key)) for key in gone]
        for key in gone:
            del self._entries[key]
        return told

    def forget_versions(self) -> None:
        """Take every state that comes next as news: the server's versions began anew."""
        self.overtook = ""
        for key, entry in self._entries.items():
            self._entries[key] = f" {entry.partition(' ')[2]}"

    def _put(self, key: str, found: Found) -> None:
        self._entries[key] = f"{found.version} {found.uid}"


def tombstone(key: str, *, uid: str = "", version: str = "") -> Notice:
    """Tell that an object is gone whose last state nobody saw."""
    namespace, _, name = key.partition("/")
    return Notice(Change.DELETED, namespace, name, uid, version, b"", final_state_unknown=True)


def _lost(key: str, uid: str, version: str) -> Notice:
    return tombstone(key, uid=uid, version=version)
