"""Severities and event types in zen-watcher's words; its tables are kept, so that its users' queries hold."""

from __future__ import annotations

import re

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
DEFAULT_SEVERITY = "medium"
DEFAULT_CATEGORY = "security"
DEFAULT_EVENT_TYPE = "custom_event"

_NOT_ALLOWED = re.compile(r"[^a-z0-9_]")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def severity_of(word: str) -> str:
    """Translate any tool's level, in any case; what is unknown is ``info``."""
    return _LEVELS.get(word.upper(), "info")


def event_type_of(text: str) -> str:
    """Make an event type of any text: lower case, ``_`` for what ``^[a-z0-9_]+$`` forbids."""
    return _NOT_ALLOWED.sub("_", text.lower()) or DEFAULT_EVENT_TYPE


def snake_case(text: str) -> str:
    """``FailedScheduling`` to ``failed_scheduling``, as an event type."""
    return event_type_of(_HUMP.sub("_", text))
