"""What is found in documents, said so that a person can go and mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class FindingKind(StrEnum):
    """What a finding is about, for whoever decides by it."""

    UNREADABLE = "unreadable"
    SYNTAX = "syntax"
    UNKNOWN_FIELD = "unknown-field"
    INVALID = "invalid"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    NOT_BUILT = "not-built"
    SHADOWED = "shadowed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to say of one place in one file; lines count from 1, and ``path`` is empty for a whole document."""

    severity: Severity
    kind: FindingKind
    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {self.severity}: {where}{self.message}"


def path_of(location: Iterable[str | int]) -> str:
    """Write a location as Kubernetes does: ``spec.destinations[0].type``."""
    text = ""
    for step in location:
        if isinstance(step, int) or "." in step or "/" in step:
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
