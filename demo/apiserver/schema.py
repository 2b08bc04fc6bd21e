"""Structural schemas at work: what an object has too much, what is filled in, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from demo.apiserver import causes, constraints, lists, rules
from demo.apiserver.causes import Cause
from demo.apiserver.documents import (
    MISSING,
    Object,
    Schema,
    Value,
    as_list,
    as_object,
    child,
    copied,
    counterpart,
    inner,
    steps,
)

META_FIELDS = frozenset(("apiVersion", "kind", "metadata"))
OBJECT_META = frozenset(
    (
        *("annotations", "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp"),
        *("finalizers", "generateName", "generation", "labels", "managedFields", "name"),
        *("namespace", "ownerReferences", "resourceVersion", "selfLink", "uid"),
    )
)
_EMBEDDED = "x-kubernetes-embedded-resource"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_BLOCKING = frozenset(
    (
        *("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong"),
        *("FieldValueTooMany", "FieldValueTypeInvalid"),
    )
)
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid;"
    " correct the existing errors to complete validation"
)


def unknown_fields(schema: Schema, obj: Object) -> list[str]:
    """What strict decoding says of an object, sorted: `unknown field "spec.x"` and so on."""
    found: list[str] = []
    _kept(_root(schema), obj, "", found)
    return [f'unknown field "{path}"' for path in sorted(found)]


def unknown_in(schema: Schema, value: Value) -> bool:
    """Whether a part of an object, such as a default, has fields that its schema does not know."""
    found: list[str] = []
    _kept(schema, value, "", found)
    return bool(found)


def pruned(schema: Schema, obj: Object) -> Object:
    """A copy without the fields that the schema does not know, and without nulls where none may be."""
    kept = _kept(_root(schema), obj, "", [])
    return _without_nulls(schema, kept)


def defaulted(schema: Schema, obj: Object) -> Object:
    """A copy with the schema's defaults where a field is missing, or null where null may not be."""
    return _filled(schema, copied(obj))


def violations(schema: Schema, obj: Object, *, old: Object | None = None) -> list[Cause]:
    """What is wrong with a pruned and defaulted object.

    What is as it was in `old` is not complained of, as the API server ratchets; rules with
    `oldSelf` speak only where there is an old value.
    """
    before = MISSING if old is None else old
    found = [
        *wrong(schema, obj, "", old=before),
        *_embedded(schema, obj, ""),
        *lists.complaints(schema, obj),
    ]
    if rules.any_in(schema):
        if _BLOCKING.isdisjoint(cause.reason for cause in found):
            found += rules.complaints(schema, obj, old=before)
        else:
            found.append(causes.invalid("", None, _UNCHECKED))
    return found


def _root(schema: Schema) -> Schema:
    return {**schema, _EMBEDDED: True}


def _kept(schema: Schema | None, value: Value, path: str, unknown: list[str]) -> Value:
    held, elements = as_object(value), as_list(value)
    if elements is not None:
        items = _items(schema)
        return [
            _kept(items, one, f"{path}[{index}]", unknown) for index, one in enumerate(elements)
        ]
    if held is None:
        return value
    kept: Object = {}
    for name, one in held.items():
        at = child(path, name)
        if schema is None or not _is_known(schema, name):
            unknown.append(at)
        else:
            kept[name] = _kept_field(schema, name, one, at, unknown)
    return kept


def _items(schema: Schema | None) -> Schema | None:
    """The schema of a list's elements; what is preserved is preserved in lists of lists, too."""
    if schema is None or not _preserves(schema):
        return as_object((schema or {}).get("items"))
    return {_PRESERVE: True, **schema.get("items", {})}


def _kept_field(schema: Schema, name: str, value: Value, path: str, unknown: list[str]) -> Value:
    if name in META_FIELDS and schema.get(_EMBEDDED):
        metadata = as_object(value)
        if name != "metadata" or metadata is None:
            return value
        unknown += (child(path, one) for one in metadata if one not in OBJECT_META)
        return {key: copied(one) for key, one in metadata.items() if key in OBJECT_META}
    if name not in schema.get("properties", {}) and "additionalProperties" not in schema:
        return copied(value)
    return _kept(inner(schema, name), value, path, unknown)


def _is_known(schema: Schema, name: str) -> bool:
    return (
        name in schema.get("properties", {})
        or bool(schema.get("additionalProperties"))
        or _preserves(schema)
        or (name in META_FIELDS and bool(schema.get(_EMBEDDED)))
    )


def _preserves(schema: Schema) -> bool:
    return bool(schema.get(_PRESERVE))


def _without_nulls(schema: Schema | None, value: Value) -> Value:
    held, elements = as_object(value), as_list(value)
    if elements is not None:
        items = as_object((schema or {}).get("items"))
        return [_without_nulls(items, one) for one in elements]
    if held is None:
        return value
    return {
        name: _without_nulls(inner(schema, name), one)
        for name, one in held.items()
        if one is not None or _may_be_null(inner(schema, name))
    }


def _may_be_null(schema: Schema | None) -> bool:
    return schema is None or bool(schema.get("nullable")) or "default" in schema


def _filled(schema: Schema | None, value: Value) -> Value:
    """The value, changed in place, with defaults."""
    held = as_object(value)
    if schema is None:
        return value
    if held is None:
        items = as_object(schema.get("items"))
        elements = as_list(value)
        return value if elements is None else [_filled_one(items, one) for one in elements]
    for name, one in schema.get("properties", {}).items():
        if "default" in one and name not in held:
            held[name] = copied(one["default"])
    return {name: _filled_one(inner(schema, name), one) for name, one in held.items()}


def _filled_one(schema: Schema | None, value: Value) -> Value:
    if value is None and schema is not None and not schema.get("nullable"):
        value = copied(schema.get("default"))
    return _filled(schema, value)


def wrong(schema: Schema, value: Value, field: str, *, old: Value = MISSING) -> Iterator[Cause]:
    """What is wrong with a value by one schema and all within, but for its rules and its lists."""
    if old is not MISSING and type(old) is type(value) and old == value:
        return
    yield from constraints.type_complaints(schema, value, field)
    yield from _alternatives(schema, value, field)
    items = as_object(schema.get("items"))
    for index, one in enumerate((as_list(value) or ()) if items else ()):
        at, before = f"{field}[{index}]", counterpart(schema, one, old)
        yield from wrong(items or {}, one, at, old=before)
    yield from constraints.value_complaints(schema, value, field)
    yield from constraints.enum_complaints(schema, value, field)
    held = as_object(value)
    if held is not None:
        yield from _wrong_object(schema, held, field, old=as_object(old) or {})


def _wrong_object(schema: Schema, value: Object, field: str, *, old: Object) -> Iterator[Cause]:
    yield from constraints.size_complaints(schema, value, field)
    for name in sorted(value):
        one = inner(schema, name)
        if one is not None:
            before = old.get(name, MISSING)
            yield from wrong(one, value[name], child(field, name), old=before)
    for name in schema.get("required", ()):
        if name not in value:
            yield causes.required(child(field, name))


def _alternatives(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """AnyOf, oneOf, allOf and not. Of alternatives that all fail, the first one's complaints are told."""

    def failures(of: str) -> list[list[Cause]]:
        return [list(wrong(one, value, field)) for one in schema.get(of, ())]

    def must(detail: str) -> Cause:
        return causes.invalid("", "", f"{causes.quoted(field)} must {detail}")

    some, one, every = failures("anyOf"), failures("oneOf"), failures("allOf")
    valid = sum(not each for each in one)
    if some and all(some):
        yield must("validate at least one schema (anyOf)")
        yield from some[0]
    if one and valid != 1:
        found = f"Found {valid} valid alternatives" if valid else "Found none valid"
        yield must(f"validate one and only one schema (oneOf). {found}")
        yield from one[0] if not valid else ()
    if any(every):
        yield from chain.from_iterable(every)
        none = ". None validated" if all(every) else ""
        yield must(f"validate all the schemas (allOf){none}")
    if "not" in schema and not list(wrong(schema["not"], value, field)):
        yield must("not validate the schema (not)")


def _embedded(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """Embedded objects that do not say what they are."""
    held = as_object(value) if schema.get(_EMBEDDED) else None
    for name in ("apiVersion", "kind") if held is not None else ():
        if name not in (held or {}):
            yield causes.required(child(field, name))
        elif held is not None and held[name] == "":
            yield causes.invalid(child(field, name), "", "must not be empty")
    for one, inside, at, _ in steps(schema, value, field):
        yield from _embedded(one, inside, at)
