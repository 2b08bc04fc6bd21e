"""Resources of the Kubernetes API: their paths, and discovery of their kind and scope."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from operators.model.event import ApiResource
from streams.cluster.errors import DiscoveryError
from streams.cluster.response import UNDECODABLE

if TYPE_CHECKING:
    from streams.cluster.session import Session

_OK = 200
_NOT_FOUND = 404


def resource_path(
    group: str,
    version: str,
    resource: str,
    *,
    namespace: str = "",
    name: str = "",
    subresource: str = "",
) -> str:
    """Return the path of a collection, an object or its subresource, percent-encoded.

    An empty group is the core group. Raises ``ValueError`` for what no path can hold: an empty version or resource, a
    subresource without a name, and the segments the server refuses (apimachinery, ``IsValidPathSegmentName``).
    """
    if not version or not resource:
        raise ValueError(f"version {version!r} and resource {resource!r} must not be empty")
    if subresource and not name:
        raise ValueError(f"the subresource {subresource!r} needs the name of an object")
    return group_path(group, version) + "".join(
        f"/{_segment(part)}"
        for part in (*(("namespaces", namespace) if namespace else ()), resource, name, subresource)
        if part
    )


def group_path(group: str, version: str) -> str:
    """Return the path under which one version of a group is served."""
    if group:
        return f"/apis/{_segment(group)}/{_segment(version)}"
    return f"/api/{_segment(version)}"


def _segment(text: str) -> str:
    if text in {".", ".."} or "/" in text or "%" in text:
        raise ValueError(f"{text!r} is no segment of a path")
    return quote(text, safe="")


class _Resource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] | None = None


async def discover_resource(
    session: Session, group: str, version: str, resource: str
) -> ApiResource | None:
    """Request the APIResourceList of a group version; return the resource's entry, None if it is not served now.

    Raises ``DiscoveryError`` for a response that is neither a list nor a 404, and what ``Session.request`` raises.
    """
    path = group_path(group, version)
    response = await session.request("GET", path, verb="get")
    if response.status == _NOT_FOUND:
        return None
    if response.status != _OK:
        raise DiscoveryError(
            f"{path}: {response.status} {response.message}", status=response.status
        )
    try:
        listed = msgspec.json.decode(response.body, type=_ResourceList)
    except UNDECODABLE as error:
        raise DiscoveryError(
            f"{path}: not a list of resources: {error}", status=response.status
        ) from error
    for one in listed.resources or ():
        if one.name == resource:
            return ApiResource(group, version, resource, one.kind, one.namespaced)
    return None
