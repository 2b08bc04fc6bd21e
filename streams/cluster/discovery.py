"""What the API server serves: the kind and scope behind the plural name of a resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from operators.model.event import Kind
from streams.cluster.answer import UNDECODABLE
from streams.cluster.errors import DiscoveryError
from streams.cluster.paths import group_path

if TYPE_CHECKING:
    from streams.cluster.session import Session

_OK = 200
_NOT_FOUND = 404


class _Resource(msgspec.Struct):
    name: str
    kind: str
    namespaced: bool


class _ResourceList(msgspec.Struct):
    resources: list[_Resource] | None = None


async def resolve(session: Session, group: str, version: str, resource: str) -> Kind | None:
    """Ask what a resource is; None if the server does not serve it, now.

    Raises ``DiscoveryError`` for an answer that says neither, and what the session raises.
    """
    answer = await session.request("GET", group_path(group, version), verb="get")
    if answer.status == _NOT_FOUND:
        return None
    if answer.status != _OK:
        raise DiscoveryError(
            f"{group_path(group, version)}: {answer.status} {answer.message}", status=answer.status
        )
    try:
        listed = msgspec.json.decode(answer.body, type=_ResourceList)
    except UNDECODABLE as error:
        raise DiscoveryError(
            f"{group_path(group, version)}: not a list of resources: {error}", status=answer.status
        ) from error
    for one in listed.resources or ():
        if one.name == resource:
            return Kind(group, version, resource, one.kind, one.namespaced)
    return None
