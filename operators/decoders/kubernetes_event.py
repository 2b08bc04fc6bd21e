"""Kubernetes Events: neither a subject's state nor single occurrences, but counts that recorders keep.

One Observation per involved object, reason, type and reporter. Its count is a function of evidence, the latest count
of each Event by name, so that it is the same however often an Event is read (client-go, tools/record and tools/events,
write the shapes read here).
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

import msgspec

from operators.decoders.generic import cut_title
from operators.model.event import Body, ObjectRef, RawEvent
from operators.model.identity import EventIdentity
from operators.model.observation import Classified, EventEvidence, State
from operators.model.severity import priority_of, snake_case
from operators.rules.paths import Head

_HIGH = frozenset({"BackOff", "FailedMount", "NodeNotReady", "Evicted", "FailedScheduling"})
_PERFORMANCE = frozenset({"FailedScheduling", "Evicted"})


class _Involved(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""

    @property
    def path(self) -> str:
        """``namespace/kind/name``; empty where the Event names no object."""
        path = f"{self.namespace}/{self.kind}/{self.name}"
        return path if path != "//" else ""


class _Source(msgspec.Struct):
    component: str = ""


class _Series(msgspec.Struct, rename="camel"):
    count: int = 0
    last_observed_time: str | None = None


class EventHead(Head, rename="camel"):
    """What classifies an Event of either API: core/v1 (involvedObject) or events.k8s.io/v1 (regarding)."""

    reason: str = ""
    type: str = ""
    involved_object: _Involved | None = None
    regarding: _Involved | None = None
    reporting_component: str = ""
    reporting_controller: str = ""
    source: _Source | None = None
    deprecated_source: _Source | None = None
    count: int = 0
    deprecated_count: int = 0
    series: _Series | None = None
    event_time: str | None = None
    last_timestamp: str | None = None
    deprecated_last_timestamp: str | None = None


class KubernetesEventDecoder:
    """Reads Events of both APIs into one shape."""

    head = EventHead
    rechecks = False
    counts_events = True

    def classify(self, event: RawEvent, head: Head, *, now: datetime) -> Classified:  # noqa: ARG002  no rule here depends on time
        """Classify by type and reason; the subject is the involved object."""
        own = cast("EventHead", head)
        involved = _involved(own)
        severity = _severity(own)
        name = event.subject.name if event.subject is not None else own.metadata.name
        identity = EventIdentity(
            object=involved.uid or involved.path or name,
            reason=own.reason,
            type=own.type,
            reporter=_reporter(own),
        )
        return Classified(
            event,
            ObjectRef(involved.api_version, involved.kind, involved.namespace, involved.name),
            state=State.CLEAN if own.type == "Normal" else State.PROBLEM,
            severity=severity,
            category="performance" if own.reason in _PERFORMANCE else "operations",
            event_type=snake_case(own.reason),
            priority=priority_of(None, severity=severity),
            evidence=EventEvidence(identity, name, _count(own), _last_seen(own)),
        )

    def title(self, classified: Classified, body: Body) -> str:
        """Reason, kind and name of the involved object, and the Event's message."""
        subject, evidence = classified.subject, classified.evidence
        reason = evidence.identity.reason if evidence is not None else ""
        message = _text(body, "message") or _text(body, "note")
        return cut_title(f"{reason} {subject.kind} {subject.name}: {message}")


def is_kubernetes_event(group: str, resource: str) -> bool:
    """Whether objects of a resource are Kubernetes Events, in either of their two APIs."""
    return resource == "events" and group in {"", "events.k8s.io"}


def _involved(head: EventHead) -> _Involved:
    """The object that the Event is about, in the field of either API."""
    for involved in (head.involved_object, head.regarding):
        if involved is not None and (involved.uid or involved.path):
            return involved
    return _Involved()


def _reporter(head: EventHead) -> str:
    sources = [it.component for it in (head.source, head.deprecated_source) if it is not None]
    return next(filter(None, (head.reporting_component, head.reporting_controller, *sources)), "")


def _count(head: EventHead) -> int:
    """The series' count, else the Event's; absent, 0 and negative count as 1 (semantics of client-go's recorders)."""
    series = head.series.count if head.series is not None else 0
    for count in (series, head.count, head.deprecated_count):
        if count > 0:
            return count
    return 1


def _last_seen(head: EventHead) -> str:
    """When it happened last: the series' observation, the last timestamp, the event's time, its creation."""
    series = head.series.last_observed_time if head.series is not None else None
    return (
        series
        or head.last_timestamp
        or head.deprecated_last_timestamp
        or head.event_time
        or head.metadata.creation_timestamp
        or ""
    )


def _severity(head: EventHead) -> str:
    if head.type != "Warning":
        return "info"
    return "high" if head.reason in _HIGH else "medium"


def _text(fields: Body, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""
