"""Events, which two groups show under different names; they are stored as core/v1 has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from streams.devserver.causes import Cause, invalid, required
from streams.devserver.documents import Object, as_object
from streams.devserver.history import Entry

NEWER = "events.k8s.io/v1"

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
"""What core/v1 writes even where nobody said it."""

_UNLESS_EMPTY = ("reportingController", "reportingInstance")


def completed(obj: Object) -> Object:
    """An Event with the fields that core/v1 always writes."""
    return {**obj, **{name: obj[name] if obj.get(name) else it for name, it in _ALWAYS.items()}}


def complaints(obj: Object, *, newer_group: bool) -> Iterator[Cause]:
    """What is wrong with a new Event; the older group checks little."""
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


def older(obj: Object) -> Object:
    """An Event of the newer group as core/v1 has it."""
    return {_BACK.get(name, name): it for name, it in obj.items()}


def newer(obj: Object) -> Object:
    """An Event of core/v1 as the newer group shows it."""
    shown = {_NAMES.get(name, name): it for name, it in obj.items()}
    return {name: it for name, it in shown.items() if it or name not in _UNLESS_EMPTY}


def newer_tail(entry: Entry) -> bytes:
    """The JSON of an Event from `metadata` on, in the newer group."""
    obj = msgspec.json.decode(b"{" + entry.tail(), type=dict[str, Any])
    return msgspec.json.encode(newer(obj))[1:]
