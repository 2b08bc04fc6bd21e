"""What pydantic found wrong, in the words of whoever wrote the document: what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic_core import ErrorDetails

from streams.config.findings import FindingKind

FOUND_CHARACTERS = 80
"""How much of a wrong value is repeated."""

_ALLOWED = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
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


def judged(error: ErrorDetails) -> tuple[FindingKind, str]:
    """Say what kind of error it is, and what was found where what is allowed."""
    kind = error["type"]
    if kind == "missing":
        return FindingKind.MISSING, "required, but missing"
    found: object = error["input"]
    said = _ALLOWED.get(kind)
    allowed = error["msg"] if said is None else said.format(**_plain(error.get("ctx", {})))
    if kind == "string_type" and isinstance(found, bool | int | float):
        allowed += ", in quotes"
    return FindingKind.INVALID, f"found {shown(found)}, allowed: {allowed}"


def _plain(context: Mapping[str, Any]) -> dict[str, Any]:
    """The bounds of an error as a person writes them: 1, where a number's is 1.0."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.items()
    }


def shown(value: object) -> str:
    """A value as the document spells it, briefly."""
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
