"""A title that a person can read for any object, without knowing its kind."""

from __future__ import annotations

from typing import Any, cast

from operators.model.event import Body
from operators.model.observation import Subject

TITLE_CHARACTERS = 256


def title_of(subject: Subject, body: Body) -> str:
    """Name the object, and say the one thing its common fields say of it: a message, counts, a condition, a phase."""
    where = f"{subject.namespace}/{subject.name}" if subject.namespace else subject.name
    said = _message(body) or _counts(body) or _condition(body) or _phase(body)
    return clipped(f"{subject.kind} {where}: {said}" if said else f"{subject.kind} {where}")


def clipped(text: str) -> str:
    """Cut a title to 256 characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= TITLE_CHARACTERS else line[: TITLE_CHARACTERS - 1] + "…"


def _map(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _message(body: Body) -> str:
    message = body.get("message")
    return message if isinstance(message, str) else ""


def _counts(body: Body) -> str:
    """The counts of a report's summary that are not zero: ``1 critical, 2 high``."""
    summary = _map(body.get("summary")) or _map(_map(body.get("report")).get("summary"))
    return ", ".join(
        f"{count} {name.removesuffix('Count')}"
        for name, count in summary.items()
        if isinstance(count, int) and not isinstance(count, bool) and count > 0
    )


def _condition(body: Body) -> str:
    """The first condition that is not as it should be: ``Ready=False, ImagePullBackOff``."""
    conditions = _map(body.get("status")).get("conditions")
    for entry in cast("list[object]", conditions) if isinstance(conditions, list) else []:
        condition = _map(entry)
        about, status = condition.get("type"), condition.get("status")
        if not (isinstance(about, str) and isinstance(status, str)):
            continue
        if about in {"Ready", "Available"} and status != "True":
            reason = condition.get("reason")
            return f"{about}={status}" + (f", {reason}" if reason else "")
    return ""


def _phase(body: Body) -> str:
    phase = _map(body.get("status")).get("phase")
    return phase if isinstance(phase, str) else ""
