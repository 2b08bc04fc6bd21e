"""The constraints of one schema node on one value, without what is inside the value; patterns and string formats.

Order and wording of the causes are kube-openapi's, quirks included: a limit is cut to a whole number where it meets
one (a `multipleOf` below 1 refuses every integer), and a string format accepts lists. Not checked, and so accepted:
email beyond its rough form, and formats that no custom resource of a cluster uses (bsonobjectid, creditcard, hexcolor,
isbn, rgbcolor, ssn, k8s-short-name, k8s-long-name).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, cast

import re2 as _re2  # pyright: ignore[reportMissingTypeStubs]

from demo.apiserver import validation
from demo.apiserver.documents import Object, Schema, Value, as_list
from demo.apiserver.validation import Cause

_re2_module = cast("Any", _re2)

_COMPILED_PATTERNS = 512
"""Bound of the cache, far above the number of patterns in the schemas of a demonstration."""


class PatternError(ValueError):
    """RE2 refuses the pattern."""


def matches_pattern(pattern: str, text: str) -> bool:
    """Return whether the pattern is found anywhere in the text. Raises PatternError."""
    return _compiled_pattern(pattern).search(text) is not None


def check_pattern(pattern: str) -> None:
    """Raise PatternError for an invalid pattern."""
    _compiled_pattern(pattern)


@lru_cache(maxsize=_COMPILED_PATTERNS)
def _compiled_pattern(pattern: str) -> re.Pattern[str]:
    options = _re2_module.Options()
    options.log_errors = False
    try:
        return cast("re.Pattern[str]", _re2_module.compile(pattern, options))
    except _re2_module.error as failure:
        raise PatternError(f"{failure}") from failure


_TIME = re.compile(
    r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_SPAN = re.compile(
    r"[0-9]+ ?(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms|millis?"
    r"|milliseconds?|µs|micros?|microseconds?|ns|nanos?|nanoseconds?|w|wks?|weeks?)"
)
_HOSTNAME = re.compile(r"[^\W_](?:[-\w]{0,61}[^\W_])?(?:\.[^\W_](?:[-\w]{0,61}[^\W_])?)*")
_EMAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}(?:(?:[:-][0-9a-fA-F]{2}){2})?")
_URI = re.compile(r"/[^\s]*|[a-zA-Z][-+.a-zA-Z0-9]*:[^\s]+")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?([0-9a-f])[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_HOSTNAME_CHARACTERS = 255


def is_known_format(format_name: str) -> bool:
    """Return whether strings are checked against the format."""
    return format_name.replace("-", "") in _CHECKS


def has_format(format_name: str, text: str) -> bool:
    """Return whether a string has the format; every string has an unknown one."""
    check = _CHECKS.get(format_name.replace("-", ""))
    return check is None or check(text)


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2006-01-02") and bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    date, _, time = text.lower().partition("t")
    match = _TIME.fullmatch(time)
    if match is None or not _is_date(date):
        return False
    hour, minute, second = match.groups()
    return hour <= "23" and minute <= "59" and second <= "59"


def _is_duration(text: str) -> bool:
    return bool(_DURATION.fullmatch(text) or _SPAN.fullmatch(text))


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def _is_uuid(version: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        match = _UUID.fullmatch(text.lower())
        return match is not None and version in ("", match[1])

    return check


def _made(make: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            make(text)
        except ValueError:
            return False
        return True

    return check


def _network(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_network(text, strict=False)


def _is_hostname(text: str) -> bool:
    return len(text) <= _HOSTNAME_CHARACTERS and bool(_HOSTNAME.fullmatch(text))


_CHECKS: dict[str, Callable[[str], bool]] = {
    "byte": _is_base64,
    "cidr": _made(_network),
    "date": _is_date,
    "datetime": _is_datetime,
    "duration": _is_duration,
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "hostname": _is_hostname,
    "ipv4": _made(ipaddress.IPv4Address),
    "ipv6": _made(ipaddress.IPv6Address),
    "mac": lambda text: bool(_MAC.fullmatch(text)),
    "password": lambda _: True,
    "uri": lambda text: bool(_URI.fullmatch(text)),
    "uuid": _is_uuid(""),
    "uuid3": _is_uuid("3"),
    "uuid4": _is_uuid("4"),
    "uuid5": _is_uuid("5"),
}


_INT32 = 1 << 31
_INT64 = 1 << 63
_FORMATS_OF_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}
_TYPES: dict[Value, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    type(None): "null",
}
_INTERNAL = {"integer": "int64", "number": "float64"}


def type_of(value: Value) -> str:
    """Return the JSON type of a value."""
    return _TYPES.get(type(value), "object")


def types_of(schema: Schema) -> list[str]:
    """Return the types that a schema allows; an empty list means any."""
    if schema.get("x-kubernetes-int-or-string"):
        return ["integer", "string"]
    return [schema["type"]] if schema.get("type") else []


def type_causes(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """Yield the cause for a value of the wrong type."""
    types, found, form = types_of(schema), type_of(value), format_of(schema)
    if value is None:
        if types and not schema.get("nullable"):
            yield mistyped(field, ",".join(types), "null")
        return
    if found in types or _is_compatible_number(types, value):
        return
    if form and found not in ("string", "array"):
        yield mistyped(field, form, _INTERNAL.get(found, ""))
    elif types and not (form and not {"integer", "number"} & set(types)):
        yield mistyped(field, ",".join(types), found)


def mistyped(field: str, wanted: str, found: str) -> Cause:
    """Return the cause for a value of another type."""
    detail = f"{field} in body must be of type {wanted}: {validation.quoted(found)}"
    return validation.invalid(field, found, detail, reason="FieldValueTypeInvalid")


def format_of(schema: Schema) -> str:
    """Return the format to check; "" for unknown ones and those of other types."""
    form, types = schema.get("format", ""), types_of(schema)
    kind = types[0] if len(types) == 1 else ""
    if kind in ("", "string"):
        return form if is_known_format(form) else ""
    return form if form in _FORMATS_OF_NUMBERS.get(kind, ()) else ""


def _is_compatible_number(types: list[str], value: Value) -> bool:
    if isinstance(value, bool):
        return False
    return ("number" in types and isinstance(value, int)) or (
        "integer" in types and isinstance(value, float) and value.is_integer()
    )


def limit_causes(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """Yield causes for a value beyond its limits or against its pattern."""
    elements = as_list(value)
    if elements is not None:
        yield from _list(schema, len(elements), field)
    elif isinstance(value, str):
        yield from _string(schema, value, field)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, field)


def enum_causes(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """Yield the cause for a value not in the enum."""
    allowed = schema.get("enum")
    if allowed is not None and not any(_same(value, one) for one in allowed):
        yield validation.unsupported(field, value, allowed)


def _same(value: Value, other: Value) -> bool:
    """Compare as Go does: null equals nothing, and true is not 1."""
    return (
        value is not None and value == other and isinstance(value, bool) is isinstance(other, bool)
    )


def _string(schema: Schema, value: str, field: str) -> Iterator[Cause]:
    length, pattern = len(value), schema.get("pattern", "")
    if length > schema.get("maxLength", length):
        yield validation.too_long(field, schema["maxLength"])
    elif length < schema.get("minLength", 0):
        yield _wrong(field, value, f"should be at least {schema['minLength']} chars long")
    elif pattern and not matches_pattern(pattern, value):
        yield _wrong(field, value, f"should match '{pattern}'")
    form = format_of(schema)
    if form and not has_format(form, value):
        yield mistyped(field, form, value)


def _wrong(field: str, value: object, should: str) -> Cause:
    return validation.invalid(field, value, f"{field} in body {should}")


def _number(schema: Schema, value: float, field: str) -> Iterator[Cause]:
    yield from _range(schema, value, field)
    factor = schema.get("multipleOf")
    if factor is not None:
        yield from _multiple(factor, value, field)
    low, high = _bound(schema.get("minimum"), value), _bound(schema.get("maximum"), value)
    if low is not None:
        exclusive = bool(schema.get("exclusiveMinimum"))
        if value < low or (exclusive and value == low):
            word = "greater than" if exclusive else "greater than or equal to"
            yield _wrong(field, value, f"should be {word} {validation.format_value(low)}")
    if high is not None:
        exclusive = bool(schema.get("exclusiveMaximum"))
        if value > high or (exclusive and value == high):
            word = "less than" if exclusive else "less than or equal to"
            yield _wrong(field, value, f"should be {word} {validation.format_value(high)}")


def _bound(limit: float | None, value: float) -> float | None:
    """Truncate a limit to an integer for an integer value."""
    return int(limit) if limit is not None and isinstance(value, int) else limit


def _range(schema: Schema, value: float, field: str) -> Iterator[Cause]:
    """Yield the cause for a number its type cannot hold; it has no field, as on a genuine server."""
    types, form = types_of(schema), format_of(schema)
    if types != ["integer"]:
        return
    limit = _INT32 if form == "int32" else _INT64
    if not (float(value).is_integer() and -limit <= value < limit):
        of = f"with format {form}" if form else "(default format)"
        detail = f"Checked value must be of type integer {of} in {field}"
        yield validation.invalid("", "", detail)


def _multiple(factor: float, value: float, field: str) -> Iterator[Cause]:
    if isinstance(value, int):
        factor = int(factor)
        if factor <= 0:
            detail = f"factor MultipleOf declared for {field} must be positive: {factor}"
            yield validation.invalid(field, factor, detail)
            return
        multiple = value % factor == 0
    else:
        multiple = (value / factor).is_integer()
    if not multiple:
        yield _wrong(field, value, f"should be a multiple of {validation.format_value(factor)}")


def _list(schema: Schema, count: int, field: str) -> Iterator[Cause]:
    if count < schema.get("minItems", 0):
        yield _wrong(field, count, f"should have at least {schema['minItems']} items")
    if count > schema.get("maxItems", count):
        yield validation.too_many(field, count, most=schema["maxItems"])


def size_causes(schema: Schema, value: Object, field: str) -> Iterator[Cause]:
    """Yield causes for an object with too few or too many properties."""
    count = len(value)
    if count < schema.get("minProperties", 0):
        yield _wrong(field, count, f"should have at least {schema['minProperties']} properties")
    if count > schema.get("maxProperties", count):
        yield validation.too_many(field, count, most=schema["maxProperties"])
