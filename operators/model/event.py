"""What enters the pipeline: a ``RawEvent``, its typed payload, and the references it is known by.

Every value here is encodable with msgspec as it is, so that memory, a spool and a message bus carry the same bytes.
None of them holds a callback.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

Body = dict[str, Any]
"""A decoded object; the function that decoded it may modify it."""

RECORD_BYTES = 400
"""Bytes an event takes beside ``raw``: the event, its payload, its ticket and the marks (measured, rounded up)."""


class Change(StrEnum):
    """What happened to the object, as the source observed it."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    RESYNC = "RESYNC"
    """Nothing changed: the object was listed again because the source's resync period had passed."""
    TIMER = "TIMER"
    """Nothing changed: the state was classified again at the time that its decoder named (``recheck_at``)."""


class RemovalReason(StrEnum):
    """Why an object is no longer observed."""

    DELETED = "deleted"
    LEFT_SELECTOR = "left_selector"
    """The object still exists, but the source's selector no longer matches it."""
    FILTERED = "filtered"
    """The object still exists, but a filter rule no longer wants it."""


class UndecodableError(ValueError):
    """The bytes of an event are not what its kind of payload requires, such as a JSON object."""


class ApiResource(msgspec.Struct, frozen=True):
    """A resource as the API server's discovery describes it (``metav1.APIResource``)."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


class ObjectRef(msgspec.Struct, frozen=True, gc=False):
    """The object an event or an Observation is about."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def key(self) -> str:
        """``namespace/name``, as client-go's MetaNamespaceKeyFunc, with an empty namespace kept."""
        return f"{self.namespace}/{self.name}"


class ObjectState(msgspec.Struct, frozen=True, tag="object_state"):
    """Payload: one state of an object. Its bytes are the event's ``raw``, with ``managedFields`` emptied."""

    resource: ApiResource
    change: Change
    uid: str
    version: str
    """The object's resourceVersion."""
    initial: bool = False
    """Whether the state was read in the first list of its reader."""


class Tombstone(msgspec.Struct, frozen=True, tag="tombstone"):
    """Payload: the object is no longer observed. ``raw`` is empty unless the last state came with the deletion."""

    resource: ApiResource
    uid: str
    version: str
    reason: RemovalReason = RemovalReason.DELETED
    final_state_unknown: bool = False
    """Whether the deletion was inferred from a list (client-go, DeletedFinalStateUnknown)."""


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Payload: one element of what a sender pushed; ``raw`` holds the element."""

    format: str
    """How ``raw`` is to be decoded: falco, alertmanager, audit, cloudevents, json."""
    delivery_id: str = ""
    """The sender's own id of the delivery; empty if it sends none."""


class LogLine(msgspec.Struct, frozen=True, tag="log_line"):
    """Payload: one line of a container's log; ``raw`` holds the line without its end."""

    container: str
    container_id: str
    written_at_ns: int
    """Wall-clock nanoseconds that the kubelet put before the line."""


Payload = ObjectState | Tombstone | Report | LogLine


class RawEvent(msgspec.Struct, frozen=True):
    """One event of a source, as received."""

    source: str
    """``spec.source`` of the document."""
    received_at_ns: int
    """Wall-clock nanoseconds since 1970, UTC."""
    key: str | None
    """The key by which events are ordered and coalesced (``namespace/name``, never the uid); None: neither."""
    subject: ObjectRef | None
    """The object that the event is about, where the source knows it."""
    payload: Payload
    raw: bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of the pipeline's room that the event takes until it is settled."""
        return len(self.raw) + RECORD_BYTES
