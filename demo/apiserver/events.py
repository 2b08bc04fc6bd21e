"""Events, which two groups show under different names; they are stored as core/v1 has them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from demo.apiserver.causes import Cause, invalid, required
from demo.apiserver.documents import Object, as_object
from demo.apiserver.history import Entry
from demo.apiserver.store import Store

NEWER = "events.k8s.io/v1"
LIFETIME = timedelta(hours=1)
"""As long as a genuine server keeps them by default."""

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


class Expiry:
    """Events go an hour after they were last written; asked whenever one is written."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._written: deque[tuple[datetime, str, int]] = deque()

    def wrote(self, store: Store, entry: Entry) -> None:
        """Note that an Event was written, and remove those whose hour is over."""
        now = self._now()
        self._written.append((now, entry.key, entry.version))
        while now - self._written[0][0] > LIFETIME:
            _, key, version = self._written.popleft()
            there = store.get(key)
            if there is not None and there.version == version:
                store.remove(key)


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
