"""Severities and event types in zen-watcher's terms; its tables are kept, so that its users' queries keep working."""

from __future__ import annotations

import re
from typing import Literal

_LEVELS = {
    "CRITICAL": "critical",
    "FATAL": "critical",
    "EMERGENCY": "critical",
    "HIGH": "high",
    "ERROR": "high",
    "ALERT": "high",
    "MEDIUM": "medium",
    "WARNING": "medium",
    "WARN": "medium",
    "LOW": "low",
    "INFORMATIONAL": "low",
    "INFO": "info",
}
Level = Literal["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"]
"""Severities as a document names them; ``info``, to which no tool's level translates, is the document's UNKNOWN."""

_RANKS = {"critical": 5, "high": 4, "medium": 3, "low": 2}
_PRIORITIES = {"critical": 0.9, "high": 0.7, "medium": 0.5, "low": 0.2}
"""Within zen-watcher's bands (from 0.9, 0.7, 0.4, 0.2); medium has its priority of what names none."""
DEFAULT_PRIORITY = 0.5
DEFAULT_SEVERITY = "medium"
DEFAULT_CATEGORY = "security"
DEFAULT_EVENT_TYPE = "custom_event"

_NOT_ALLOWED = re.compile(r"[^a-z0-9_]")
_CAMEL_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def severity_of(word: str) -> str:
    """Translate any tool's level, in any case; an unknown word is ``info``."""
    return _LEVELS.get(word.upper(), "info")


def rank(severity: str) -> int:
    """Order severities and levels, 5 for critical to 1 for whatever is none of the four."""
    return _RANKS.get(severity.lower(), 1)


def priority_of(own: object, *, severity: str) -> float:
    """An event's own priority, if that is a number from 0 to 1, else its severity's."""
    if isinstance(own, (int, float)) and not isinstance(own, bool) and 0 <= own <= 1:
        return float(own)
    return _PRIORITIES.get(severity, 0.0)


def event_type_of(text: str) -> str:
    """Make an event type of any text: lower case, ``_`` for what ``^[a-z0-9_]+$`` forbids."""
    return _NOT_ALLOWED.sub("_", text.lower()) or DEFAULT_EVENT_TYPE


def snake_case(text: str) -> str:
    """``FailedScheduling`` to ``failed_scheduling``, as an event type."""
    return event_type_of(_CAMEL_BOUNDARY.sub("_", text))
