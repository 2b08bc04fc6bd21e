"""The ways to a cluster: what proves who is who, and where it is looked for."""

# ruff: noqa: S106  the tokens are made up

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from streams.cluster.access import Access
from streams.cluster.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    UnreachableError,
)
from tests.unit.streams.cluster.doors import Door, get, trusting
from tests.unit.streams.cluster.servers import Certificates, kubeconfig, serving

if TYPE_CHECKING:
    from pathlib import Path


def test_a_bearer_token_of_a_kubeconfig(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        door = Door("Bearer s3cret")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **trusting(certificates, token="s3cret"))
            access = Access.from_kubeconfig(path)
            assert (await get(access)).status == 200
        assert access.server == server
        assert "s3cret" not in repr(access) + repr(await access.credentials())

    asyncio.run(main())


def test_a_client_certificate_in_files_and_in_the_kubeconfig(
    tmp_path: Path, certificates: Certificates
) -> None:
    forms: list[dict[str, object]] = [
        {
            "client-certificate": certificates.path("client.crt"),
            "client-key": certificates.path("client.key"),
        },
        {
            "client-certificate-data": certificates.encoded("client.crt"),
            "client-key-data": certificates.encoded("client.key"),
        },
    ]

    async def main() -> None:
        names: list[str] = []

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            peer = request.transport.get_extra_info("peercert")
            names.append(peer["subject"][0][0][1])
            return web.Response()

        async with serving(handler, tls=certificates.server_tls(client=True)) as server:
            for form in forms:
                path = kubeconfig(tmp_path / "config", server, **trusting(certificates, **form))
                assert (await get(Access.from_kubeconfig(path))).status == 200
            path = kubeconfig(tmp_path / "config", server, **trusting(certificates))
            with pytest.raises(UnreachableError):
                await get(Access.from_kubeconfig(path))
        assert names == ["client", "client"]

    asyncio.run(main())


def test_a_server_of_another_authority_is_not_trusted(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        door = Door("Bearer s3cret")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, user={"token": "s3cret"})
            with pytest.raises(UnreachableError, match="certificate verify failed"):
                await get(Access.from_kubeconfig(path))
            trusting = {"insecure-skip-tls-verify": True}
            path = kubeconfig(
                tmp_path / "config", server, user={"token": "s3cret"}, cluster=trusting
            )
            assert (await get(Access.from_kubeconfig(path))).status == 200
        assert door.said == ["Bearer s3cret"]

    asyncio.run(main())


def test_the_certificate_may_bear_another_name(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        async with serving(Door("Bearer a"), tls=certificates.server_tls("elsewhere")) as server:
            cluster = {"certificate-authority-data": certificates.encoded("ca.crt")}
            path = kubeconfig(tmp_path / "config", server, user={"token": "a"}, cluster=cluster)
            with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
                await get(Access.from_kubeconfig(path))
            cluster["tls-server-name"] = "inside.example"
            path = kubeconfig(tmp_path / "config", server, user={"token": "a"}, cluster=cluster)
            assert (await get(Access.from_kubeconfig(path))).status == 200

    asyncio.run(main())


def test_no_credential_leaves_over_plain_http(tmp_path: Path) -> None:
    async def main() -> None:
        door = Door("nothing")
        async with serving(door) as server:
            path = kubeconfig(tmp_path / "config", server, user={"token": "s3cret"})
            with pytest.raises(CredentialsRefusedError):
                await get(Access.from_kubeconfig(path))
        assert door.said == [None, None]

    asyncio.run(main())


def test_impersonation_is_honoured(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        door = Door("Bearer a")
        user = trusting(
            certificates,
            token="a",
            **{"as": "jane", "as-groups": ["dev", "ops"], "as-user-extra": {"why": ["x", "y"]}},
        )
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **user)
            await get(Access.from_kubeconfig(path))
        (headers,) = door.headers
        assert headers["Impersonate-User"] == "jane"
        assert headers.getall("Impersonate-Group") == ["dev", "ops"]
        assert headers.getall("Impersonate-Extra-why") == ["x", "y"]

    asyncio.run(main())


def _mounted(directory: Path, certificates: Certificates) -> Path:
    directory.mkdir()
    (directory / "ca.crt").write_bytes((certificates.directory / "ca.crt").read_bytes())
    (directory / "token").write_text("pod-token\n")
    (directory / "namespace").write_text("monitoring\n")
    return directory


def test_in_a_cluster_the_service_account_opens_the_door(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        mounted = _mounted(tmp_path / "mounted", certificates)
        async with serving(Door("Bearer pod-token"), tls=certificates.server_tls()) as server:
            port = server.rpartition(":")[2]
            environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
            access = Access.in_cluster(mounted, environ=environ)
            assert (access.server, access.namespace) == (server, "monitoring")
            assert (await get(access)).status == 200
        assert "pod-token" not in repr(access)

    asyncio.run(main())


def test_discovery_takes_what_was_named_then_kubectls_then_the_pods(
    tmp_path: Path, certificates: Certificates
) -> None:
    named = kubeconfig(tmp_path / "named", "https://named")
    listed = kubeconfig(tmp_path / "listed", "https://listed")
    (tmp_path / "home" / ".kube").mkdir(parents=True)
    mounted = _mounted(tmp_path / "mounted", certificates)
    environ = {
        "HOME": str(tmp_path / "home"),
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
    }

    def found(kubeconfig: str | None = None, **more: str) -> str:
        return Access.discover(kubeconfig, environ={**environ, **more}, directory=mounted).server

    assert found(named, KUBECONFIG=listed) == "https://named"
    assert found(KUBECONFIG=f"{tmp_path / 'missing'}:{listed}") == "https://listed"
    assert found() == "https://10.0.0.1:443"
    with pytest.raises(ConfigurationError, match="no context 'other'"):
        Access.discover(context="other", environ=environ, directory=mounted)
    kubeconfig(tmp_path / "home" / ".kube" / "config", "https://home")
    assert found() == "https://home"


def test_without_any_way_the_error_names_all_that_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Access.discover(environ={"HOME": str(tmp_path)}, directory=tmp_path / "mounted")
    text = str(caught.value)
    assert str(tmp_path / ".kube" / "config") in text
    assert "KUBECONFIG" in text
    assert str(tmp_path / "mounted") in text
    with pytest.raises(ConfigurationError, match="no such file"):
        Access.discover(str(tmp_path / "named"), environ={}, directory=tmp_path)


def test_a_proxy_of_the_kubeconfig_is_used(tmp_path: Path) -> None:
    async def main() -> None:
        asked: list[str] = []

        async def proxy(request: web.BaseRequest) -> web.StreamResponse:
            asked.append(str(request.url))
            return web.Response()

        async with serving(proxy) as address:
            path = kubeconfig(
                tmp_path / "config", "http://far.invalid:1", cluster={"proxy-url": address}
            )
            assert (await get(Access.from_kubeconfig(path))).status == 200
        assert asked == ["http://far.invalid:1/"]

    asyncio.run(main())
