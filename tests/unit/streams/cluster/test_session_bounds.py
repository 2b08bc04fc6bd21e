"""The bounds of a session, each at its own number: time-outs, sizes, connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest
from aiohttp import web

from streams.cluster.credentials import Credentials
from streams.cluster.errors import ResponseTooLargeError, UnreachableError
from streams.cluster.exchange import DURATION_BOUNDS_SECONDS
from tests.unit.streams.cluster.servers import serving, session
from tests.unit.streams.cluster.virtual import VirtualLoop, run

if TYPE_CHECKING:
    from streams.cluster.access import Access
    from streams.cluster.session import Session

MIB = 1024 * 1024


class Open:
    """A server's address, and no credentials: nothing is loaded in a thread, so that a virtual loop may be used."""

    def __init__(self, server: str) -> None:
        self.server = server

    async def credentials(self) -> Credentials:
        return Credentials()


@asynccontextmanager
async def client_of(server: str) -> AsyncGenerator[Session]:
    async with session(cast("Access", Open(server))) as client:
        yield client


async def silent(_: web.BaseRequest) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize(("verb", "seconds"), [("get", 30), ("apply", 30), ("list", 60)])
def test_a_request_without_response_fails_after(verb: str, seconds: int) -> None:
    async def main(loop: VirtualLoop) -> float:
        async with serving(silent) as server, client_of(server) as client:
            with pytest.raises(UnreachableError, match="no response in time"):
                await client.request("GET", "/", verb=verb)
            return loop.time()

    assert run(main) == pytest.approx(seconds, abs=0.01)


def test_a_watch_without_headers_fails_after_thirty_seconds() -> None:
    async def main(loop: VirtualLoop) -> float:
        async with serving(silent) as server, client_of(server) as client:
            with pytest.raises(UnreachableError, match="no response in time"):
                async with client.watch("/", idle_seconds=300):
                    pass
            return loop.time()

    assert run(main) == pytest.approx(30, abs=0.01)


@pytest.fixture
def unaccepting() -> Iterator[str]:
    """A port whose queue of connections is full: the kernel drops further ones, as a firewall does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(8)]
        for one in waiting:
            one.setblocking(False)  # noqa: FBT003  the standard library's
            one.connect_ex(("127.0.0.1", port))
        yield f"http://127.0.0.1:{port}"
        for one in waiting:
            one.close()


def test_a_connection_that_is_not_accepted_fails_after_ten_seconds(unaccepting: str) -> None:
    async def main(loop: VirtualLoop) -> tuple[float, float]:
        async with client_of(unaccepting) as client:
            with pytest.raises(UnreachableError):
                await client.request("GET", "/", verb="get")
            first = loop.time()
            with pytest.raises(UnreachableError):
                await client.watch("/", idle_seconds=300).__aenter__()
            return first, loop.time() - first

    assert run(main) == pytest.approx((10, 10), abs=0.01)


@pytest.mark.parametrize(
    ("size", "error"),
    [(64 * MIB, UnreachableError), (64 * MIB + 1, ResponseTooLargeError)],
)
def test_a_response_of_more_than_64_mib_is_refused(size: int, error: type[Exception]) -> None:
    async def cut_off(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        assert request.transport is not None
        request.transport.close()  # announced is enough
        return response

    async def main() -> None:
        async with serving(cut_off) as server, client_of(server) as client:
            with pytest.raises(error):
                await client.request("GET", "/", verb="list")

    asyncio.run(main())


def test_an_error_response_to_a_watch_is_read_up_to_one_mib() -> None:
    async def refusing(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=500, body=b"x" * int(request.path[1:]))

    async def main() -> None:
        async with serving(refusing) as server, client_of(server) as client:
            async with client.watch(f"/{MIB}", idle_seconds=5) as watching:
                assert len((await watching.read_response()).body) == MIB
            async with client.watch(f"/{MIB + 1}", idle_seconds=5) as watching:
                with pytest.raises(ResponseTooLargeError, match="1048576"):
                    await watching.read_response()

    asyncio.run(main())


def test_256_requests_are_sent_at_a_time() -> None:
    in_progress, full, released = 0, asyncio.Event(), asyncio.Event()

    async def held(_: web.BaseRequest) -> web.StreamResponse:
        nonlocal in_progress
        in_progress += 1
        if in_progress == 256:
            full.set()
        await released.wait()
        return web.Response()

    async def main() -> None:
        async with (
            serving(held) as server,
            client_of(server) as client,
            asyncio.TaskGroup() as all_,
        ):
            for _ in range(260):
                all_.create_task(client.request("GET", "/", verb="get"))
            async with asyncio.timeout(10):
                await full.wait()
            await asyncio.sleep(0.1)
            assert in_progress == 256
            released.set()
        assert in_progress == 260

    asyncio.run(main())


def test_durations_have_the_buckets_of_client_go() -> None:
    assert (
        *(0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0),
    ) == DURATION_BOUNDS_SECONDS
