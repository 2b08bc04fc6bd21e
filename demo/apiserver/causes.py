"""Why an object is refused, field by field, in the API server's own words (`Status.details.causes`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

NO_FIELD = "<nil>"
"""What the API server writes in the place of a field where a complaint is about the whole."""

OMITTED = object()
"""Takes the place of a value that is not shown."""

_WORDS = {
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueRequired": "Required value",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
}
_LARGEST_PLAIN = 1e21
_SMALLEST_PLAIN = 1e-4


@dataclass(frozen=True, slots=True)
class Verbatim:
    """A value that is shown as this text: what Go makes of its own structures."""

    text: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One complaint, as `Status.details.causes` holds it."""

    field: str
    reason: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """The cause as a Status shows it."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def invalid(field: str, value: object, detail: str, *, reason: str = "FieldValueInvalid") -> Cause:
    """A value that does not do, and why."""
    return _cause(field, reason, _valued(value), detail)


def required(field: str, detail: str = "") -> Cause:
    """A value that is missing."""
    return _cause(field, "FieldValueRequired", "", detail)


def forbidden(field: str, detail: str) -> Cause:
    """A value that must not be there."""
    return _cause(field, "FieldValueForbidden", "", detail)


def duplicate(field: str, value: object) -> Cause:
    """A value that stands twice where it may stand once."""
    return _cause(field, "FieldValueDuplicate", _valued(value), "")


def unsupported(field: str, value: object, allowed: Iterable[object]) -> Cause:
    """A value that is none of those allowed."""
    names = (one if isinstance(one, str) else compact(one) for one in allowed)
    listed = ", ".join(quoted(name) for name in names)
    return _cause(
        field,
        "FieldValueNotSupported",
        _valued(value),
        f"supported values: {listed}" if listed else "",
    )


def too_long(field: str, most: int) -> Cause:
    """A string beyond its length; the server says bytes and counts characters."""
    unit = "byte" if most == 1 else "bytes"
    return _cause(field, "FieldValueTooLong", "", f"may not be more than {most} {unit}")


def too_many(field: str, count: int, *, most: int) -> Cause:
    """A list or an object with more in it than may be."""
    unit = "item" if most == 1 else "items"
    return _cause(field, "FieldValueTooMany", f": {count}", f"must have at most {most} {unit}")


def told(causes: Iterable[Cause]) -> str:
    """The causes in one message, each once, as a Status says them after `is invalid: `."""
    said = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    return said[0] if len(said) == 1 else f"[{', '.join(said)}]"


def quoted(text: str) -> str:
    """A string as Go's %q writes it."""
    return json.dumps(text, ensure_ascii=False)


def compact(value: object) -> str:
    """A value as JSON with its names sorted, as Go writes it."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def shown(value: object) -> str:
    """A plain value as Go's %v writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    return str(value)


def _float(value: float) -> str:
    if value.is_integer() and abs(value) < _LARGEST_PLAIN:
        return str(int(value))
    text = repr(value)
    if "e" in text and _SMALLEST_PLAIN <= abs(value) < _LARGEST_PLAIN:
        text = f"{value:f}".rstrip("0")
    return text


def _valued(value: object) -> str:
    if value is OMITTED:
        return ""
    if isinstance(value, Verbatim):
        return f": {value.text}"
    if isinstance(value, str):
        return f": {quoted(value)}"
    if isinstance(value, bool | int | float):
        return f": {shown(value)}"
    return f": {compact(value)}"


def _cause(field: str, reason: str, value: str, detail: str) -> Cause:
    message = f"{_WORDS[reason]}{value}{f': {detail}' if detail else ''}"
    return Cause(field or NO_FIELD, reason, message)
