"""CustomResourceDefinitions: what they serve, what is wrong with them, and what the server makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from demo.apiserver import causes, structural
from demo.apiserver.causes import Cause, Verbatim
from demo.apiserver.documents import Object, Schema, as_list, as_object
from demo.apiserver.served import Served

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL_SAID = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an"
    " alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123',"
    " regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_SAID = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    " validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_SCOPES = ("Cluster", "Namespaced")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")


def completed(crd: Object) -> Object:
    """A definition with the names and the conversion that it leaves out."""
    spec = as_object(crd.get("spec")) or {}
    names = dict(as_object(spec.get("names")) or {})
    kind = names.get("kind")
    if kind:
        names.setdefault("singular", str(kind).lower())
        names.setdefault("listKind", f"{kind}List")
    conversion = spec.get("conversion") or {"strategy": "None"}
    return {**crd, "spec": {**spec, "names": names, "conversion": conversion}}


def served_by(crd: Object) -> list[Served]:
    """What a completed definition serves: one resource for each served version."""
    spec, versions = crd["spec"], crd["spec"]["versions"]
    names = spec["names"]
    storage = next((one["name"] for one in versions if one.get("storage")), "")
    return [
        Served(
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


def established(crd: Object, *, now: str) -> Object:
    """A completed definition with the status that the server gives it; `now` is RFC 3339.

    Names are always accepted: two definitions that claim one name are not told apart.
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


def checked(crd: Object) -> list[Cause]:
    """What is wrong with a definition, after its own words; empty for one that can be served."""
    whole = completed(crd)
    spec: Object = whole["spec"]
    versions: list[Object] = spec.get("versions") or []
    listed = as_list(versions)
    if listed is None or None in map(as_object, listed):
        return [causes.invalid("spec.versions", versions, "must be a list of objects")]
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
        yield causes.invalid("metadata.name", name, wanted)
    if not group:
        yield causes.required("spec.group")
    elif not _SUBDOMAIN.fullmatch(group):
        yield causes.invalid("spec.group", group, _SUBDOMAIN_SAID)
    if not spec.get("scope"):
        yield causes.required("spec.scope")
    elif spec["scope"] not in _SCOPES:
        yield causes.unsupported("spec.scope", spec["scope"], _SCOPES)
    if spec.get("preserveUnknownFields"):
        detail = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in"
            " spec.versions[*].schema instead"
        )
        yield causes.invalid("spec.preserveUnknownFields", value=True, detail=detail)


def _names(names: Object) -> Iterator[Cause]:
    for word in ("plural", "singular", "kind", "listKind"):
        at, name = f"spec.names.{word}", names.get(word, "")
        any_case = word in ("kind", "listKind")
        if not name:
            yield causes.required(at)
        elif not _LABEL.fullmatch(name.lower() if any_case else name):
            mixed = "may have mixed case, but should otherwise match: " if any_case else ""
            yield causes.invalid(at, name, mixed + _LABEL_SAID)
    for index, name in enumerate(names.get("shortNames") or ()):
        if not _LABEL.fullmatch(name):
            yield causes.invalid(f"spec.names.shortNames[{index}]", name, _LABEL_SAID)


def _versions(versions: list[Object]) -> Iterator[Cause]:
    names = [one.get("name", "") for one in versions]
    for index, name in enumerate(names):
        if not _LABEL.fullmatch(name):
            yield causes.invalid(f"spec.versions[{index}].name", name, _LABEL_SAID)
            if index == 0:
                yield causes.invalid("spec.version", name, _LABEL_SAID)
    shown = _as_go(versions)
    if len(set(names)) != len(names):
        yield causes.invalid("spec.versions", shown, "must contain unique version names")
    storage = [one.get("name", "") for one in versions if one.get("storage")]
    if len(storage) != 1:
        detail = "must have exactly one version marked as storage version"
        yield causes.invalid("spec.versions", shown, detail)
        stored, wanted = storage[:1] or None, f"the storage version {''.join(storage[-1:])}"
        detail = f"must have {wanted if storage else 'at least one stored version'}"
        yield causes.invalid("status.storedVersions", stored, detail)


def _as_go(versions: list[Object]) -> Verbatim:
    """Versions as the API server shows them: with Go's names, and without what all of them share."""
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
            yield causes.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    if schemas and all(one == schemas[0] for one in schemas):
        yield from _structural(schemas[0], _SHARED)
        return
    for index, one in enumerate(schemas):
        at = f"spec.versions[{index}].schema.openAPIV3Schema"
        yield from _structural(one, at)


def _structural(schema: Schema | None, field: str) -> Iterator[Cause]:
    return structural.complaints(schema, field) if schema is not None else iter(())


_SHARED = "spec.validation.openAPIV3Schema"
"""Where the API server sees the schema that all versions share."""


def _columns(versions: list[Object]) -> Iterator[Cause]:
    columns: list[Any] = [one.get("additionalPrinterColumns") or [] for one in versions]
    alike = all(one == columns[0] for one in columns)
    for number, each in enumerate(columns[:1] if alike else columns):
        place = "spec" if alike else f"spec.versions[{number}]"
        for index, column in enumerate(each):
            at = f"{place}.additionalPrinterColumns[{index}]"
            kind, path = column.get("type", ""), column.get("jsonPath", "")
            if not column.get("name"):
                yield causes.required(f"{at}.name")
            if kind not in _COLUMN_TYPES:
                listed = f"must be one of {','.join(_COLUMN_TYPES)}"
                yield causes.invalid(f"{at}.type", kind, listed)
            if not path.startswith("."):
                detail = "must be a simple json path starting with ."
                yield causes.invalid(f"{at}.JSONPath", path, detail)


def _stored(crd: Object, versions: list[Object]) -> Iterator[Cause]:
    names = {one.get("name") for one in versions}
    for index, name in enumerate((as_object(crd.get("status")) or {}).get("storedVersions") or ()):
        if name not in names:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must"
                " remain in spec.versions until a storage migration ensures no data remains"
                f" persisted in {name} and removes {name} from status.storedVersions"
            )
            yield causes.invalid(f"status.storedVersions[{index}]", name, detail)
