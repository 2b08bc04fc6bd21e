"""The values between a raw event and a write: classified, described, removed.

``Classified`` and ``Observation`` are two types, so that what was not described cannot be compared or written. The
custom resource is built and validated only at the sink.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from operators.model.event import Body, ObjectRef, RawEvent, RemovalReason
from operators.model.identity import EventIdentity, Identity
from operators.model.severity import (
    DEFAULT_CATEGORY,
    DEFAULT_EVENT_TYPE,
    DEFAULT_PRIORITY,
    DEFAULT_SEVERITY,
)


class State(StrEnum):
    """What a decoder makes of an object as it is now."""

    PROBLEM = "problem"
    CLEAN = "clean"
    PENDING = "pending"
    """In transition: neither a problem nor its end."""
    UNKNOWN = "unknown"
    """The decoder has no rule for such an object."""


@dataclass(frozen=True, slots=True)
class EventEvidence:
    """How often a Kubernetes Event reports that it happened: the evidence from which counts are computed."""

    identity: EventIdentity
    name: str
    """The Event's name: a recorder that patches an expired Event creates the name anew and continues its count."""
    count: int
    last_seen: str


class Classified(msgspec.Struct):
    """An event that was classified by its head; its body is not decoded yet.

    Made by a decoder; the classify operator sets ``identity``, ``namespace`` and ``head``.
    """

    event: RawEvent
    subject: ObjectRef
    """The object that is shown, which may be another than the identified one: of an Event the involved one."""
    state: State = State.UNKNOWN
    severity: str = DEFAULT_SEVERITY
    category: str = DEFAULT_CATEGORY
    event_type: str = DEFAULT_EVENT_TYPE
    priority: float = DEFAULT_PRIORITY
    """0 to 1: the object's own, else its severity's."""
    recheck_at: datetime | None = None
    """When the state is to be classified again although nothing changed; times in the object decide it."""
    evidence: EventEvidence | None = None
    """Set for Kubernetes Events, which are neither a subject's state nor single occurrences."""
    identity: Identity | None = None
    namespace: str = ""
    """The Observation's namespace."""
    source: str = ""
    is_occurrence: bool = False
    """Whether the event is observed as something that happened, in place of a subject's newest state."""
    head: object = None
    """The projection from which rules read; released once the filter has read it."""


class Removal(msgspec.Struct):
    """A subject that is no longer observed, or no longer wanted: its Observation is to be resolved or deleted."""

    identity: Identity
    namespace: str
    subject: ObjectRef
    reason: RemovalReason
    rule: str = ""
    """The filter rule that no longer wants the subject; empty for any other reason."""


@dataclass(slots=True)
class Window:
    """The time within which equal occurrences are duplicates of one Observation."""

    key: str
    """The deduplication key."""
    name: str
    """The Observation's name."""
    start: datetime
    end: datetime
    uid: str = ""
    """The Observation's uid, once it is confirmed."""
    traceparent: str = ""
    """The trace of the event that opened the window."""

    def contains(self, moment: datetime) -> bool:
        """Whether a moment falls into the window.

        A window that begins later than its own length from now was opened by a wrong clock: it contains nothing.
        """
        return moment < self.end and self.start - moment <= self.end - self.start


@dataclass(slots=True)
class Occurrence:
    """The event of which an Observation is written, where it reports what happened and not what is."""

    uid: str
    """The object's uid, or the sender's id of the event; empty if there is none."""
    version: str
    """The object's resourceVersion, which differs for each event."""
    listed: bool = False
    """Whether the event was read in a list, which shows what is and not what happened."""
    window: Window | None = None
    """The window that the event opens, once deduplication has decided that it does."""

    @property
    def opened(self) -> str:
        """The id of the event, as it is stored where it opens a window: ``uid/version``."""
        return f"{self.uid}/{self.version}"


class Observation(msgspec.Struct):
    """What is to be known of a subject: what happened, to what, how bad it is. Compared, then written."""

    classified: Classified
    identity: Identity
    namespace: str
    """The Observation's namespace."""
    title: str
    fingerprint: str
    """Of a subject: digest of what is written, less what is only a time. Of an occurrence: the deduplication key."""
    details: Body
    description: str = ""
    resync: bool = False
    """Whether the state was read again on purpose: unchanged, it may only refresh ``lastSeen``."""
    occurrence: Occurrence | None = None
    """Set for occurrences, each of which is written once in a window."""
