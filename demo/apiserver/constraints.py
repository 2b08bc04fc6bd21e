"""What one node of a structural schema asks of one value, without what is inside of the value.

The order of the complaints and their words are kube-openapi's, quirks included: a limit is cut to
a whole number where it meets one (a `multipleOf` below 1 refuses them all), and a string format accepts lists.
"""

from __future__ import annotations

from collections.abc import Iterator

from demo.apiserver import causes, formats, patterns
from demo.apiserver.causes import Cause
from demo.apiserver.documents import Object, Schema, Value, as_list

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
    """The JSON type of a value."""
    return _TYPES.get(type(value), "object")


def types_of(schema: Schema) -> list[str]:
    """The types that a schema allows; none means any."""
    if schema.get("x-kubernetes-int-or-string"):
        return ["integer", "string"]
    return [schema["type"]] if schema.get("type") else []


def type_complaints(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """A value of the wrong type."""
    types, found, form = types_of(schema), type_of(value), format_of(schema)
    if value is None:
        if types and not schema.get("nullable"):
            yield mistyped(field, ",".join(types), "null")
        return
    if found in types or _is_number_after_all(types, value):
        return
    if form and found not in ("string", "array"):
        yield mistyped(field, form, _INTERNAL.get(found, ""))
    elif types and not (form and not {"integer", "number"} & set(types)):
        yield mistyped(field, ",".join(types), found)


def mistyped(field: str, wanted: str, found: str) -> Cause:
    """A value of another type than wanted."""
    detail = f"{field} in body must be of type {wanted}: {causes.quoted(found)}"
    return causes.invalid(field, found, detail, reason="FieldValueTypeInvalid")


def format_of(schema: Schema) -> str:
    """The format that is checked: unknown ones, and those of other types, are not."""
    form, types = schema.get("format", ""), types_of(schema)
    kind = types[0] if len(types) == 1 else ""
    if kind in ("", "string"):
        return form if formats.is_known(form) else ""
    return form if form in _FORMATS_OF_NUMBERS.get(kind, ()) else ""


def _is_number_after_all(types: list[str], value: Value) -> bool:
    if isinstance(value, bool):
        return False
    return ("number" in types and isinstance(value, int)) or (
        "integer" in types and isinstance(value, float) and value.is_integer()
    )


def value_complaints(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """A value that is too long, too large, or does not match."""
    elements = as_list(value)
    if elements is not None:
        yield from _list(schema, len(elements), field)
    elif isinstance(value, str):
        yield from _string(schema, value, field)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(schema, value, field)


def enum_complaints(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """A value that is none of the listed ones."""
    allowed = schema.get("enum")
    if allowed is not None and not any(_same(value, one) for one in allowed):
        yield causes.unsupported(field, value, allowed)


def _same(value: Value, other: Value) -> bool:
    """Equal as Go has it: null equals nothing, and true is not 1."""
    return (
        value is not None and value == other and isinstance(value, bool) is isinstance(other, bool)
    )


def _string(schema: Schema, value: str, field: str) -> Iterator[Cause]:
    length, pattern = len(value), schema.get("pattern", "")
    if length > schema.get("maxLength", length):
        yield causes.too_long(field, schema["maxLength"])
    elif length < schema.get("minLength", 0):
        yield _wrong(field, value, f"should be at least {schema['minLength']} chars long")
    elif pattern and not patterns.matches(pattern, value):
        yield _wrong(field, value, f"should match '{pattern}'")
    form = format_of(schema)
    if form and not formats.holds(form, value):
        yield mistyped(field, form, value)


def _wrong(field: str, value: object, should: str) -> Cause:
    return causes.invalid(field, value, f"{field} in body {should}")


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
            yield _wrong(field, value, f"should be {word} {causes.shown(low)}")
    if high is not None:
        exclusive = bool(schema.get("exclusiveMaximum"))
        if value > high or (exclusive and value == high):
            word = "less than" if exclusive else "less than or equal to"
            yield _wrong(field, value, f"should be {word} {causes.shown(high)}")


def _bound(limit: float | None, value: float) -> float | None:
    """A limit, which is cut to a whole number where it meets one."""
    return int(limit) if limit is not None and isinstance(value, int) else limit


def _range(schema: Schema, value: float, field: str) -> Iterator[Cause]:
    """A number that its type cannot hold; said of no field, as the API server says it."""
    types, form = types_of(schema), format_of(schema)
    if types != ["integer"]:
        return
    limit = _INT32 if form == "int32" else _INT64
    if not (float(value).is_integer() and -limit <= value < limit):
        of = f"with format {form}" if form else "(default format)"
        detail = f"Checked value must be of type integer {of} in {field}"
        yield causes.invalid("", "", detail)


def _multiple(factor: float, value: float, field: str) -> Iterator[Cause]:
    if isinstance(value, int):
        factor = int(factor)
        if factor <= 0:
            detail = f"factor MultipleOf declared for {field} must be positive: {factor}"
            yield causes.invalid(field, factor, detail)
            return
        multiple = value % factor == 0
    else:
        multiple = (value / factor).is_integer()
    if not multiple:
        yield _wrong(field, value, f"should be a multiple of {causes.shown(factor)}")


def _list(schema: Schema, count: int, field: str) -> Iterator[Cause]:
    if count < schema.get("minItems", 0):
        yield _wrong(field, count, f"should have at least {schema['minItems']} items")
    if count > schema.get("maxItems", count):
        yield causes.too_many(field, count, most=schema["maxItems"])


def size_complaints(schema: Schema, value: Object, field: str) -> Iterator[Cause]:
    """An object with too few or too many properties."""
    count = len(value)
    if count < schema.get("minProperties", 0):
        yield _wrong(field, count, f"should have at least {schema['minProperties']} properties")
    if count > schema.get("maxProperties", count):
        yield causes.too_many(field, count, most=schema["maxProperties"])
