"""Raw events as an informer emits them."""

from __future__ import annotations

import msgspec

from operators.flow.delivery import Admission, OnSettled
from operators.model.event import (
    ApiResource,
    Change,
    ObjectRef,
    ObjectState,
    RawEvent,
    RemovalReason,
    Tombstone,
)

WIDGETS = ApiResource("example.org", "v1", "widgets", "Widget", namespaced=True)
EVENTS = ApiResource("", "v1", "events", "Event", namespaced=True)


def object_event(
    name: str,
    body: object = b"{}",
    *,
    resource: ApiResource = WIDGETS,
    namespace: str = "shop",
    change: Change = Change.MODIFIED,
    uid: str = "uid",
    version: str = "1",
    initial: bool = False,
    source: str = "widgets",
) -> RawEvent:
    """One state of an object; ``body`` is JSON as bytes, or a value to encode."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    subject = ObjectRef(resource.api_version, resource.kind, namespace, name)
    payload = ObjectState(resource, change, uid, version, initial)
    return RawEvent(source, 0, subject.key, subject, payload, raw)


def tombstone_event(
    name: str,
    *,
    resource: ApiResource = WIDGETS,
    namespace: str = "shop",
    reason: RemovalReason = RemovalReason.DELETED,
    uid: str = "uid",
    version: str = "2",
    source: str = "widgets",
) -> RawEvent:
    """The end of an object."""
    subject = ObjectRef(resource.api_version, resource.kind, namespace, name)
    return RawEvent(source, 0, subject.key, subject, Tombstone(resource, uid, version, reason), b"")


def unreadable_event(raw: bytes, *, resource: ApiResource = WIDGETS) -> RawEvent:
    """Bytes that no object could be read from: without a key and a subject."""
    return RawEvent("widgets", 0, None, None, ObjectState(resource, Change.MODIFIED, "", ""), raw)


def admitted(event: RawEvent, on_settled: OnSettled | None = None) -> Admission:
    """The event as its source emits it."""
    return Admission(event, on_settled)
