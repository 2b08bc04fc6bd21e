"""What a server says it serves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp import web

from operators.model.event import ApiResource
from streams.cluster.access import Access
from streams.cluster.errors import DiscoveryError, UnreachableError
from streams.cluster.resources import discover_resource
from tests.unit.streams.cluster.servers import kubeconfig, serving, session, status

if TYPE_CHECKING:
    from pathlib import Path

APPS = {
    "kind": "APIResourceList",
    "groupVersion": "apps/v1",
    "resources": [
        {"name": "deployments/status", "kind": "Deployment", "namespaced": True, "verbs": ["get"]},
        {
            "name": "deployments",
            "singularName": "deployment",
            "kind": "Deployment",
            "namespaced": True,
            "verbs": ["list", "watch", "get"],
        },
    ],
}

NO_LISTS = {
    "/apis/strange/v1": b"<html>",
    "/apis/latin/v1": b'{"resources":[{"name":"caf\xe9"}]}',
    "/apis/deep/v1": b'{"a":' * 100_000,
}


async def _server(request: web.BaseRequest) -> web.StreamResponse:
    if request.path == "/apis/apps/v1":
        return web.Response(body=msgspec.json.encode(APPS))
    if request.path == "/apis/forbidden/v1":
        return status(403, reason="Forbidden", message="not for you")
    if request.path in NO_LISTS:
        return web.Response(body=NO_LISTS[request.path])
    if request.path == "/api/v1":
        return web.Response(body=b'{"resources": null}')
    return web.Response(status=404, text="404 page not found\n")


def _resolve(path: Path, group: str, version: str, resource: str) -> ApiResource | None:
    async def main() -> ApiResource | None:
        async with serving(_server) as server:
            access = Access.from_kubeconfig(kubeconfig(path / "config", server))
            async with session(access) as client:
                return await discover_resource(client, group, version, resource)

    return asyncio.run(main())


def test_a_resource_is_found_by_its_plural_name(tmp_path: Path) -> None:
    assert _resolve(tmp_path, "apps", "v1", "deployments") == ApiResource(
        "apps", "v1", "deployments", "Deployment", namespaced=True
    )


@pytest.mark.parametrize(
    ("group", "version", "resource"),
    [
        ("apps", "v1", "deployment"),
        ("apps", "v1", "Deployment"),
        ("apps", "v2", "deployments"),
        ("another.io", "v1", "things"),
        ("", "v1", "pods"),
    ],
)
def test_what_is_not_served_is_none(
    tmp_path: Path, group: str, version: str, resource: str
) -> None:
    assert _resolve(tmp_path, group, version, resource) is None


def test_a_refusal_is_no_absence(tmp_path: Path) -> None:
    with pytest.raises(DiscoveryError, match="403 not for you") as caught:
        _resolve(tmp_path, "forbidden", "v1", "things")
    assert caught.value.status == 403


@pytest.mark.parametrize("group", ["strange", "latin", "deep"])
def test_what_is_no_list_of_resources_is_an_error(tmp_path: Path, group: str) -> None:
    with pytest.raises(DiscoveryError, match="not a list of resources"):
        _resolve(tmp_path, group, "v1", "things")


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    async def main() -> None:
        access = Access.from_kubeconfig(kubeconfig(tmp_path / "config", "http://127.0.0.1:1"))
        async with session(access) as client:
            with pytest.raises(UnreachableError):
                await discover_resource(client, "apps", "v1", "deployments")

    asyncio.run(main())
