"""Discovery (plain and aggregated) and OpenAPI documents, as far as kubectl reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from demo.apiserver.documents import Object, Schema, ServedResource, as_object
from demo.apiserver.resources import Resource, Resources
from demo.apiserver.responses import accepted_types

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_STATUS_VERBS = ("get", "patch", "update")

VERSION: Object = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.2+zen-streams",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}
"""The version whose responses are reproduced; the suffix marks it as not genuine."""


def wants_aggregated(accept: str) -> bool:
    """Return whether the Accept header prefers the aggregated form."""
    for media_type, parameters in accepted_types(accept):
        if parameters.get("as") == "APIGroupDiscoveryList" and parameters.get("v") == "v2":
            return True
        if media_type in {"application/json", "*/*"} and "as" not in parameters:
            return False
    return False


def core_versions(address: str) -> Object:
    """Return the response of `/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(resources: Resources) -> Object:
    """Return the response of `/apis`."""
    named = [_group(resources, name) for name in resources.groups()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}


def group(resources: Resources, name: str) -> Object | None:
    """Return the response of `/apis/GROUP`, or None if it is not served."""
    if name not in resources.groups():
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(resources, name)}


def _group(resources: Resources, name: str) -> Object:
    versions = [
        {"groupVersion": f"{name}/{version}", "version": version}
        for version in resources.versions_of(name)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def version(resources: Resources, group: str, name: str) -> Object | None:
    """Return the response of `/api/v1` or `/apis/GROUP/VERSION`, or None if it is not served."""
    found = resources.of(group, name)
    if not found:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": found[0].served.api_version,
        "resources": [each for one in found for each in _named(one)],
    }


def _named(resource: Resource) -> Iterator[Object]:
    served = resource.served
    one: Object = {
        "name": served.resource,
        "singularName": served.singular,
        "namespaced": served.namespaced,
        "kind": served.kind,
        "verbs": list(resource.kind.verbs),
    }
    if served.short_names:
        one["shortNames"] = list(served.short_names)
    if resource.kind.categories:
        one["categories"] = list(resource.kind.categories)
    yield one
    for name, verbs in subresources(resource):
        yield {
            "name": f"{served.resource}/{name}",
            "singularName": "",
            "namespaced": served.namespaced,
            "kind": served.kind,
            "verbs": list(verbs),
        }


def subresources(resource: Resource) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the subresources of a resource and their verbs."""
    yield from resource.kind.subresources
    if resource.served.has_status:
        yield "status", _STATUS_VERBS


def aggregated(resources: Resources, *, core: bool) -> Object:
    """Return the aggregated discovery of `/api` or `/apis` (KEP-3352)."""
    names = [""] if core else resources.groups()
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": name} if name else {},
                "versions": [
                    {
                        "version": one,
                        "resources": [_aggregated(each) for each in resources.of(name, one)],
                        "freshness": "Current",
                    }
                    for one in resources.versions_of(name)
                ],
            }
            for name in names
        ],
    }


def _aggregated(resource: Resource) -> Object:
    served = resource.served
    kind = {"group": served.group, "version": served.version, "kind": served.kind}
    below: list[dict[str, Any]] = [
        {"subresource": name, "responseKind": kind, "verbs": list(verbs)}
        for name, verbs in subresources(resource)
    ]
    one: Object = {
        "resource": served.resource,
        "responseKind": kind,
        "scope": "Namespaced" if served.namespaced else "Cluster",
        "singularResource": served.singular,
        "verbs": list(resource.kind.verbs),
    }
    if served.short_names:
        one["shortNames"] = list(served.short_names)
    if resource.kind.categories:
        one["categories"] = list(resource.kind.categories)
    if below:
        one["subresources"] = below
    return one


_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_REF = "#/components/schemas/"
_GVK = "x-kubernetes-group-version-kind"
_UNTYPED = (
    "nullable",
    "x-kubernetes-int-or-string",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
)
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

_FIELD_VALIDATION = (
    "How unknown and duplicate fields are handled: Ignore, Warn (the default), or Strict."
)


def openapi_v3_index(api_versions: Iterable[str]) -> Object:
    """`/openapi/v3`: where the document of each group and version is."""
    return {
        "paths": {
            path: {"serverRelativeURL": f"/openapi/v3/{path}"}
            for path in (_path(api_version) for api_version in api_versions)
        }
    }


def openapi_v3_document(served: Sequence[ServedResource]) -> Object:
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


def openapi_v2_document(served: Sequence[ServedResource]) -> Object:
    """`/openapi/v2`: one swagger 2.0 document of everything served."""
    schemas: Object = {}
    paths: Object = {}
    for api_version in dict.fromkeys(one.api_version for one in served):
        whole = openapi_v3_document([one for one in served if one.api_version == api_version])
        schemas |= whole["components"]["schemas"]
        paths |= whole["paths"]
    return {
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION["gitVersion"]},
        "paths": {
            path: {method: _v2_operation(one) for method, one in operations.items()}
            for path, operations in paths.items()
        },
        "definitions": {name: _v2_schema(one) for name, one in schemas.items()},
    }


def _v2_operation(operation: Object) -> Object:
    response = operation["responses"]["200"]
    parameters = [
        {name: one[name] for name in ("name", "in", "description")} | {"type": "string"}
        for one in operation.get("parameters", ())
    ]
    found: Object = {
        name: operation[name] for name in ("x-kubernetes-action", _GVK) if name in operation
    }
    body = operation.get("requestBody", {}).get("content", {})
    for one in list(body.values())[:1]:
        schema = _v2_schema(one["schema"])
        parameters.append({"name": "body", "in": "body", "required": True, "schema": schema})
    for one in response["content"].values():
        schema = _v2_schema(one["schema"])
        found["responses"] = {"200": {"description": response["description"], "schema": schema}}
    consumes = {"consumes": list(body)} if body else {}
    return found | consumes | ({"parameters": parameters} if parameters else {})


def _v2_schema(schema: Schema) -> Schema:
    """A schema as swagger 2.0 has it, which has no nullable values, alternatives or untyped ones.

    Where a genuine server loosens a structural schema (apiextensions, controller/openapi/v2), this does too.
    """
    described = {name: schema[name] for name in ("description", _GVK) if name in schema}
    # The reference to a metadata schema stands in an allOf, because v3 has no description beside a $ref.
    reference = next(
        (one["$ref"] for one in (schema, *schema.get("allOf", ())) if "$ref" in one), ""
    )
    if reference:
        return described | {"$ref": reference.replace(_REF, "#/definitions/")}
    if any(schema.get(name) for name in _UNTYPED):
        return described
    found = described | {name: schema[name] for name in ("type", "format") if schema.get(name)}
    if schema.get("required"):
        found["required"] = list(schema["required"])
    properties = schema.get("properties", {})
    found |= (
        {"properties": {at: _v2_schema(it) for at, it in properties.items()}} if properties else {}
    )
    for name in ("items", "additionalProperties"):
        inside = as_object(schema.get(name))
        if inside is not None:
            found[name] = _v2_schema(inside)
    return found


def _path(api_version: str) -> str:
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


def _name(served: ServedResource, kind: str) -> str:
    """Return the schema name, such as `io.kube-zen.zen.v1.Ingester`."""
    group = ".".join(reversed(served.group.split("."))) if served.group else "io.k8s.api.core"
    return f"{group}.{served.version}.{kind}"


def _gvk(served: ServedResource, kind: str) -> Object:
    return {"group": served.group, "version": served.version, "kind": kind}


def _ref(name: str) -> Object:
    return {"$ref": f"{_REF}{name}"}


def _object(served: ServedResource) -> Object:
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


def _list(served: ServedResource) -> Object:
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


def _paths(served: ServedResource) -> Object:
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


def _collection(served: ServedResource) -> Object:
    return {
        "get": _operation(served, "list", gives=served.list_kind),
        "post": _operation(served, "post", takes=("application/json",)),
    }


def _one(served: ServedResource) -> Object:
    patches = _BUILT_IN_PATCHES if served.schema is None else _PATCHES
    return {
        "get": _operation(served, "get"),
        "put": _operation(served, "put", takes=("application/json",)),
        "patch": _operation(served, "patch", takes=patches),
        "delete": _operation(served, "delete"),
    }


def _operation(
    served: ServedResource, action: str, *, takes: Sequence[str] = (), gives: str = ""
) -> Object:
    """Describe one operation; those with a body have `fieldValidation` and `dryRun`."""
    answer = {"schema": _ref(_name(served, gives or served.kind))}
    found: Object = {
        "x-kubernetes-action": action,
        _GVK: _gvk(served, served.kind),
        "responses": {"200": {"description": "OK", "content": {"application/json": answer}}},
    }
    if takes:
        found["parameters"] = [
            _query("dryRun", "All: validate, and do not store."),
            _query("fieldManager", "The manager that the changed fields are recorded under."),
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
            "continue": _described(_STRING, "The token of the next page, if there is one."),
            "remainingItemCount": _NUMBER,
            "resourceVersion": _described(_STRING, "The resourceVersion of the list."),
        },
    },
    f"{_META}.ObjectMeta": {
        "type": "object",
        "description": "Metadata of an object.",
        "properties": {
            "annotations": _described(_STRINGS, "Values kept by tools."),
            "creationTimestamp": _described(_TIME, "The time of its creation."),
            "deletionGracePeriodSeconds": _NUMBER,
            "deletionTimestamp": _described(_TIME, "The time of its deletion request."),
            "finalizers": _described(
                {"type": "array", "items": _STRING}, "Steps that must end before its removal."
            ),
            "generateName": _described(_STRING, "The prefix of a generated name."),
            "generation": _described(_NUMBER, "Increases with each change of the desired state."),
            "labels": _described(_STRINGS, "Values it is selected by."),
            "managedFields": _described(_OBJECTS, "The fields owned by each manager."),
            "name": _described(_STRING, "Its name, which is unique in its namespace."),
            "namespace": _described(_STRING, "Its namespace."),
            "ownerReferences": _described(_OBJECTS, "The objects it depends on."),
            "resourceVersion": _described(_STRING, "The resourceVersion of its last change."),
            "uid": _described(_STRING, "Unique among all objects, also of the same name."),
        },
    },
}
"""The metadata schemas shared by all kinds."""
