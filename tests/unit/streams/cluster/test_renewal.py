"""Credentials that change while they are used."""

# ruff: noqa: S106  the tokens are made up

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND
from streams.cluster.access import Access
from streams.cluster.credentials import Credentials
from streams.cluster.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    UnreachableError,
)
from streams.cluster.kubeconfig import Kubeconfig
from tests.unit.streams.cluster.doors import Door, get, trusting
from tests.unit.streams.cluster.servers import Certificates, kubeconfig, serving, session


def test_a_refused_token_is_renewed_once_and_the_request_made_again(
    tmp_path: Path, certificates: Certificates
) -> None:
    async def main() -> None:
        token = tmp_path / "token"
        token.write_text("old\n")
        door = Door("Bearer old")
        async with serving(door, tls=certificates.server_tls()) as server:
            path = kubeconfig(
                tmp_path / "config", server, **trusting(certificates, tokenFile="token")
            )
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
            path = kubeconfig(tmp_path / "config", server, **trusting(certificates, token="s3cret"))
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
        user = trusting(certificates, tokenFile="token", token="ignored, as kubectl does")
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
        user = trusting(certificates, tokenFile="token")
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
            assert (await get(access)).status == 200
        port = int(server.rpartition(":")[2])
        async with serving(Door("Bearer a"), tls=renewed.server_tls(), port=port):
            with pytest.raises(UnreachableError):
                await get(access)
            authority.write_bytes((new / "ca.crt").read_bytes())
            now_ns += 2 * 10**9
            assert (await get(access)).status == 200

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
    path = kubeconfig(tmp_path / "config", "https://127.0.0.1:1", **trusting(certificates, **data))

    async def main() -> None:
        access = Access.from_kubeconfig(path)
        for _ in range(2):
            await access.renew(await access.credentials())

    asyncio.run(main())
    assert list(temporary.iterdir()) == []


BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Plugin:
    """A source of credentials that expire, with a clock of its own; counts how often it was asked for them."""

    server, namespace = "https://127.0.0.1", "default"

    def __init__(self, *, lifetime_seconds: float | None = None, file: Path | None = None) -> None:
        self.files = (file,) if file else ()
        self.lifetime_seconds = lifetime_seconds
        self.loads = 0
        self.error: Exception | None = None
        self.seconds = 0.0
        self.access = Access(
            self,
            clock=lambda: round(self.seconds * NANOSECONDS_PER_SECOND),
            wall_clock=lambda: BEGAN + timedelta(seconds=self.seconds),
        )

    def load(self) -> Credentials:
        self.loads += 1
        if self.error is not None:
            raise self.error
        if self.lifetime_seconds is None:
            return Credentials()
        lifetime = timedelta(seconds=self.lifetime_seconds)
        return Credentials(expires_at=BEGAN + timedelta(seconds=self.seconds) + lifetime)

    async def loads_at(self, *seconds: float) -> list[int]:
        """How often credentials were loaded in all, after a request at each of these moments."""
        loads = list[int]()
        for self.seconds in seconds:
            await self.access.credentials()
            loads.append(self.loads)
        return loads


@pytest.mark.parametrize(
    ("lifetime_seconds", "renewed_after"), [(3600, 3540), (300, 240), (100, 80), (0, 10), (-60, 10)]
)
def test_credentials_are_renewed_a_minute_or_a_fifth_of_their_life_early(
    lifetime_seconds: float, renewed_after: float
) -> None:
    before, after = (Plugin(lifetime_seconds=lifetime_seconds) for _ in range(2))

    assert asyncio.run(before.loads_at(0, renewed_after - 0.01)) == [1, 1]
    assert asyncio.run(after.loads_at(0, renewed_after, renewed_after + 1)) == [1, 2, 2]


def test_a_failed_renewal_is_repeated_after_ten_seconds() -> None:
    async def main() -> None:
        plugin = Plugin(lifetime_seconds=3600)
        assert await plugin.loads_at(0) == [1]
        plugin.error = ConfigurationError("gone")
        assert await plugin.loads_at(3540, 3549.99, 3550, 3559.99) == [2, 2, 3, 3]

    asyncio.run(main())


def test_files_are_checked_once_a_second(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "token"
        file.write_text("old")
        plugin = Plugin(file=file)
        assert await plugin.loads_at(0, 10, 10.5) == [1, 1, 1]
        file.write_text("another")
        assert await plugin.loads_at(10.99, 11) == [1, 2]

    asyncio.run(main())
