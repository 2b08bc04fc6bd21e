"""Field errors (`Status.details.causes`), worded as by apimachinery's `field` package; checks of names and metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from demo.apiserver.documents import Value, as_list, as_object

NO_FIELD = "<nil>"
"""The field name of a cause about the whole object."""

OMITTED = object()
"""Stands for a value that is not shown."""

_DESCRIPTIONS = {
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
    """A value shown as this text: the format of Go structures."""

    text: str


@dataclass(frozen=True, slots=True)
class Cause:
    """One entry of `Status.details.causes`."""

    field: str
    reason: str
    message: str

    def to_dict(self) -> dict[str, str]:
        """Return the entry as JSON."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def invalid(field: str, value: object, detail: str, *, reason: str = "FieldValueInvalid") -> Cause:
    """An invalid value, and the reason."""
    return _described_cause(field, reason, _value_text(value), detail)


def required(field: str, detail: str = "") -> Cause:
    """A value that is missing."""
    return _described_cause(field, "FieldValueRequired", "", detail)


def forbidden(field: str, detail: str) -> Cause:
    """A forbidden value."""
    return _described_cause(field, "FieldValueForbidden", "", detail)


def duplicate(field: str, value: object) -> Cause:
    """A duplicate value."""
    return _described_cause(field, "FieldValueDuplicate", _value_text(value), "")


def unsupported(field: str, value: object, allowed: Iterable[object]) -> Cause:
    """A value that is not among the allowed ones."""
    names = (one if isinstance(one, str) else compact(one) for one in allowed)
    listed = ", ".join(quoted(name) for name in names)
    return _described_cause(
        field,
        "FieldValueNotSupported",
        _value_text(value),
        f"supported values: {listed}" if listed else "",
    )


def too_long(field: str, most: int) -> Cause:
    """A string beyond its length; the message has bytes, the server counts characters."""
    unit = "byte" if most == 1 else "bytes"
    return _described_cause(field, "FieldValueTooLong", "", f"may not be more than {most} {unit}")


def too_many(field: str, count: int, *, most: int) -> Cause:
    """A list or an object with too many entries."""
    unit = "item" if most == 1 else "items"
    return _described_cause(
        field, "FieldValueTooMany", f": {count}", f"must have at most {most} {unit}"
    )


def aggregate_message(causes: Iterable[Cause]) -> str:
    """Join the causes without duplicates, as in a Status after `is invalid: `."""
    messages = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    return messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"


def quoted(text: str) -> str:
    """Format a string as Go's %q does."""
    return json.dumps(text, ensure_ascii=False)


def compact(value: object) -> str:
    """Encode a value as JSON with sorted names, as Go does."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def format_value(value: object) -> str:
    """Format a scalar as Go's %v does."""
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


def _value_text(value: object) -> str:
    if value is OMITTED:
        return ""
    if isinstance(value, Verbatim):
        return f": {value.text}"
    if isinstance(value, str):
        return f": {quoted(value)}"
    if isinstance(value, bool | int | float):
        return f": {format_value(value)}"
    return f": {compact(value)}"


def _described_cause(field: str, reason: str, value: str, detail: str) -> Cause:
    message = f"{_DESCRIPTIONS[reason]}{value}{f': {detail}' if detail else ''}"
    return Cause(field or NO_FIELD, reason, message)


SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_NAME_PART = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation "
    "is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
KEY_FORM = (
    f"a valid label key {_NAME_PART} with an optional DNS subdomain prefix and '/' "
    "(e.g. 'example.com/MyName')"
)
VALUE_FORM = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL.pattern}(\.{_DNS_LABEL.pattern})*")
_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")

_MOST_SUBDOMAIN = 253
_MOST_LABEL = 63
_MOST_ANNOTATIONS_BYTES = 256 * 1024
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and ambiguous characters (apimachinery, util/rand)."""

_SUFFIX = 5
_STANDARD_FINALIZERS = {"kubernetes", "foregroundDeletion", "orphan"}


def generate_name(prefix: str, chance: Random) -> str:
    """Generate a name from a `generateName` prefix."""
    suffix = "".join(chance.choices(_SUFFIX_LETTERS, k=_SUFFIX))
    return prefix[: _MOST_LABEL - _SUFFIX] + suffix


def is_subdomain(name: str) -> bool:
    """Return whether this is an RFC 1123 subdomain."""
    return len(name) <= _MOST_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(name) is not None


def name_causes(name: str, field: str, *, form: str) -> Iterator[Cause]:
    """Validate the name of an object; `form` is subdomain, label or path."""
    if form == "path":
        yield from _path_name_causes(name, field)
        return
    pattern, most, words = (
        (_DNS_LABEL, _MOST_LABEL, LABEL)
        if form == "label"
        else (_DNS_SUBDOMAIN, _MOST_SUBDOMAIN, SUBDOMAIN)
    )
    if len(name) > most:
        yield invalid(field, name, f"must be no more than {most} bytes")
    if form == "label" and "." in name:
        yield invalid(field, name, "must not contain dots")
    elif not pattern.fullmatch(name):
        yield invalid(field, name, words)


def _path_name_causes(name: str, field: str) -> Iterator[Cause]:
    """Validate a name that may be any path segment."""
    if name in {".", ".."}:
        yield invalid(field, name, f"may not be '{name}'")
    for wrong in ("/", "%"):
        if wrong in name:
            yield invalid(field, name, f"may not contain '{wrong}'")


def prefix_causes(prefix: str, *, form: str) -> Iterator[Cause]:
    """Validate a `generateName`, which may end with a dash."""
    masked = f"{prefix[:-1]}a" if prefix.endswith("-") else prefix
    for cause in name_causes(masked, "metadata.generateName", form=form):
        yield Cause(cause.field, cause.reason, cause.message.replace(masked, prefix, 1))


def metadata_causes(metadata: dict[str, Value]) -> Iterator[Cause]:
    """Validate labels, annotations and finalizers."""
    for key, value in (as_object(metadata.get("labels")) or {}).items():
        yield from key_causes(key, "metadata.labels")
        yield from label_value_causes(str(value), "metadata.labels")
    annotations = as_object(metadata.get("annotations")) or {}
    for key in annotations:
        yield from key_causes(key.lower(), "metadata.annotations", shown=key)
    if sum(len(key) + len(str(value)) for key, value in annotations.items()) > (
        _MOST_ANNOTATIONS_BYTES
    ):
        yield too_long("metadata.annotations", _MOST_ANNOTATIONS_BYTES)
    for at, name in enumerate(as_list(metadata.get("finalizers")) or ()):
        yield from _finalizer_causes(str(name), f"metadata.finalizers[{at}]")


def key_causes(key: str, field: str, *, shown: str | None = None) -> Iterator[Cause]:
    """Validate the key of a label or an annotation."""
    text = key if shown is None else shown
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield invalid(field, text, KEY_FORM)
        return
    if slash and not prefix:
        yield invalid(field, text, "prefix part must be non-empty")
    elif slash and not is_subdomain(prefix):
        yield invalid(field, text, f"prefix part {SUBDOMAIN}")
    if not name:
        yield invalid(field, text, "name part must be non-empty")
    elif len(name) > _MOST_LABEL:
        yield invalid(field, text, f"name part must be no more than {_MOST_LABEL} bytes")
    if not _PART.fullmatch(name):
        yield invalid(field, text, f"name part {_NAME_PART}")


def label_value_causes(value: str, field: str) -> Iterator[Cause]:
    """Validate the value of a label."""
    if len(value) > _MOST_LABEL:
        yield invalid(field, value, f"must be no more than {_MOST_LABEL} bytes")
    if value and not _PART.fullmatch(value):
        yield invalid(field, value, VALUE_FORM)


def _finalizer_causes(name: str, field: str) -> Iterator[Cause]:
    yield from key_causes(name, field)
    if "/" not in name and name not in _STANDARD_FINALIZERS:
        yield invalid(
            field, name, "name is neither a standard finalizer name nor is it fully qualified"
        )


def added_finalizer_causes(before: list[Value], after: list[Value]) -> Iterator[Cause]:
    """Yield the cause for finalizers added to a terminating object."""
    new = sorted(str(one) for one in after if one not in before)
    if new:
        quoted = ", ".join(f'"{one}"' for one in new)
        yield forbidden(
            "metadata.finalizers",
            "no new finalizers can be added if the object is being deleted, found new finalizers "
            f"[]string{{{quoted}}}",
        )
