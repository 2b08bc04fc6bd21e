"""Credential plugins: run when they must be, and never in the way."""

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
    UnreachableError,
)
from streams.cluster.kubeconfig import Kubeconfig
from tests.unit.streams.cluster.doors import Door, get, trusting
from tests.unit.streams.cluster.servers import Certificates, kubeconfig, serving, session

if TYPE_CHECKING:
    from pathlib import Path

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


def test_a_plugin_runs_once_for_many_requests(tmp_path: Path, certificates: Certificates) -> None:
    async def main() -> None:
        plugin = _plugin(tmp_path / "plugin", token="word-NUMBER")
        async with serving(Door("Bearer word-1"), tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **trusting(certificates, exec=plugin))
            assert (await get(Access.from_kubeconfig(path), times=5)).status == 200
        assert _calls(tmp_path / "plugin") == 1

    asyncio.run(main())


def test_many_requests_at_once_share_one_run_of_the_plugin(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        plugin = _plugin(tmp_path / "plugin", token="word-NUMBER")
        door = Door("Bearer word-2")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(tmp_path / "config", server, **trusting(certificates, exec=plugin))
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
            tmp_path / "config", "https://127.0.0.1:1", **trusting(certificates, exec=plugin)
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
            tmp_path / "config", "https://127.0.0.1:1", **trusting(certificates, exec=plugin)
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
            path = kubeconfig(tmp_path / "config", server, **trusting(certificates, exec=plugin))
            assert (await get(Access.from_kubeconfig(path))).status == 200

    asyncio.run(main())


def test_a_plugin_that_fails_is_an_error_that_tells_no_secret(
    tmp_path: Path, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        plugin = _plugin(tmp_path / "plugin")
        leak = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
        (tmp_path / "plugin" / "broken").write_text(f"log in first: {leak}")
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **trusting(certificates, exec=plugin)
        )
        with pytest.raises(UnreachableError, match=r"context 'here': .*log in first: \*\*\*"):
            await get(Access.from_kubeconfig(path))
        (tmp_path / "plugin" / "broken").unlink()
        with pytest.raises(UnreachableError, match="gave no credential"):
            await get(Access.from_kubeconfig(path))
        plugin["command"] = str(tmp_path / "not-there")
        plugin["installHint"] = "install it"
        path = kubeconfig(
            tmp_path / "config", "https://127.0.0.1:1", **trusting(certificates, exec=plugin)
        )
        with pytest.raises(ConfigurationError, match=r"cannot be started.*install it"):
            await get(Access.from_kubeconfig(path))
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
            tmp_path / "config", "https://127.0.0.1:1", **trusting(certificates, exec=plugin)
        )
        with pytest.raises(UnreachableError, match="no credentials within"):
            await Access.from_kubeconfig(path).credentials()

    asyncio.run(main())
    # The interpreter waits for no daemon.
    assert {one.daemon for one in threading.enumerate() if one.name == "credentials"} == {True}
