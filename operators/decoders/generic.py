"""Any object: classified by the fields that objects of many kinds share, without knowledge of their kind."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from operators.model.event import Body, ObjectRef, RawEvent
from operators.model.observation import Classified
from operators.model.severity import DEFAULT_SEVERITY, priority_of, severity_of
from operators.rules.paths import Head

TITLE_CHARACTERS = 256


class GenericHead(Head):
    """What classifies an object of any kind."""

    severity: str | float | None = None
    priority: str | float | None = None


class GenericDecoder:
    """Reads ``severity`` and ``priority``, and for the title a message, counts, a condition or a phase."""

    head = GenericHead
    rechecks = False
    counts_events = False

    def classify(self, event: RawEvent, head: Head, *, now: datetime) -> Classified:  # noqa: ARG002  no rule here depends on time
        """Take the object's own ``severity``, else its ``priority``, else medium."""
        own, subject = cast("GenericHead", head), cast("ObjectRef", event.subject)
        if own.severity is None and own.priority is None:
            return Classified(event, subject)
        severity = _severity(own)
        return Classified(
            event,
            subject,
            severity=severity,
            priority=priority_of(own.priority, severity=severity),
        )

    def title(self, classified: Classified, body: Body) -> str:
        """Name the object and the one fact that its common fields report."""
        subject = classified.subject
        place = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
        fact = _message(body) or _counts(body) or _condition(body) or _phase(body)
        return cut_title(f"{subject.kind} {place}: {fact}" if fact else f"{subject.kind} {place}")


def cut_title(text: str) -> str:
    """Put a title on one line of at most 256 characters."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1] + "…"


def _severity(head: GenericHead) -> str:
    for word in (head.severity, head.priority):
        if isinstance(word, str):
            return severity_of(word)
    return DEFAULT_SEVERITY


def _fields(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _message(body: Body) -> str:
    message = body.get("message")
    return message if isinstance(message, str) else ""


def _counts(body: Body) -> str:
    """The counts of a report's summary that are not zero: ``1 critical, 2 high``."""
    summary = _fields(body.get("summary")) or _fields(_fields(body.get("report")).get("summary"))
    return ", ".join(
        f"{count} {name.removesuffix('Count')}"
        for name, count in summary.items()
        if isinstance(count, int) and not isinstance(count, bool) and count > 0
    )


def _condition(body: Body) -> str:
    """The first Ready or Available condition that is not True: ``Ready=False, ImagePullBackOff``."""
    conditions = _fields(body.get("status")).get("conditions")
    for entry in cast("list[object]", conditions) if isinstance(conditions, list) else []:
        condition = _fields(entry)
        kind, status = condition.get("type"), condition.get("status")
        if not (isinstance(kind, str) and isinstance(status, str)):
            continue
        if kind in {"Ready", "Available"} and status != "True":
            reason = condition.get("reason")
            return f"{kind}={status}" + (f", {reason}" if reason else "")
    return ""


def _phase(body: Body) -> str:
    phase = _fields(body.get("status")).get("phase")
    return phase if isinstance(phase, str) else ""
