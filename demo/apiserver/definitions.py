"""CustomResourceDefinitions: whether they are valid and their schemas structural, what they serve, and their status."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from demo.apiserver import constraints, schema, validation
from demo.apiserver.constraints import PatternError
from demo.apiserver.documents import Object, Schema, ServedResource, Value, as_list, as_object
from demo.apiserver.schema import RuleError
from demo.apiserver.validation import Cause, Verbatim

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_FORBIDDEN = {"$ref": "$ref is not supported"}
_QUADRATIC = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
_IMPLICIT = "must not specify anything other than name and generateName, but metadata is implicitly specified"
_NOT_STRUCTURAL = "must be empty to be structural"
_LOGIC = ("allOf", "anyOf", "oneOf")
_OF_THE_NODE = ("type", "default", "nullable", "title", "description", "additionalProperties")


def structural_causes(root: Schema, field: str) -> Iterator[Cause]:
    """Yield what keeps the schema of a whole object from being structural."""
    if not root.get("type"):
        yield validation.required(f"{field}.type", "must not be empty at the root")
    elif root["type"] != "object":
        yield validation.invalid(f"{field}.type", root["type"], "must be object at the root")
    else:
        metadata = root.get("properties", {}).get("metadata", {})
        if set(metadata.get("properties", {})) - {"name", "generateName"}:
            yield validation.forbidden(f"{field}.properties[metadata]", _IMPLICIT)
        yield from _node_causes(root, field)


def _node_causes(node: Schema, field: str) -> Iterator[Cause]:
    yield from _keyword_causes(node, field)
    yield from _shape_causes(node, field)
    yield from _default_causes(node, field)
    yield from _rule_causes(node, field)
    for of in _LOGIC:
        for index, one in enumerate(node.get(of, ())):
            yield from _logic_causes(one, f"{field}.{of}[{index}]")
    yield from _list_causes(node, field)
    for name, one in node.get("properties", {}).items():
        yield from _typed_causes(one, f"{field}.properties[{name}]", "for specified object fields")
    values, items = as_object(node.get("additionalProperties")), as_object(node.get("items"))
    if values is not None:
        at = f"{field}.additionalProperties"
        yield from _typed_causes(values, at, "for specified object fields")
    if items is not None:
        yield from _typed_causes(items, f"{field}.items", "for specified array items")


def _typed_causes(node: Schema, field: str, where: str) -> Iterator[Cause]:
    untyped = node.get("x-kubernetes-int-or-string") or node.get(
        "x-kubernetes-preserve-unknown-fields"
    )
    if not node.get("type") and not untyped and "$ref" not in node:
        yield validation.required(f"{field}.type", f"must not be empty {where}")
    yield from _node_causes(node, field)


def _keyword_causes(node: Schema, field: str) -> Iterator[Cause]:
    for word, text in _FORBIDDEN.items():
        if word in node:
            yield validation.forbidden(f"{field}.{word}", text)
    if node.get("uniqueItems"):
        yield validation.forbidden(f"{field}.uniqueItems", _QUADRATIC)
    kind = node.get("type")
    if kind and kind not in TYPES:
        yield validation.unsupported(f"{field}.type", kind, TYPES)
    if node.get("pattern"):
        try:
            constraints.check_pattern(node["pattern"])
        except PatternError as failure:
            detail = f"must be a valid regular expression, but isn't: {failure}"
            yield validation.invalid(f"{field}.pattern", node["pattern"], detail)


def _shape_causes(node: Schema, field: str) -> Iterator[Cause]:
    if node.get("type") == "array" and not node.get("items"):
        yield validation.required(f"{field}.items", "must be specified")
    if node.get("properties") and node.get("additionalProperties"):
        detail = "additionalProperties and properties are mutual exclusive"
        yield validation.forbidden(f"{field}.additionalProperties", detail)


def _default_causes(node: Schema, field: str) -> Iterator[Cause]:
    value: Value = node.get("default")
    if value is None:
        return
    at = f"{field}.default"
    if schema.has_unknown_fields(node, value):
        yield validation.invalid(at, value, "must not have unknown fields")
    for one in schema.value_causes(node, value, ""):
        yield Cause(at, one.reason, one.message)


def _rule_causes(node: Schema, field: str) -> Iterator[Cause]:
    for index, rule in enumerate(node.get("x-kubernetes-validations", ())):
        try:
            schema.check_rule(rule.get("rule", ""))
        except RuleError as failure:
            at = f"{field}.x-kubernetes-validations[{index}].rule"
            yield validation.invalid(at, _rule_as_go(rule), f"compilation failed: {failure}")


def _rule_as_go(rule: Schema) -> Verbatim:
    """Format a rule as the API server does: with Go's names, in Go's order."""
    shown = {
        "Rule": rule.get("rule", ""),
        "Message": rule.get("message", ""),
        "MessageExpression": rule.get("messageExpression", ""),
        "Reason": rule.get("reason"),
        "FieldPath": rule.get("fieldPath", ""),
        "OptionalOldSelf": rule.get("optionalOldSelf"),
    }
    return Verbatim(json.dumps(shown, separators=(",", ":"), ensure_ascii=False))


def _logic_causes(node: Schema, field: str) -> Iterator[Cause]:
    """Yield causes for keywords that are forbidden within anyOf, oneOf and allOf."""
    for word in _OF_THE_NODE:
        if word in node:
            yield validation.forbidden(f"{field}.{word}", _NOT_STRUCTURAL)


def _list_causes(node: Schema, field: str) -> Iterator[Cause]:
    if node.get("x-kubernetes-list-type") != "map":
        return
    at = f"{field}.x-kubernetes-list-map-keys"
    keys = as_list(node.get("x-kubernetes-list-map-keys")) or []
    items = as_object(node.get("items")) or {}
    fields = items.get("properties", {})
    if not keys:
        yield validation.required(at, "must not be empty if x-kubernetes-list-type is map")
    elif set(keys) - set(fields):
        yield validation.invalid(at, keys, "entries must all be names of item properties")
    for key in keys:
        if key in fields and "default" not in fields[key] and key not in items.get("required", ()):
            yield validation.required(
                f"{field}.items.properties[{key}].default",
                "this property is in x-kubernetes-list-map-keys, so it must have a default"
                " or be a required property",
            )


_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_FORM = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    " regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_FORM = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


def complete(crd: Object) -> Object:
    """Add omitted names and conversion to a definition."""
    spec = as_object(crd.get("spec")) or {}
    names = dict(as_object(spec.get("names")) or {})
    kind = names.get("kind")
    if kind:
        names.setdefault("singular", str(kind).lower())
        names.setdefault("listKind", f"{kind}List")
    conversion = spec.get("conversion") or {"strategy": "None"}
    return {**crd, "spec": {**spec, "names": names, "conversion": conversion}}


def served_by(crd: Object) -> list[ServedResource]:
    """Return what a completed definition serves: one resource per served version."""
    spec, versions = crd["spec"], crd["spec"]["versions"]
    names = spec["names"]
    storage = next((one["name"] for one in versions if one.get("storage")), "")
    return [
        ServedResource(
            group=spec["group"],
            version=version["name"],
            resource=names["plural"],
            kind=names["kind"],
            list_kind=names["listKind"],
            singular=names["singular"],
            short_names=tuple(names.get("shortNames") or ()),
            namespaced=spec["scope"] == "Namespaced",
            has_status="status" in (version.get("subresources") or {}),
            schema=version["schema"]["openAPIV3Schema"],
            columns=tuple(version.get("additionalPrinterColumns") or ()),
            storage=storage,
        )
        for version in versions
        if version.get("served")
    ]


def with_status(crd: Object, *, now: str) -> Object:
    """Add the server's status to a completed definition; `now` is RFC 3339.

    Names are always accepted: conflicts between definitions are not detected.
    """
    before = as_object(crd.get("status")) or {}
    names = crd["spec"]["names"]
    storage = next(one["name"] for one in crd["spec"]["versions"] if one.get("storage"))
    stored = list(before.get("storedVersions") or ())
    status: Object = {
        "conditions": [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", now=now),
            _condition(
                "Established",
                "InitialNamesAccepted",
                "the initial names have been accepted",
                now=now,
            ),
        ],
        "acceptedNames": names,
        "storedVersions": stored if storage in stored else [*stored, storage],
    }
    if before.get("conditions"):
        status["conditions"] = before["conditions"]
    return {**crd, "status": status}


def _condition(kind: str, reason: str, message: str, *, now: str) -> Object:
    return {
        "type": kind,
        "status": "True",
        "lastTransitionTime": now,
        "reason": reason,
        "message": message,
    }


def definition_causes(crd: Object) -> list[Cause]:
    """Validate a definition; empty for one that can be served."""
    whole = complete(crd)
    spec: Object = whole["spec"]
    versions: list[Object] = spec.get("versions") or []
    listed = as_list(versions)
    if listed is None or None in map(as_object, listed):
        return [validation.invalid("spec.versions", versions, "must be a list of objects")]
    return [
        *_identity(whole, spec),
        *_names(as_object(spec.get("names")) or {}),
        *_versions(versions),
        *_schemas(versions),
        *_columns(versions),
        *_stored(whole, versions),
    ]


def _identity(crd: Object, spec: Object) -> Iterator[Cause]:
    name = (as_object(crd.get("metadata")) or {}).get("name", "")
    group = spec.get("group", "")
    plural = (as_object(spec.get("names")) or {}).get("plural", "")
    if name != f"{plural}.{group}":
        wanted = 'must be spec.names.plural+"."+spec.group'
        yield validation.invalid("metadata.name", name, wanted)
    if not group:
        yield validation.required("spec.group")
    elif not _SUBDOMAIN.fullmatch(group):
        yield validation.invalid("spec.group", group, _SUBDOMAIN_FORM)
    if not spec.get("scope"):
        yield validation.required("spec.scope")
    elif spec["scope"] not in _SCOPES:
        yield validation.unsupported("spec.scope", spec["scope"], _SCOPES)
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in"
            " spec.versions[*].schema instead"
        )
        yield validation.invalid("spec.preserveUnknownFields", value=True, detail=detail)


def _names(names: Object) -> Iterator[Cause]:
    for word in ("plural", "singular", "kind", "listKind"):
        at, name = f"spec.names.{word}", names.get(word, "")
        any_case = word in ("kind", "listKind")
        if not name:
            yield validation.required(at)
        elif not _LABEL.fullmatch(name.lower() if any_case else name):
            mixed = "may have mixed case, but should otherwise match: " if any_case else ""
            yield validation.invalid(at, name, mixed + _LABEL_FORM)
    for index, name in enumerate(names.get("shortNames") or ()):
        if not _LABEL.fullmatch(name):
            yield validation.invalid(f"spec.names.shortNames[{index}]", name, _LABEL_FORM)


def _versions(versions: list[Object]) -> Iterator[Cause]:
    names = [one.get("name", "") for one in versions]
    for index, name in enumerate(names):
        if not _LABEL.fullmatch(name):
            yield validation.invalid(f"spec.versions[{index}].name", name, _LABEL_FORM)
            if index == 0:
                yield validation.invalid("spec.version", name, _LABEL_FORM)
    shown = _versions_as_go(versions)
    if len(set(names)) != len(names):
        yield validation.invalid("spec.versions", shown, "must contain unique version names")
    storage = [one.get("name", "") for one in versions if one.get("storage")]
    if len(storage) != 1:
        detail = "must have exactly one version marked as storage version"
        yield validation.invalid("spec.versions", shown, detail)
        stored, wanted = storage[:1] or None, f"the storage version {''.join(storage[-1:])}"
        detail = f"must have {wanted if storage else 'at least one stored version'}"
        yield validation.invalid("status.storedVersions", stored, detail)


def _versions_as_go(versions: list[Object]) -> Verbatim:
    """Format versions as the API server does: with Go's names, without their common parts."""
    shown = [
        {
            "Name": version.get("name", ""),
            "Served": bool(version.get("served")),
            "Storage": bool(version.get("storage")),
            "Deprecated": bool(version.get("deprecated")),
            "DeprecationWarning": version.get("deprecationWarning"),
            "Schema": None,
            "Subresources": None,
            "AdditionalPrinterColumns": None,
            "SelectableFields": None,
        }
        for version in versions
    ]
    return Verbatim(json.dumps(shown, separators=(",", ":")))


def _schemas(versions: list[Object]) -> Iterator[Cause]:
    schemas = [(as_object(one.get("schema")) or {}).get("openAPIV3Schema") for one in versions]
    for index, one in enumerate(schemas):
        if one is None:
            yield validation.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    if schemas and all(one == schemas[0] for one in schemas):
        yield from _schema_causes(schemas[0], _SHARED)
        return
    for index, one in enumerate(schemas):
        at = f"spec.versions[{index}].schema.openAPIV3Schema"
        yield from _schema_causes(one, at)


def _schema_causes(schema: Schema | None, field: str) -> Iterator[Cause]:
    return structural_causes(schema, field) if schema is not None else iter(())


_SHARED = "spec.validation.openAPIV3Schema"
"""The field path of a schema that all versions share."""


def _columns(versions: list[Object]) -> Iterator[Cause]:
    columns: list[Any] = [one.get("additionalPrinterColumns") or [] for one in versions]
    alike = all(one == columns[0] for one in columns)
    for number, each in enumerate(columns[:1] if alike else columns):
        place = "spec" if alike else f"spec.versions[{number}]"
        for index, column in enumerate(each):
            at = f"{place}.additionalPrinterColumns[{index}]"
            kind, path = column.get("type", ""), column.get("jsonPath", "")
            if not column.get("name"):
                yield validation.required(f"{at}.name")
            if kind not in _COLUMN_TYPES:
                listed = f"must be one of {','.join(_COLUMN_TYPES)}"
                yield validation.invalid(f"{at}.type", kind, listed)
            if not path.startswith("."):
                detail = "must be a simple json path starting with ."
                yield validation.invalid(f"{at}.JSONPath", path, detail)


def _stored(crd: Object, versions: list[Object]) -> Iterator[Cause]:
    names = {one.get("name") for one in versions}
    for index, name in enumerate((as_object(crd.get("status")) or {}).get("storedVersions") or ()):
        if name not in names:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must"
                " remain in spec.versions until a storage migration ensures no data remains"
                f" persisted in {name} and removes {name} from status.storedVersions"
            )
            yield validation.invalid(f"status.storedVersions[{index}]", name, detail)
