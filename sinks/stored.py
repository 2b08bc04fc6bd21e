"""Observations as they are stored, read back: what a restart restores, and what a write that was forgotten needs.

Only ``metadata``, ``spec.identity`` and a few fields beside it are decoded; ``resource`` and ``details`` show what a
person is to see, and may be about another object.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec

from operators.model.identity import (
    EventIdentity,
    Identity,
    IngesterKey,
    OccurrenceIdentity,
)
from operators.model.observation import Occurrence, Window
from operators.model.state import StoredObservation

TRACE_ANNOTATION = "tracing.k8s.io/traceparent"
"""The trace of the event that created the object (proposed by KEP-5915)."""

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_UNKNOWN = datetime.min.replace(tzinfo=UTC)
"""Placeholder for the bounds of a window that the Observation lacks: long ago."""


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    annotations: dict[str, str] | None = None


class _Event(msgspec.Struct, frozen=True):
    object: str = ""
    reason: str = ""
    type: str = ""
    reporter: str = ""
    class_: str = msgspec.field(default="", name="class")
    newest: str = ""


class _Occurrence(msgspec.Struct, frozen=True):
    key: str = ""
    opened: str = ""


class _Identity(msgspec.Struct, frozen=True):
    ingester: IngesterKey
    source: str = ""
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    part: str = ""
    uid: str = ""
    event: _Event | None = None
    occurrence: _Occurrence | None = None


class _Window(msgspec.Struct, rename="camel", frozen=True):
    window_start: _Moment = _UNKNOWN
    window_end: _Moment = _UNKNOWN


class _Spec(msgspec.Struct, rename="camel", frozen=True):
    identity: _Identity
    fingerprint: str = ""
    first_seen: str = ""
    last_seen: str = ""
    resolved_at: str | None = None
    evidence: dict[str, int] | None = None
    evidence_base: int = 0
    occurrence: _Window | None = None


class _Resource(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec


class StoredRecord:
    """One Observation of this product as the API server holds it."""

    __slots__ = ("_metadata", "_spec", "identity")

    def __init__(self, resource: _Resource) -> None:
        self._metadata = resource.metadata
        self._spec = resource.spec
        self.identity = _identity(resource.spec.identity)
        """The identity that the Observation's name follows from."""

    @property
    def namespace(self) -> str:
        """The namespace that the Observation stands in."""
        return self._metadata.namespace

    @property
    def object_uid(self) -> str:
        """The uid of the object when the Observation was last written; empty for Kubernetes Events."""
        return self._spec.identity.uid

    @property
    def stored(self) -> StoredObservation:
        """What is known of the Observation."""
        metadata, spec = self._metadata, self._spec
        event = spec.identity.event
        return StoredObservation(
            spec.fingerprint,
            spec.first_seen,
            spec.last_seen,
            resolved=bool(spec.resolved_at),
            name=metadata.name,
            uid=metadata.uid,
            traceparent=self._traceparent,
            base=spec.evidence_base,
            evidence=spec.evidence,
            newest=event.newest if event is not None else "",
        )

    @property
    def opened(self) -> tuple[Occurrence, Window] | None:
        """The occurrence and the window it opened; None for what is not an occurrence."""
        own, window = self._spec.identity.occurrence, self._spec.occurrence or _Window()
        if own is None:
            return None
        uid, _, version = own.opened.rpartition("/")
        metadata = self._metadata
        return Occurrence(uid, version), Window(
            own.key,
            metadata.name,
            window.window_start,
            window.window_end,
            metadata.uid,
            self._traceparent,
        )

    @property
    def _traceparent(self) -> str:
        return (self._metadata.annotations or {}).get(TRACE_ANNOTATION, "")


def _identity(own: _Identity) -> Identity:
    event, occurrence = own.event, own.occurrence
    return Identity(
        own.ingester,
        own.source,
        own.group,
        own.resource,
        own.namespace,
        own.name,
        own.part,
        event
        and EventIdentity(event.object, event.reason, event.type, event.reporter, event.class_),
        occurrence and OccurrenceIdentity(occurrence.key, occurrence.opened),
    )


_resource = msgspec.json.Decoder(_Resource)


def decode_stored(raw: bytes | msgspec.Raw) -> StoredRecord | None:
    """Decode an Observation; None for one without a readable identity, as other writers make them.

    Such a one is not known, so that its subject, if this Ingester observes it, is written anew.
    """
    try:
        return StoredRecord(_resource.decode(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
