"""What a request asks for: a verb, a resource, an object; read from its method and its path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from demo.apiserver.answers import (
    NoSuchPathError,
    method_not_allowed,
    no_such_resource,
    not_found,
)
from demo.apiserver.resources import Resource, Resources

_NAMESPACES = "namespaces"
_WITH_NAME = {"GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_WITHOUT_NAME = {"GET": "list", "HEAD": "list", "POST": "create", "DELETE": "deletecollection"}
_FALSE = {"", "0", "false", "False", "FALSE", "f", "F"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads, whether there is anything or not."""

    group: str
    version: str
    namespace: str
    resource: str
    name: str
    subresource: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request for a resource that is served."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    manager: str
    """Who writes, where the query does not say: the name of the client."""

    @property
    def key(self) -> str:
        """The key of the object in the store."""
        return self.resource.key(self.namespace, self.name)


def split(target: str) -> tuple[str, dict[str, str]]:
    """The path and the query of a request's target; of a repeated parameter the first counts."""
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True) if query else []
    return path, dict(reversed(pairs))


def place(path: str) -> Place | None:
    """Where a path leads; None if it is no resource's."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if parts[0] == "api":
        group, parts = "", parts[1:]
    elif parts[0] == "apis" and len(parts) > 1:
        group, parts = parts[1], parts[2:]
    else:
        return None
    if len(parts) < 2:  # noqa: PLR2004 - a version and a resource
        return None
    version, parts = parts[0], parts[1:]
    if parts[0] == _NAMESPACES and len(parts) > 2 and not _is_of_namespace(group, parts):  # noqa: PLR2004
        namespace, parts = parts[1], parts[2:]
    else:
        namespace = ""
    resource, name, subresource = (*parts, "", "")[:3]
    return Place(group, version, namespace, resource, name, "/".join([subresource, *parts[3:]]))


def _is_of_namespace(group: str, parts: list[str]) -> bool:
    """Whether what follows a namespace's name is a part of itself: its status."""
    return not group and len(parts) == 3 and parts[2] in {"status", "finalize"}  # noqa: PLR2004


def verb(method: str, at: Place, query: Mapping[str, str]) -> str:
    """What is to be done there; raises RefusedError (405)."""
    found = (_WITH_NAME if at.name else _WITHOUT_NAME).get(method, "")
    if not found:
        raise method_not_allowed()
    if found == "list" and query.get("watch", "0") not in _FALSE:
        return "watch"
    return found


def resolved(
    at: Place, *, verb: str, resources: Resources, query: Mapping[str, str], manager: str
) -> Call:
    """The request for the resource there; raises NoSuchPathError or RefusedError (404, 405)."""
    resource = resources.get(at.group, at.version, at.resource)
    if resource is None:
        raise _missing(at, resources)
    whole = not at.namespace and not at.name and verb in {"list", "watch"}
    if not whole and bool(at.namespace) != resource.served.namespaced:
        if verb == "create" and resource.served.namespaced and not resource.custom:
            raise method_not_allowed()
        raise NoSuchPathError if resource.custom else no_such_resource()
    if verb not in _verbs(resource, at):
        raise method_not_allowed()
    return Call(verb, resource, at.namespace, at.name, at.subresource, query, manager)


def _verbs(resource: Resource, at: Place) -> tuple[str, ...]:
    if not at.subresource:
        return resource.kind.verbs
    if at.subresource == "status" and resource.served.has_status:
        return ("get", "patch", "update")
    for name, verbs in resource.kind.subresources:
        if name == at.subresource:
            return verbs
    raise not_found(resource.served, at.name) if resource.custom else no_such_resource()


def _missing(at: Place, resources: Resources) -> Exception:
    built_in = [one for one in resources if one.served.group == at.group and not one.custom]
    return no_such_resource() if built_in else NoSuchPathError()
