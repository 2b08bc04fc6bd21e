"""What is known of the Observations that exist: a bounded cache of the cluster.

It is restored from the cluster at start and changed by confirmed writes alone, so that a key is remembered only after
the API server has answered. One event loop, one writer (the sink's queue): no locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b

from operators.model.identity import Identity, canonical
from operators.model.observation import Occurrence, Window

RESOLVED_ENTRIES = 20_000
"""Resolved subjects that one pipeline remembers; the oldest are evicted first, since their Observation can be read."""
OCCURRENCE_ENTRIES = 100_000
"""Windows, and newest events of objects, that one pipeline remembers: 80 MB at most (800 bytes a pair, measured)."""
EVICTED_DIGEST_BYTES = 8

IN_DOUBT = ""
"""No fingerprint equals it: a state that may or may not have been written is written again."""

_SECONDS_CHARACTERS = len("2006-01-02T15:04:05")
_MICRO_CHARACTERS = len("2006-01-02T15:04:05.000000")


def timestamp(moment: datetime) -> str:
    """Write a moment as it is stored (``metav1.Time``): RFC 3339, whole seconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:_SECONDS_CHARACTERS] + "Z"


def micro_timestamp(moment: datetime) -> str:
    """Write a moment as it is stored in windows (``metav1.MicroTime``): RFC 3339, microseconds, ``Z``."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:_MICRO_CHARACTERS] + "Z"


@dataclass(slots=True)
class StoredObservation:
    """An Observation as the API server last confirmed it."""

    fingerprint: str
    first_seen: str
    last_seen: str
    resolved: bool = False
    name: str = ""
    """The Observation's name and uid, as they are known."""
    uid: str = ""
    traceparent: str = ""
    """The trace of the event that created it; every apply sends it again, as an apply removes what it omits."""
    base: int = 0
    """What Kubernetes Events that left the evidence had counted."""
    evidence: dict[str, int] | None = None
    """A Kubernetes Event's name to its latest count; None for a subject."""
    newest: str = ""
    """Name of the Kubernetes Event whose text the Observation carries."""
    missing: bool = False
    """Whether the API server answered that the Observation does not exist; its evidence still counts."""

    @property
    def count(self) -> int:
        """How often it happened, by the evidence."""
        return self.base + sum(self.evidence.values()) if self.evidence else self.base

    @property
    def is_open(self) -> bool:
        """Whether the Observation exists and is not resolved."""
        return not (self.resolved or self.missing)


class ObservationState:
    """The known Observations of one pipeline by identity, and the windows of its occurrences by key.

    Entries of resolved subjects beyond ``resolved_entries`` are evicted, oldest first; each leaves an 8-byte digest, so
    that a later write of the same identity reads the Observation before it applies (``was_evicted``). Open subjects and
    digests are bounded by what the cluster holds. Windows and newest events are bounded by ``occurrence_entries``
    each: a window that is evicted before its end may be opened again by an equal event, under another name.
    """

    def __init__(
        self,
        *,
        resolved_entries: int = RESOLVED_ENTRIES,
        occurrence_entries: int = OCCURRENCE_ENTRIES,
    ) -> None:
        self.evicted = 0
        """Entries evicted to keep the bounds, and windows that were not over yet."""
        if resolved_entries < 1:
            raise ValueError(f"resolved_entries: found {resolved_entries}, allowed: 1 or more")
        self._resolved_entries = resolved_entries
        self._occurrence_entries = occurrence_entries
        self._stored: dict[Identity, StoredObservation] = {}
        self._resolved: dict[Identity, None] = {}
        self._evicted: set[bytes] = set()
        self._by_object: dict[str, Identity | tuple[Identity, ...]] = {}
        self._writing: dict[Identity, int] = {}
        self._windows: dict[str, Window] = {}
        self._newest: dict[str, tuple[str, Window]] = {}

    def __len__(self) -> int:
        """How many Observations and windows are remembered, windows that are over but not yet removed included."""
        return len(self._stored) + len(self._windows)

    # Subjects and Kubernetes Events.

    def get(self, identity: Identity) -> StoredObservation | None:
        """Return what is known of an Observation, if it exists."""
        return self._stored.get(identity)

    def is_open(self, identity: Identity) -> bool:
        """Whether an Observation exists and is not resolved."""
        stored = self._stored.get(identity)
        return stored is not None and stored.is_open

    def of_object(self, key: str) -> tuple[Identity, ...]:
        """Return the identities of the known Observations of an object (``namespace/name``)."""
        found = self._by_object.get(key, ())
        return found if isinstance(found, tuple) else (found,)

    def has_open(self, key: str) -> bool:
        """Whether an object (``namespace/name``) has an Observation that is not resolved."""
        return any(map(self.is_open, self.of_object(key)))

    def was_evicted(self, identity: Identity) -> bool:
        """Whether the entry was evicted: a write must read the Observation first, as an apply removes what it omits."""
        return bool(self._evicted) and _short_digest(identity) in self._evicted

    def put(self, identity: Identity, stored: StoredObservation) -> None:
        """Remember an Observation as the API server confirmed it; evict the oldest resolved ones beyond the bound."""
        if identity not in self._stored:
            self._index(identity)
            if self._evicted:
                self._evicted.discard(_short_digest(identity))
        self._stored[identity] = stored
        # Re-inserted, so that the dictionary's order is that of resolving: the oldest is evicted first.
        self._resolved.pop(identity, None)
        if stored.resolved:
            self._resolved[identity] = None
            if len(self._resolved) > self._resolved_entries:
                self._evict(next(iter(self._resolved)))

    def restore_evicted(self, identity: Identity, stored: StoredObservation | None) -> None:
        """Remember an evicted Observation as it was read; None: it does not exist any more."""
        self._evicted.discard(_short_digest(identity))
        if stored is not None:
            self.put(identity, stored)

    def forget(self, identity: Identity) -> None:
        """Remove an entry: the Observation does not exist any more."""
        if self._stored.pop(identity, None) is not None:
            self._resolved.pop(identity, None)
            self._unindex(identity)

    def mark_missing(self, identity: Identity) -> None:
        """Record that the API server does not find the Observation; a Kubernetes Event's evidence is kept."""
        stored = self._stored.get(identity)
        if stored is not None and stored.evidence is not None:
            stored.missing = True
        else:
            self.forget(identity)

    def invalidate(
        self, identity: Identity, *, name: str, moment: str, traceparent: str = ""
    ) -> None:
        """Record that a request was sent and no usable answer came: the Observation may exist, open, with any content.

        If it does, it has the ``name`` and carries the ``traceparent`` that were sent.
        """
        stored = self._stored.get(identity)
        if stored is None:
            doubtful = StoredObservation(
                IN_DOUBT, moment, moment, name=name, traceparent=traceparent
            )
            self.put(identity, doubtful)
            return
        stored.fingerprint = IN_DOUBT
        stored.resolved = False
        self._resolved.pop(identity, None)

    def begin_write(self, identity: Identity) -> None:
        """Count a write that waits or is under way; until ``end_write`` what is known may be outdated."""
        self._writing[identity] = self._writing.get(identity, 0) + 1

    def end_write(self, identity: Identity) -> None:
        """Count a write that has ended."""
        left = self._writing[identity] - 1
        if left:
            self._writing[identity] = left
        else:
            del self._writing[identity]

    def is_writing(self, identity: Identity) -> bool:
        """Whether a write of this identity waits or is under way."""
        return identity in self._writing

    # Occurrences.

    @property
    def windows(self) -> Iterator[Window]:
        """The confirmed windows, oldest first."""
        return iter(self._windows.values())

    def window(self, key: str, moment: datetime) -> Window | None:
        """Return the window of a deduplication key that contains a moment, if there is one."""
        window = self._windows.get(key)
        return window if window is not None and window.contains(moment) else None

    def counted_in(self, occurrence: Occurrence, key: str) -> Window | None:
        """Return the window in which an event was counted already, if it was.

        The same version of the same object is the same event. A list shows states: one that equals what was counted of
        its object last reports nothing that happened since.
        """
        last = self._newest.get(occurrence.uid)
        if last is None:
            return None
        version, window = last
        same = version == occurrence.version or (occurrence.listed and window.key == key)
        return window if same else None

    def commit_window(self, window: Window, occurrence: Occurrence, *, moment: datetime) -> None:
        """Remember a window that the API server confirmed, although it may be over by now."""
        self._remember(window, moment)
        self.count_in(occurrence, window)

    def count_in(self, occurrence: Occurrence, window: Window) -> None:
        """Remember that an event was counted in a window, as the newest of its object."""
        if not occurrence.uid:
            return
        self._newest.pop(occurrence.uid, None)
        self._newest[occurrence.uid] = occurrence.version, window
        if len(self._newest) > self._occurrence_entries:
            del self._newest[next(iter(self._newest))]
            self.evicted += 1

    def restore_window(self, window: Window, occurrence: Occurrence, *, moment: datetime) -> None:
        """Take in a window as the cluster stores it; they come in any order, and the newest of an object counts."""
        last = self._newest.get(occurrence.uid)
        if last is None or last[1].start <= window.start:
            self.count_in(occurrence, window)
        known = self._windows.get(window.key)
        if window.contains(moment) and (known is None or known.start <= window.start):
            self._remember(window, moment)

    def sweep(self, moment: datetime) -> None:
        """Remove windows that are over, oldest first, up to the first that is not: each is removed once."""
        while self._windows:
            oldest = next(iter(self._windows.values()))
            if oldest.contains(moment):
                return
            del self._windows[oldest.key]

    def _remember(self, window: Window, moment: datetime) -> None:
        self._windows.pop(window.key, None)
        self._windows[window.key] = window
        if len(self._windows) > self._occurrence_entries:
            oldest = self._windows.pop(next(iter(self._windows)))
            self.evicted += oldest.contains(moment)

    def _evict(self, identity: Identity) -> None:
        del self._stored[identity]
        del self._resolved[identity]
        self._unindex(identity)
        self._evicted.add(_short_digest(identity))
        self.evicted += 1

    def _index(self, identity: Identity) -> None:
        if identity.event is not None:
            return  # its name is empty: all Events of a namespace would share one key
        key = identity.object_key
        found = self._by_object.get(key)
        if found is None:
            self._by_object[key] = identity
        else:
            self._by_object[key] = (*self.of_object(key), identity)

    def _unindex(self, identity: Identity) -> None:
        if identity.event is not None:
            return
        key = identity.object_key
        left = tuple(one for one in self.of_object(key) if one != identity)
        if len(left) > 1:
            self._by_object[key] = left
        elif left:
            self._by_object[key] = left[0]
        else:
            self._by_object.pop(key, None)


def _short_digest(identity: Identity) -> bytes:
    return blake2b(canonical(identity), digest_size=EVICTED_DIGEST_BYTES).digest()
