"""Objects against structural schemas: pruning, defaults, validation, list types, `x-kubernetes-validations` (CEL).

The rules run in CEL's own C++ implementation. It has the language, `has` and the macros, and no types: a rule that a
cluster refuses when the definition is created is refused here when it is evaluated. Missing are Kubernetes' own
libraries (`url`, `quantity`, `ip`, `find` and the like), and costs are not limited.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import Any, cast

from cel_expr_python import cel  # pyright: ignore[reportMissingTypeStubs]

from demo.apiserver import constraints, validation
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
    list_type,
    steps,
)
from demo.apiserver.validation import OMITTED, Cause, compact

_RULES = "x-kubernetes-validations"
_COMPILED_RULES = 512
"""Bound of the cache, far above the number of rules in the schemas of a demonstration."""

_RESERVED = frozenset(
    (
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if"),
        *("import", "in", "let", "loop", "namespace", "null", "package", "return", "true"),
    )
)
_ESCAPED = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_TO_ESCAPE = re.compile(r"__|[-./]")
_NO_SUCH_KEY = re.compile(r'NOT_FOUND: Key not found in map : "?([^"]*)"?')
_OLD = re.compile(r"\boldSelf\b")


class RuleError(ValueError):
    """A rule that does not compile or evaluate; the message is CEL's."""


def has_rules(schema: Schema) -> bool:
    """Return whether the schema has a rule anywhere."""
    inside = [*schema.get("properties", {}).values(), schema.get("items")]
    inside += [schema.get("additionalProperties"), *schema.get("allOf", ())]
    return bool(schema.get(_RULES)) or any(
        has_rules(cast("Schema", one)) for one in inside if isinstance(one, dict)
    )


def check_rule(rule: str) -> None:
    """Raise RuleError for a rule that does not compile."""
    _compiled_rule(rule)


def rule_causes(
    schema: Schema, value: Value, *, field: str = "", old: Value = MISSING
) -> Iterator[Cause]:
    """Evaluate the rules of a schema and its children on a value that was `old`."""
    if value is None:
        return
    for rule in schema.get(_RULES, ()):
        yield from _causes_of(rule, schema, value, field=field, old=old)
    for inside, one, at, before in steps(schema, value, field, old=old):
        yield from rule_causes(inside, one, field=at, old=before)


def _causes_of(
    rule: dict[str, Any], schema: Schema, value: Value, *, field: str, old: Value
) -> Iterator[Cause]:
    text, transition = rule["rule"], bool(_OLD.search(rule["rule"]))
    if (transition and old is MISSING) or (not transition and old == value):
        return
    names = {"self": _seen(schema, value)}
    if transition:
        names["oldSelf"] = _seen(schema, old)
    message = str(rule.get("message") or f"failed rule: {text}").strip()
    try:
        if _evaluate(text, names) is True:
            return
        if rule.get("messageExpression"):
            message = str(_evaluate(rule["messageExpression"], names))
    except RuleError as failure:
        named = str(rule.get("message") or text).strip()
        yield validation.invalid(
            field, schema.get("type", ""), f"{failure} evaluating rule: {named}"
        )
        return
    at = f"{field}{rule.get('fieldPath', '')}".lstrip(".")
    shown = OMITTED if isinstance(value, dict | list) else value
    yield _for_reason(rule.get("reason", ""), at, shown, message)


def _for_reason(reason: str, field: str, shown: object, message: str) -> Cause:
    match reason:
        case "FieldValueForbidden":
            return validation.forbidden(field, message)
        case "FieldValueRequired":
            return validation.required(field, message)
        case "FieldValueDuplicate":
            return validation.duplicate(field, shown)
        case _:
            return validation.invalid(field, shown, message)


def _evaluate(expression: str, names: dict[str, Value]) -> Value:
    answer = _compiled_rule(expression).eval(data=names)
    if answer.type() == cel.Type.ERROR:
        text = str(answer.value())
        raise RuleError(_NO_SUCH_KEY.sub(r"no such key: \1", text))
    return answer.value()


@lru_cache(maxsize=1)
def _environment() -> cel.Env:
    return cel.NewEnv(variables={"self": cel.Type.DYN, "oldSelf": cel.Type.DYN})


@lru_cache(maxsize=_COMPILED_RULES)
def _compiled_rule(expression: str) -> cel.Expression:
    try:
        return _environment().compile(expression, disable_check=True)
    except RuntimeError as failure:
        text = str(failure).removesuffix(" [INVALID_ARGUMENT]")
        raise RuleError(text.removeprefix("INVALID_ARGUMENT: ")) from failure


def _seen(schema: Schema, value: Value) -> Value:
    """Convert a value for CEL: field names that are not identifiers are escaped."""
    held, elements = as_object(value), as_list(value)
    if elements is not None:
        return [_seen(schema.get("items", {}), one) for one in elements]
    if held is None:
        return value
    fields = schema.get("properties", {})
    return {
        _escaped(name) if name in fields else name: _seen(inner(schema, name) or {}, one)
        for name, one in held.items()
    }


def _escaped(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    return _TO_ESCAPE.sub(lambda found: _ESCAPED[found[0]], name)


def list_causes(schema: Schema, value: Value, field: str = "") -> Iterator[Cause]:
    """Yield causes for duplicates in lists of type set or map."""
    elements = as_list(value)
    if elements is not None and list_type(schema) == "set":
        yield from _twice(elements, field)
    elif elements is not None and list_type(schema) == "map":
        yield from _one_key(schema, elements, field)
    for inside, one, at, _ in steps(schema, value, field):
        yield from list_causes(inside, one, at)


def _one_key(schema: Schema, elements: list[Value], field: str) -> Iterator[Cause]:
    names = schema.get("x-kubernetes-list-map-keys", ())
    keys: list[Value] = []
    for index, one in enumerate(elements):
        held = {} if one is None else as_object(one)
        if held is None:
            detail = "must be an object for an array of list-type map"
            yield validation.invalid(f"{field}[{index}]", one, detail)
            return
        keys.append({name: held[name] for name in names if name in held})
    yield from _twice(keys, field)


def _twice(elements: list[Value], field: str) -> Iterator[Cause]:
    """Yield a cause for each second appearance, none for a third."""
    seen: dict[str, int] = {}
    for index, one in enumerate(elements):
        text = compact(one)
        seen[text] = seen.get(text, 0) + 1
        if seen[text] == 2:  # noqa: PLR2004 - the second one
            yield validation.duplicate(f"{field}[{index}]", one)


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
    """Return the strict decoding errors, sorted: `unknown field "spec.x"` and so on."""
    found: list[str] = []
    _kept(_root(schema), obj, "", found)
    return [f'unknown field "{path}"' for path in sorted(found)]


def has_unknown_fields(schema: Schema, value: Value) -> bool:
    """Return whether a value, such as a default, has fields unknown to its schema."""
    found: list[str] = []
    _kept(schema, value, "", found)
    return bool(found)


def prune(schema: Schema, obj: Object) -> Object:
    """Return a copy without unknown fields, and without nulls where none are allowed."""
    kept = _kept(_root(schema), obj, "", [])
    return _without_nulls(schema, kept)


def apply_defaults(schema: Schema, obj: Object) -> Object:
    """Return a copy with defaults for missing fields, and for nulls where none are allowed."""
    return _filled(schema, copied(obj))


def violations(schema: Schema, obj: Object, *, old: Object | None = None) -> list[Cause]:
    """Validate a pruned and defaulted object.

    Values unchanged from `old` are not validated (ratcheting, KEP-4008); rules with
    `oldSelf` speak only where there is an old value.
    """
    before = MISSING if old is None else old
    found = [
        *value_causes(schema, obj, "", old=before),
        *_embedded(schema, obj, ""),
        *list_causes(schema, obj),
    ]
    if has_rules(schema):
        if _BLOCKING.isdisjoint(cause.reason for cause in found):
            found += rule_causes(schema, obj, old=before)
        else:
            found.append(validation.invalid("", None, _UNCHECKED))
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
    """Return the schema of a list's elements; preservation extends to nested lists."""
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
    """Apply defaults in place, and return the value."""
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


def value_causes(
    schema: Schema, value: Value, field: str, *, old: Value = MISSING
) -> Iterator[Cause]:
    """Yield the causes of a schema and its children, except CEL rules and list types."""
    if old is not MISSING and type(old) is type(value) and old == value:
        return
    yield from constraints.type_causes(schema, value, field)
    yield from _alternatives(schema, value, field)
    items = as_object(schema.get("items"))
    for index, one in enumerate((as_list(value) or ()) if items else ()):
        at, before = f"{field}[{index}]", counterpart(schema, one, old)
        yield from value_causes(items or {}, one, at, old=before)
    yield from constraints.limit_causes(schema, value, field)
    yield from constraints.enum_causes(schema, value, field)
    held = as_object(value)
    if held is not None:
        yield from _object_causes(schema, held, field, old=as_object(old) or {})


def _object_causes(schema: Schema, value: Object, field: str, *, old: Object) -> Iterator[Cause]:
    yield from constraints.size_causes(schema, value, field)
    for name in sorted(value):
        one = inner(schema, name)
        if one is not None:
            before = old.get(name, MISSING)
            yield from value_causes(one, value[name], child(field, name), old=before)
    for name in schema.get("required", ()):
        if name not in value:
            yield validation.required(child(field, name))


def _alternatives(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """Yield causes of anyOf, oneOf, allOf and not; if all alternatives fail, the first one's causes."""

    def failures(of: str) -> list[list[Cause]]:
        return [list(value_causes(one, value, field)) for one in schema.get(of, ())]

    def must(detail: str) -> Cause:
        return validation.invalid("", "", f"{validation.quoted(field)} must {detail}")

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
    if "not" in schema and not list(value_causes(schema["not"], value, field)):
        yield must("not validate the schema (not)")


def _embedded(schema: Schema, value: Value, field: str) -> Iterator[Cause]:
    """Yield causes for embedded objects without apiVersion or kind."""
    held = as_object(value) if schema.get(_EMBEDDED) else None
    for name in ("apiVersion", "kind") if held is not None else ():
        if name not in (held or {}):
            yield validation.required(child(field, name))
        elif held is not None and held[name] == "":
            yield validation.invalid(child(field, name), "", "must not be empty")
    for one, inside, at, _ in steps(schema, value, field):
        yield from _embedded(one, inside, at)
