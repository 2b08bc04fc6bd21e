"""Findings: errors, warnings and notes about documents, each with file, line, field path and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FOUND_CHARACTERS = 80
"""Bound of a wrong value in a message, which may come from anywhere."""

_ALLOWED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "enum": "{expected}",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "more than {gt}",
    "greater_than_equal": "{ge} or more",
    "int_type": "a whole number",
    "less_than_equal": "{le} or less",
    "literal_error": "{expected}",
    "model_type": "a mapping",
    "string_pattern_mismatch": "text that matches {pattern}",
    "string_too_long": "at most {max_length} characters",
    "string_type": "text",
    "tuple_type": "a list",
    "value_error": "{error}",
}


class FindingSeverity(StrEnum):
    """Whether a finding prevents the document from running (error), needs attention (warning), or neither (note)."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class FindingKind(StrEnum):
    """The cause of a finding, for code that treats some differently (``--strict``)."""

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
    """A finding about one place of one file; lines count from 1, and ``path`` is empty for the document as a whole."""

    severity: FindingSeverity
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


def explained(error: ErrorDetails, *, example: str = "") -> tuple[FindingKind, str]:
    """Translate an error of pydantic: its kind, and a message with what was found, what is allowed and an example."""
    kind = error["type"]
    suffix = f"; example: {example}" if example else ""
    if kind == "missing":
        return FindingKind.MISSING, f"required, but missing{suffix}"
    found: object = error["input"]
    template = _ALLOWED.get(kind)
    allowed = error["msg"] if template is None else template.format(**_plain(error.get("ctx", {})))
    if kind == "string_type" and isinstance(found, bool | int | float):
        allowed += ", in quotes"
    return FindingKind.INVALID, f"found {shown(found)}, allowed: {allowed}{suffix}"


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """The bounds of an error with whole numbers as such: 1 in place of 1.0."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.items()
    }


def shown(value: object) -> str:
    """A value as the document spells it, at most 80 characters of it."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list" if cast("list[Any]", value) else "an empty list"
    if isinstance(value, str):
        return f'"{_brief(value)}"'
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return _brief(f"{value}")


def _brief(text: str) -> str:
    return text if len(text) <= FOUND_CHARACTERS else text[: FOUND_CHARACTERS - 1] + "…"
