"""What the server tells of itself: groups, versions, resources, in the plain form and in the aggregated one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from demo.apiserver.documents import Object
from demo.apiserver.negotiation import accepted
from demo.apiserver.resources import Resource, Resources

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
"""The version whose answers these are; the suffix says that it is not itself."""


def wants_aggregated(accept: str) -> bool:
    """Whether the aggregated form comes before the plain one."""
    for media_type, parameters in accepted(accept):
        if parameters.get("as") == "APIGroupDiscoveryList" and parameters.get("v") == "v2":
            return True
        if media_type in {"application/json", "*/*"} and "as" not in parameters:
            return False
    return False


def core_versions(address: str) -> Object:
    """`/api`."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    }


def groups(resources: Resources) -> Object:
    """`/apis`."""
    named = [_group(resources, name) for name in resources.groups()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": named}


def group(resources: Resources, name: str) -> Object | None:
    """`/apis/GROUP`, None if there is none."""
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
    """`/api/v1` and `/apis/GROUP/VERSION`, None if there is none."""
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
    """Those of a resource, with their verbs."""
    yield from resource.kind.subresources
    if resource.served.has_status:
        yield "status", _STATUS_VERBS


def aggregated(resources: Resources, *, core: bool) -> Object:
    """`/api` or `/apis`, each with everything below it."""
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
