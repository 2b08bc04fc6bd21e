"""The ways to a cluster, and credentials that change while they are used."""

# ruff: noqa: S106  the tokens are made up

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from aiohttp import web

from streams.cluster.access import Access
from streams.cluster.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    UnreachableError,
)
from streams.cluster.kubeconfig import Kubeconfig
from tests.unit.streams.cluster.servers import Certificates, kubeconfig, serving, session, status

if TYPE_CHECKING:
    from pathlib import Path

    from streams.cluster.answer import Answer

MIDNIGHT = datetime(2030, 1, 1, tzinfo=UTC)

PLUGIN = """
import json, os, pathlib, sys
here = pathlib.Path(sys.argv[1])
calls = here / "calls"
number = len(calls.read_text()) + 1 if calls.exists() else 1
calls.write_text("x" * number)
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["kind"] == "ExecCredential"
if (here / "broken").exists():
    sys.exit((here / "broken").read_text())
given = json.loads((here / "given").read_text())
given = {key: value.replace("NUMBER", str(number)) for key, value in given.items()}
print(json.dumps({
    "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": given,
}))
"""


class Door:
    """A server that lets in who says the right word, and remembers all the words said."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.said: list[str | None] = []
        self.headers: list[Any] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        said = request.headers.get("Authorization")
        self.said.append(said)
        self.headers.append(request.headers)
        if said != self.word:
            return status(401, reason="Unauthorized", message="Unauthorized")
        return web.Response(body=b"{}")


def _user(certificates: Certificates, **user: object) -> dict[str, Any]:
    return {"cluster": {"certificate-authority": certificates.path("ca.crt")}, "user": user}


def _plugin(directory: Path, **given: str) -> dict[str, Any]:
    directory.mkdir()
    (directory / "plugin.py").write_text(PLUGIN)
    (directory / "given").write_bytes(msgspec.json.encode(given))
    return {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(directory / "plugin.py"), str(directory)],
        "interactiveMode": "Never",
    }


def _calls(directory: Path) -> int:
    return len((directory / "calls").read_text())


async def _get(access: Access, times: int = 1) -> Answer:
    async with session(access) as client:
        for _ in range(times - 1):
            await client.request("GET", "/", verb="get")
        return await client.request("GET", "/", verb="get")


def test_a_bearer_token_of_a_kubeconfig(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        door = Door("Bearer s3cret")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **_user(certificates, token="s3cret"))
            access = Access.from_kubeconfig(path)
            assert (await _get(access)).status == 200
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
                path = kubeconfig(tmp_path / "config", server, **_user(certificates, **form))
                assert (await _get(Access.from_kubeconfig(path))).status == 200
            path = kubeconfig(tmp_path / "config", server, **_user(certificates))
            with pytest.raises(UnreachableError):
                await _get(Access.from_kubeconfig(path))
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
                await _get(Access.from_kubeconfig(path))
            trusting = {"insecure-skip-tls-verify": True}
            path = kubeconfig(
                tmp_path / "config", server, user={"token": "s3cret"}, cluster=trusting
            )
            assert (await _get(Access.from_kubeconfig(path))).status == 200
        assert door.said == ["Bearer s3cret"]

    asyncio.run(main())


def test_the_certificate_may_bear_another_name(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        async with serving(Door("Bearer a"), tls=certificates.server_tls("elsewhere")) as server:
            cluster = {"certificate-authority-data": certificates.encoded("ca.crt")}
            path = kubeconfig(tmp_path / "config", server, user={"token": "a"}, cluster=cluster)
            with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
                await _get(Access.from_kubeconfig(path))
            cluster["tls-server-name"] = "inside.example"
            path = kubeconfig(tmp_path / "config", server, user={"token": "a"}, cluster=cluster)
            assert (await _get(Access.from_kubeconfig(path))).status == 200

    asyncio.run(main())


def test_no_credential_leaves_over_plain_http(tmp_path: Path) -> None:
    async def main() -> None:
        door = Door("nothing")
        async with serving(door) as server:
            path = kubeconfig(tmp_path / "config", server, user={"token": "s3cret"})
            with pytest.raises(CredentialsRefusedError):
                await _get(Access.from_kubeconfig(path))
        assert door.said == [None, None]

    asyncio.run(main())


def test_a_plugin_runs_once_for_many_requests(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        plugin = _plugin(tmp_path / "plugin", token="word-NUMBER")
        async with serving(Door("Bearer word-1"), tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **_user(certificates, exec=plugin))
            assert (await _get(Access.from_kubeconfig(path), times=5)).status == 200
        assert _calls(tmp_path / "plugin") == 1

    asyncio.run(main())


def test_many_requests_at_once_share_one_run_of_the_plugin(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        plugin = _plugin(tmp_path / "plugin", token="word-NUMBER")
        door = Door("Bearer word-2")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **_user(certificates, exec=plugin))
            async with session(Access.from_kubeconfig(path)) as client:
                answers = await asyncio.gather(
                    *(client.request("GET", "/", verb="get") for _ in range(10))
                )
        assert [answer.status for answer in answers] == [200] * 10
        assert _calls(tmp_path / "plugin") == 2  # one at first, one after the first was refused
        assert set(door.said) == {"Bearer word-1", "Bearer word-2"}

    asyncio.run(main())


def test_a_plugin_runs_again_before_its_token_expires(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        now_ns = 0
        plugin = _plugin(
            tmp_path / "plugin", token="word-NUMBER", expirationTimestamp="2030-01-01T01:00:00Z"
        )
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **_user(certificates, exec=plugin)
        )
        access = Access(Kubeconfig(path), clock=lambda: now_ns, wall_clock=lambda: MIDNIGHT)
        assert (await access.credentials()).headers == (("Authorization", "Bearer word-1"),)
        now_ns = 3538 * 10**9
        assert (await access.credentials()).headers == (("Authorization", "Bearer word-1"),)
        now_ns = 3541 * 10**9  # a minute before the hour is over
        assert (await access.credentials()).headers == (("Authorization", "Bearer word-2"),)

    asyncio.run(main())


def test_a_plugin_whose_clock_is_behind_is_not_run_for_every_request(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        now_ns = 0
        plugin = _plugin(
            tmp_path / "plugin", token="word-NUMBER", expirationTimestamp="2029-12-31T23:00:00Z"
        )
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **_user(certificates, exec=plugin)
        )
        access = Access(Kubeconfig(path), clock=lambda: now_ns, wall_clock=lambda: MIDNIGHT)
        for second in range(25):
            now_ns = second * 10**9
            await access.credentials()
        assert _calls(tmp_path / "plugin") == 3

    asyncio.run(main())


def test_a_plugin_may_give_a_certificate(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            assert request.transport is not None
            assert request.transport.get_extra_info("peercert")
            return web.Response()

        plugin = _plugin(
            tmp_path / "plugin",
            clientCertificateData=(certificates.directory / "client.crt").read_text(),
            clientKeyData=(certificates.directory / "client.key").read_text(),
        )
        async with serving(handler, tls=certificates.server_tls(client=True)) as server:
            path = kubeconfig(tmp_path / "config", server, **_user(certificates, exec=plugin))
            assert (await _get(Access.from_kubeconfig(path))).status == 200

    asyncio.run(main())


def test_a_plugin_that_fails_is_an_error_that_tells_no_secret(
    tmp_path: Path, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        plugin = _plugin(tmp_path / "plugin")
        leak = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
        (tmp_path / "plugin" / "broken").write_text(f"log in first: {leak}")
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **_user(certificates, exec=plugin)
        )
        with pytest.raises(UnreachableError, match=r"context 'here': .*log in first: \*\*\*"):
            await _get(Access.from_kubeconfig(path))
        (tmp_path / "plugin" / "broken").unlink()
        with pytest.raises(UnreachableError, match="gave no credential"):
            await _get(Access.from_kubeconfig(path))
        plugin["command"] = str(tmp_path / "not-there")
        plugin["installHint"] = "install it"
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **_user(certificates, exec=plugin)
        )
        with pytest.raises(ConfigurationError, match=r"cannot be started.*install it"):
            await _get(Access.from_kubeconfig(path))
        assert not caplog.records

    asyncio.run(main())


def test_a_plugin_that_hangs_holds_nothing_up(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.cluster.access.LOAD_TIMEOUT_SECONDS", 0.2)

    async def main() -> None:
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sleep",
            "args": ["5"],
        }
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **_user(certificates, exec=plugin)
        )
        with pytest.raises(UnreachableError, match="no credentials within"):
            await Access.from_kubeconfig(path).credentials()

    asyncio.run(main())
    # The interpreter waits for no daemon.
    assert {one.daemon for one in threading.enumerate() if one.name == "credentials"} == {True}


def test_a_refused_token_is_renewed_once_and_the_request_made_again(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        token = tmp_path / "token"
        token.write_text("old\n")
        door = Door("Bearer old")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **_user(certificates, tokenFile="token"))
            access = Access.from_kubeconfig(path)
            async with session(access) as client:
                await client.request("GET", "/", verb="get")
                token.write_text("new\n")
                door.word = "Bearer new"
                await client.request("PATCH", "/", verb="apply", body=b"x")
                async with client.watch("/", idle_seconds=5) as watching:
                    assert watching.status == 200
                assert dict(client.requests_total) == {
                    ("get", 200): 1,
                    ("apply", 401): 1,
                    ("apply", 200): 1,
                    ("watch", 200): 1,
                }
        assert door.said == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]

    asyncio.run(main())


def test_credentials_refused_twice_are_refused(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        door = Door("something else")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **_user(certificates, token="s3cret"))
            async with session(Access.from_kubeconfig(path)) as client:
                with pytest.raises(CredentialsRefusedError, match="context 'here'") as caught:
                    await client.request("GET", "/", verb="get")
                assert len(door.said) == 2
                with pytest.raises(CredentialsRefusedError):
                    async with client.watch("/", idle_seconds=5):
                        pass
        assert len(door.said) == 4
        assert "s3cret" not in str(caught.value)

    asyncio.run(main())


def test_a_token_file_is_read_again_when_it_changed(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        now_ns = 0
        token = tmp_path / "token"
        token.write_text("one")
        user = _user(certificates, tokenFile="token", token="ignored, as kubectl does")
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", **user)
        access = Access(Kubeconfig(path), clock=lambda: now_ns)
        first = await access.credentials()
        assert first.headers == (("Authorization", "Bearer one"),)
        assert await access.credentials() is first
        token.write_text("second")
        now_ns += 2 * 10**9
        assert (await access.credentials()).headers == (("Authorization", "Bearer second"),)

    asyncio.run(main())


def test_while_a_file_cannot_be_read_the_old_credentials_stay(
    tmp_path: Path, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        now_ns = 0
        token = tmp_path / "token"
        token.write_text("one")
        user = _user(certificates, tokenFile="token")
        path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", **user)
        access = Access(Kubeconfig(path), clock=lambda: now_ns)
        first = await access.credentials()
        token.unlink()
        for _ in range(20):
            now_ns += 10**9
            assert await access.credentials() is first
        assert len(caplog.records) == 2  # every ten seconds
        with pytest.raises(CredentialsRefusedError, match="could not be renewed"):
            await access.renew(first)
        token.write_text("two")
        now_ns += 10 * 10**9
        assert (await access.credentials()).headers == (("Authorization", "Bearer two"),)

    asyncio.run(main())


def test_a_new_authority_is_trusted_without_a_restart(
    tmp_path: Path, certificates: Certificates
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    renewed = Certificates(new)

    async def main() -> None:
        now_ns = 0
        authority = tmp_path / "ca.crt"
        authority.write_bytes((certificates.directory / "ca.crt").read_bytes())
        async with serving(Door("Bearer a"), tls=certificates.server_tls()) as server:
            path = kubeconfig(
                tmp_path / "config",
                server,
                user={"token": "a"},
                cluster={"certificate-authority": "ca.crt"},
            )
            access = Access(Kubeconfig(path), clock=lambda: now_ns)
            assert (await _get(access)).status == 200
        port = int(server.rpartition(":")[2])
        async with serving(Door("Bearer a"), tls=renewed.server_tls(), port=port):
            with pytest.raises(UnreachableError):
                await _get(access)
            authority.write_bytes((new / "ca.crt").read_bytes())
            now_ns += 2 * 10**9
            assert (await _get(access)).status == 200

    asyncio.run(main())


def test_impersonation_is_honoured(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        door = Door("Bearer a")
        user = _user(
            certificates,
            token="a",
            **{"as": "jane", "as-groups": ["dev", "ops"], "as-user-extra": {"why": ["x", "y"]}},
        )
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **user)
            await _get(Access.from_kubeconfig(path))
        (headers,) = door.headers
        assert headers["Impersonate-User"] == "jane"
        assert headers.getall("Impersonate-Group") == ["dev", "ops"]
        assert headers.getall("Impersonate-Extra-why") == ["x", "y"]

    asyncio.run(main())


def test_private_keys_do_not_stay_on_the_disk(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    data = {
        "client-certificate-data": certificates.encoded("client.crt"),
        "client-key-data": certificates.encoded("client.key"),
    }
    path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", **_user(certificates, **data))

    async def main() -> None:
        access = Access.from_kubeconfig(path)
        for _ in range(2):
            await access.renew(await access.credentials())

    asyncio.run(main())
    assert list(temporary.iterdir()) == []


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
            assert (await _get(access)).status == 200
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
