"""Whether a definition's schema is structural: one type for every value, no references, defaults that fit."""

from __future__ import annotations

import json
from collections.abc import Iterator

from demo.apiserver import causes, patterns, rules, schema
from demo.apiserver.causes import Cause, Verbatim
from demo.apiserver.documents import Schema, Value, as_list, as_object
from demo.apiserver.patterns import PatternError
from demo.apiserver.rules import RuleError

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORBIDDEN = {"$ref": "$ref is not supported"}
_QUADRATIC = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
_IMPLICIT = "must not specify anything other than name and generateName, but metadata is implicitly specified"
_NOT_STRUCTURAL = "must be empty to be structural"
_LOGIC = ("allOf", "anyOf", "oneOf")
_OF_THE_NODE = ("type", "default", "nullable", "title", "description", "additionalProperties")


def complaints(root: Schema, field: str) -> Iterator[Cause]:
    """What keeps the schema of a whole object from being structural."""
    if not root.get("type"):
        yield causes.required(f"{field}.type", "must not be empty at the root")
    elif root["type"] != "object":
        yield causes.invalid(f"{field}.type", root["type"], "must be object at the root")
    else:
        metadata = root.get("properties", {}).get("metadata", {})
        if set(metadata.get("properties", {})) - {"name", "generateName"}:
            yield causes.forbidden(f"{field}.properties[metadata]", _IMPLICIT)
        yield from _node(root, field)


def _node(node: Schema, field: str) -> Iterator[Cause]:
    yield from _words(node, field)
    yield from _shape(node, field)
    yield from _default(node, field)
    yield from _rules(node, field)
    for of in _LOGIC:
        for index, one in enumerate(node.get(of, ())):
            yield from _logic(one, f"{field}.{of}[{index}]")
    yield from _list(node, field)
    for name, one in node.get("properties", {}).items():
        yield from _typed(one, f"{field}.properties[{name}]", "for specified object fields")
    values, items = as_object(node.get("additionalProperties")), as_object(node.get("items"))
    if values is not None:
        at = f"{field}.additionalProperties"
        yield from _typed(values, at, "for specified object fields")
    if items is not None:
        yield from _typed(items, f"{field}.items", "for specified array items")


def _typed(node: Schema, field: str, where: str) -> Iterator[Cause]:
    untyped = node.get("x-kubernetes-int-or-string") or node.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    if not node.get("type") and not untyped and "$ref" not in node:
        yield causes.required(f"{field}.type", f"must not be empty {where}")
    yield from _node(node, field)


def _words(node: Schema, field: str) -> Iterator[Cause]:
    for word, text in _FORBIDDEN.items():
        if word in node:
            yield causes.forbidden(f"{field}.{word}", text)
    if node.get("uniqueItems"):
        yield causes.forbidden(f"{field}.uniqueItems", _QUADRATIC)
    kind = node.get("type")
    if kind and kind not in TYPES:
        yield causes.unsupported(f"{field}.type", kind, TYPES)
    if node.get("pattern"):
        try:
            patterns.check(node["pattern"])
        except PatternError as failure:
            detail = f"must be a valid regular expression, but isn't: {failure}"
            yield causes.invalid(f"{field}.pattern", node["pattern"], detail)


def _shape(node: Schema, field: str) -> Iterator[Cause]:
    if node.get("type") == "array" and not node.get("items"):
        yield causes.required(f"{field}.items", "must be specified")
    if node.get("properties") and node.get("additionalProperties"):
        detail = "additionalProperties and properties are mutual exclusive"
        yield causes.forbidden(f"{field}.additionalProperties", detail)


def _default(node: Schema, field: str) -> Iterator[Cause]:
    value: Value = node.get("default")
    if value is None:
        return
    at = f"{field}.default"
    if schema.unknown_in(node, value):
        yield causes.invalid(at, value, "must not have unknown fields")
    for one in schema.wrong(node, value, ""):
        yield Cause(at, one.reason, one.message)


def _rules(node: Schema, field: str) -> Iterator[Cause]:
    for index, rule in enumerate(node.get("x-kubernetes-validations", ())):
        try:
            rules.check(rule.get("rule", ""))
        except RuleError as failure:
            at = f"{field}.x-kubernetes-validations[{index}].rule"
            yield causes.invalid(at, _as_go(rule), f"compilation failed: {failure}")


def _as_go(rule: Schema) -> Verbatim:
    """A rule as the API server shows it: with Go's names, in Go's order."""
    shown = {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    return Verbatim(json.dumps(shown, separators=(",", ":"), ensure_ascii=False))


def _logic(node: Schema, field: str) -> Iterator[Cause]:
    """Within anyOf and its like only constraints may stand."""
    for word in _OF_THE_NODE:
        if word in node:
            yield causes.forbidden(f"{field}.{word}", _NOT_STRUCTURAL)


def _list(node: Schema, field: str) -> Iterator[Cause]:
    if node.get("x-kubernetes-list-type") != "map":
        return
    at = f"{field}.x-kubernetes-list-map-keys"
    keys = as_list(node.get("x-kubernetes-list-map-keys")) or []
    items = as_object(node.get("items")) or {}
    fields = items.get("properties", {})
    if not keys:
        yield causes.required(at, "must not be empty if x-kubernetes-list-type is map")
    elif set(keys) - set(fields):
        yield causes.invalid(at, keys, "entries must all be names of item properties")
    for key in keys:
        if key in fields and "default" not in fields[key] and key not in items.get("required", ()):
            yield causes.required(
                f"{field}.items.properties[{key}].default",
                "this property is in x-kubernetes-list-map-keys, so it must have a default"
                " or be a required property",
            )
