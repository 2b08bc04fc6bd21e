"""Requests over real sockets: what is sent, what is counted, what is an error."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from aiohttp import web

from streams.cluster.access import Access
from streams.cluster.errors import UnreachableError
from streams.cluster.rate_limit import RateLimiter
from tests.unit.streams.cluster.servers import kubeconfig, serving, session, status


def _access(path: Path, server: str) -> Access:
    return Access.from_kubeconfig(kubeconfig(path / "config", server))


def _by_name(path: Path, server: str) -> Access:
    return _access(path, server.replace("127.0.0.1", "localhost"))  # no jar keeps an address's


async def _ok(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(body=b"{}", content_type="application/json")


def test_a_request_carries_path_query_body_and_headers(tmp_path: Path) -> None:
    seen: list[web.BaseRequest] = []
    bodies: list[bytes] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        bodies.append(await request.read())
        return web.Response(status=201, body=b'{"made": true}')

    async def main() -> None:
        async with (
            serving(handler) as server,
            session(_access(tmp_path, f"{server}/k8s/clusters/c-1/")) as client,
        ):
            answer = await client.request(
                "PATCH",
                "/api/v1/namespaces/a%3Ab/pods/x",
                verb="apply",
                query={"fieldManager": "zen streams", "labelSelector": "a=b,c!=d"},
                body=b"spec",
                headers={"Content-Type": "application/apply-patch+yaml", "Audit-ID": "7"},
            )
        assert (answer.status, answer.body) == (201, b'{"made": true}')
        assert answer.waited_seconds == 0.0

    asyncio.run(main())
    (request,) = seen
    assert request.method == "PATCH"
    assert request.raw_path == (
        "/k8s/clusters/c-1/api/v1/namespaces/a%3Ab/pods/x"
        "?fieldManager=zen+streams&labelSelector=a%3Db%2Cc%21%3Dd"
    )
    assert bodies == [b"spec"]
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["Audit-ID"] == "7"
    assert request.headers["Accept"] == "application/json"
    assert request.headers["User-Agent"] == "zen-streams/test"


def test_no_cookie_is_kept_no_redirect_followed_no_environment_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    seen: list[web.BaseRequest] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request)
        return web.Response(status=302, headers={"Location": "/b", "Set-Cookie": "a=b"})

    async def main() -> None:
        async with serving(handler) as server, session(_by_name(tmp_path, server)) as client:
            for _ in range(2):
                assert (await client.request("GET", "/a", verb="get")).status == 302

    asyncio.run(main())
    assert [request.path for request in seen] == ["/a", "/a"]
    assert not any("Cookie" in request.headers for request in seen)


def test_reads_and_writes_have_a_bucket_each_and_watches_none(tmp_path: Path) -> None:
    async def main() -> None:
        reads = RateLimiter(0.5, burst=1, clock=time.monotonic_ns)
        writes = RateLimiter(0.5, burst=1, clock=time.monotonic_ns)
        async with (
            serving(_ok) as server,
            session(_access(tmp_path, server), reads=reads, writes=writes) as client,
        ):
            assert (await client.request("GET", "/", verb="get")).waited_seconds == 0.0
            assert (await client.request("PATCH", "/", verb="apply")).waited_seconds == 0.0
            for _ in range(3):
                async with client.watch("/", idle_seconds=5) as watching:
                    assert watching.status == 200
            assert reads.waited_seconds_total == writes.waited_seconds_total == 0
            assert (await client.request("GET", "/", verb="list")).waited_seconds > 0
            assert reads.waited_seconds_total > 0
            assert writes.waited_seconds_total == 0

    asyncio.run(main())


def test_requests_are_counted_by_verb_and_status_and_timed_by_verb(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        return status(404 if request.path == "/missing" else 200)

    async def main() -> None:
        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            await client.request("GET", "/", verb="get")
            await client.request("GET", "/missing", verb="get")
            await client.request("DELETE", "/", verb="delete")
            async with client.watch("/", idle_seconds=5):
                pass
        async with session(_access(tmp_path, server)) as client_of_nobody:
            with pytest.raises(UnreachableError):
                await client_of_nobody.request("GET", "/", verb="get")
        assert dict(client.requests_total) == {
            ("get", 200): 1,
            ("get", 404): 1,
            ("delete", 200): 1,
            ("watch", 200): 1,
        }
        assert {verb: counts.count for verb, counts in client.durations.items()} == {
            "get": 2,
            "delete": 1,
            "watch": 1,
        }
        assert dict(client_of_nobody.requests_total) == {("get", 0): 1}

    asyncio.run(main())


def test_a_refused_connection_names_the_place_and_the_cause(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def main() -> None:
        async with session(_access(tmp_path, f"http://127.0.0.1:{port}")) as client:
            with pytest.raises(UnreachableError, match=rf"^127.0.0.1:{port}: .*refused"):
                await client.request("GET", "/", verb="get", query={"secret": "s3cret"})
            with pytest.raises(UnreachableError):
                async with client.watch("/", idle_seconds=5):
                    pass

    asyncio.run(main())


def test_an_answer_that_does_not_come_in_time_is_unreachable(tmp_path: Path) -> None:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            with pytest.raises(UnreachableError, match="no response in time"):
                await client.request("GET", "/", verb="get", timeout_seconds=0.1)

    asyncio.run(main())


def test_an_answer_cut_short_is_unreachable(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    async def main() -> None:
        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            with pytest.raises(UnreachableError):
                await client.request("GET", "/", verb="get")

    asyncio.run(main())


def test_more_than_a_hundred_watches_leave_room_for_requests(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/watch":
            return web.Response()
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            watches = [client.watch("/watch", idle_seconds=30) for _ in range(120)]
            await asyncio.gather(*(watch.__aenter__() for watch in watches))
            assert (await client.request("GET", "/", verb="get", timeout_seconds=5)).status == 200
            for watch in watches:
                await watch.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_session_is_used_inside_its_async_with(tmp_path: Path) -> None:
    async def main() -> None:
        client = session(_access(tmp_path, "http://127.0.0.1:1"))
        with pytest.raises(RuntimeError, match="async with"):
            await client.request("GET", "/", verb="get")

    asyncio.run(main())


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="asks the Linux kernel")
def test_connections_are_probed_by_the_kernel(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch("/", idle_seconds=5),
        ):
            assert _timers(port=int(server.rpartition(":")[2])) == ["02"]  # keepalive

    asyncio.run(main())


def _timers(*, port: int) -> list[str]:
    """Which kernel timers run for the open connections to a port."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    peer, established = f":{port:04X}", "01"
    return [row[5][:2] for row in rows if row[2].endswith(peer) and row[3] == established]
