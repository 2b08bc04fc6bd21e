"""Kubernetes Events: neither a subject's state nor single occurrences, but tallies that recorders keep.

One Observation per involved object, reason, type and reporter. Its count is a function of evidence, the latest count
of each Event by name, so that it comes out the same however often an Event is seen (client-go, tools/record and
tools/events, write the shapes read here).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from operators.decoders.title import clipped
from operators.model.event import Body, Kind, RawEvent
from operators.model.fingerprint import HEX_CHARACTERS
from operators.model.identity import digest, observation_name
from operators.model.index import Known
from operators.model.observation import Observation, Subject, Tally
from operators.model.severity import priority_of, snake_case

EVIDENCE_NAMES = 64
"""Beyond so many names, those whose Event is gone fall out of the evidence, their counts going into the base."""

_GRAVE = frozenset({"BackOff", "FailedMount", "NodeNotReady", "Evicted", "FailedScheduling"})
_PERFORMANCE = frozenset({"FailedScheduling", "Evicted"})


def is_kubernetes_event(kind: Kind) -> bool:
    """Whether objects of this kind are Kubernetes Events, in either of their two views."""
    return kind.resource == "events" and kind.group in {"", "events.k8s.io"}


def observe_kubernetes_event(
    event: RawEvent, body: Body, *, ingester: tuple[str, str], source: str
) -> Observation:
    """Make an Observation of an Event's decoded and redacted body."""
    involved = _map(body.get("involvedObject") or body.get("regarding"))
    reason, kind = _text(body, "reason"), _text(body, "type")
    reporter = (
        _text(body, "reportingComponent")
        or _text(body, "reportingController")
        or _text(_map(body.get("source") or body.get("deprecatedSource")), "component")
    )
    about = _text(involved, "uid") or "/".join(
        (_text(involved, "namespace"), _text(involved, "kind"), _text(involved, "name"))
    )
    identity = (*ingester, "event", about, reason, kind, reporter)
    subject = Subject(
        _text(involved, "apiVersion"),
        _text(involved, "kind"),
        _text(involved, "namespace"),
        _text(involved, "name"),
    )
    severity = _severity(kind, reason)
    message = _text(body, "message") or _text(body, "note")
    return Observation(
        name=observation_name(source, identity),
        namespace=event.namespace or ingester[0],
        source=source,
        category="performance" if reason in _PERFORMANCE else "operations",
        severity=severity,
        priority=priority_of(None, severity=severity),
        event_type=snake_case(reason),
        title=clipped(f"{reason} {subject.kind} {subject.name}: {message}"),
        subject=subject,
        fingerprint=digest(identity, characters=HEX_CHARACTERS),
        details=body,
        tally=Tally(event.name, occurrences(body), last_seen(body)),
    )


def occurrences(body: Body) -> int:
    """How often the Event says it happened: its series' count, else its count; absent, 0 and negative are 1."""
    for count in (
        _map(body.get("series")).get("count"),
        body.get("count"),
        body.get("deprecatedCount"),
    ):
        if isinstance(count, int) and count > 0:
            return count
    return 1


def last_seen(body: Body) -> str:
    """When it happened last: the series' observation, the last time stamp, the event's time, its creation."""
    return (
        _text(_map(body.get("series")), "lastObservedTime")
        or _text(body, "lastTimestamp")
        or _text(body, "deprecatedLastTimestamp")
        or _text(body, "eventTime")
        or _text(_map(body.get("metadata")), "creationTimestamp")
    )


def is_told(known: Known, tally: Tally) -> bool:
    """Whether an Event adds nothing to the evidence."""
    return known.evidence is not None and known.evidence.get(tally.event) == tally.count


def with_tally(
    known: Known | None, tally: Tally, *, is_alive: Callable[[str], bool]
) -> tuple[int, dict[str, int]]:
    """Add an Event to the evidence: the new base and the new map.

    A count lower than the one remembered for the name starts a new run, and the old run goes into the base. Beyond
    64 names, those whose Event is gone (``is_alive`` says) go into the base, the oldest first.
    """
    base = known.base if known is not None else 0
    evidence = dict(known.evidence or {}) if known is not None else {}
    before = evidence.get(tally.event, 0)
    if tally.count < before:
        base += before
    evidence[tally.event] = tally.count
    if len(evidence) > EVIDENCE_NAMES:
        gone = sorted((name for name in evidence if not is_alive(name)), key=_age)
        for name in gone[: len(evidence) - EVIDENCE_NAMES]:
            base += evidence.pop(name)
    return base, evidence


def _age(name: str) -> tuple[int, str]:
    """Recorders end an Event's name with its first time stamp in hexadecimal nanoseconds."""
    try:
        return int(name.rpartition(".")[2], 16), name
    except ValueError:
        return 0, name


def _severity(kind: str, reason: str) -> str:
    if kind != "Warning":
        return "info"
    return "high" if reason in _GRAVE else "medium"


def _map(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""
