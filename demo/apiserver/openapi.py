"""OpenAPI v3, as far as kubectl reads it: which patches there are, whether fields are validated, what fields mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from demo.apiserver.documents import Object, Schema
from demo.apiserver.served import Served

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_REF = "#/components/schemas/"
_GVK = "x-kubernetes-group-version-kind"
_PATCHES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
)
_BUILT_IN_PATCHES = (*_PATCHES, "application/strategic-merge-patch+json")

_STRING: Schema = {"type": "string"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_API_VERSION = "The versioned schema of this representation of an object."
_KIND = "The REST resource that this object represents, in CamelCase."
_METADATA = "Standard object's metadata."

_FIELD_VALIDATION = "What becomes of fields that nobody knows and of duplicates: Ignore, Warn (the default), or Strict."


def index(api_versions: Iterable[str]) -> Object:
    """`/openapi/v3`: where the document of each group and version is."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}"}
            for path in (_path(api_version) for api_version in api_versions)
        }
    }


def document(served: Sequence[Served]) -> Object:
    """The document of one group and version, which all of `served` have."""
    schemas = dict(_SHARED)
    paths: Object = {}
    for one in served:
        schemas[_name(one, one.kind)] = _object(one)
        schemas[_name(one, one.list_kind)] = _list(one)
        paths |= _paths(one)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "unversioned"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _path(api_version: str) -> str:
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


def _name(served: Served, kind: str) -> str:
    """`io.kube-zen.zen.v1.Ingester`; the core group has none of its own."""
    group = ".".join(reversed(served.group.split("."))) if served.group else "io.k8s.api.core"
    return f"{group}.{served.version}.{kind}"


def _gvk(served: Served, kind: str) -> Object:
    return {"group": served.group, "version": served.version, "kind": kind}


def _ref(name: str) -> Object:
    return {"$ref": f"{_REF}{name}"}


def _object(served: Served) -> Object:
    description = f"{served.kind} is a built-in kind; its fields are not described here."
    schema: Schema = served.schema or {"type": "object", "description": description}
    own: Object = {
        name: one
        for name, one in schema.get("properties", {}).items()
        if name not in ("apiVersion", "kind", "metadata")
    }
    return {
        **schema,
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "kind": {"type": "string", "description": _KIND},
            "metadata": {"description": _METADATA, "allOf": [_ref(f"{_META}.ObjectMeta")]},
            **own,
        },
        _GVK: [_gvk(served, served.kind)],
    }


def _list(served: Served) -> Object:
    return {
        "type": "object",
        "description": f"{served.list_kind} is a list of {served.kind}",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": _API_VERSION},
            "kind": {"type": "string", "description": _KIND},
            "metadata": {"allOf": [_ref(f"{_META}.ListMeta")]},
            "items": {"type": "array", "items": _ref(_name(served, served.kind))},
        },
        _GVK: [_gvk(served, served.list_kind)],
    }


def _paths(served: Served) -> Object:
    root = f"/{_path(served.api_version)}"
    many = f"{root}/{served.resource}"
    found: Object = {many: _collection(served)}
    if served.namespaced:
        many = f"{root}/namespaces/{{namespace}}/{served.resource}"
        found[many] = _collection(served)
    found[f"{many}/{{name}}"] = _one(served)
    if served.has_status:
        found[f"{many}/{{name}}/status"] = _one(served)
    return found


def _collection(served: Served) -> Object:
    return {
        "get": _operation(served, "list", gives=served.list_kind),
        "post": _operation(served, "post", takes=("application/json",)),
    }


def _one(served: Served) -> Object:
    patches = _BUILT_IN_PATCHES if served.schema is None else _PATCHES
    return {
        "get": _operation(served, "get"),
        "put": _operation(served, "put", takes=("application/json",)),
        "patch": _operation(served, "patch", takes=patches),
        "delete": _operation(served, "delete"),
    }


def _operation(
    served: Served, action: str, *, takes: Sequence[str] = (), gives: str = ""
) -> Object:
    """One operation; what takes a body can be asked to validate its fields, and to change nothing."""
    answer = {"schema": _ref(_name(served, gives or served.kind))}
    found: Object = {
        "x-kubernetes-action": action,
        _GVK: _gvk(served, served.kind),
        "responses": {"200": {"description": "OK", "content": {"application/json": answer}}},
    }
    if takes:
        found["parameters"] = [
            _query("dryRun", "Whether to change nothing: All."),
            _query("fieldManager", "Who makes the change."),
            _query("fieldValidation", _FIELD_VALIDATION),
        ]
        body = {
            "schema": _ref(f"{_META}.Patch" if action == "patch" else _name(served, served.kind))
        }
        found["requestBody"] = {"content": dict.fromkeys(takes, body), "required": True}
    return found


def _query(name: str, description: str) -> Object:
    return {"name": name, "in": "query", "description": description, "schema": _STRING}


def _described(schema: Schema, description: str) -> Object:
    return {**schema, "description": description}


_STRINGS: Schema = {"type": "object", "additionalProperties": _STRING}
_NUMBER: Schema = {"type": "integer", "format": "int64"}
_OBJECTS: Schema = {"type": "array", "items": {"type": "object"}}
_SHARED: Object = {
    f"{_META}.Patch": {"type": "object", "description": "A patch in one of several forms."},
    f"{_META}.ListMeta": {
        "type": "object",
        "description": "Metadata of a list.",
        "properties": {
            "continue": _described(_STRING, "Where the next page begins, if there is one."),
            "remainingItemCount": _NUMBER,
            "resourceVersion": _described(_STRING, "The version of the whole list."),
        },
    },
    f"{_META}.ObjectMeta": {
        "type": "object",
        "description": "What every object says of itself.",
        "properties": {
            "annotations": _described(_STRINGS, "What tools keep with an object."),
            "creationTimestamp": _described(_TIME, "When it was made."),
            "deletionGracePeriodSeconds": _NUMBER,
            "deletionTimestamp": _described(_TIME, "When it was to be deleted."),
            "finalizers": _described(
                {"type": "array", "items": _STRING}, "What must be done before it is gone."
            ),
            "generateName": _described(_STRING, "The beginning of a name that is to be made."),
            "generation": _described(_NUMBER, "Counts the changes of what is wanted."),
            "labels": _described(_STRINGS, "What it is found by."),
            "managedFields": _described(_OBJECTS, "Who owns which fields."),
            "name": _described(_STRING, "Its name, which is unique in its namespace."),
            "namespace": _described(_STRING, "Its namespace."),
            "ownerReferences": _described(_OBJECTS, "Whom it belongs to."),
            "resourceVersion": _described(_STRING, "The version of its last change."),
            "uid": _described(_STRING, "What tells it from one of its name before or after it."),
        },
    },
}
"""The schemas that every object shares."""
