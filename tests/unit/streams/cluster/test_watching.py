"""Answers that grow: chunks as they come, silence, ends and breaks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from streams.cluster.access import Access
from streams.cluster.errors import IdleTimeoutError, ResponseTooLargeError, UnreachableError
from tests.unit.streams.cluster.servers import kubeconfig, serving, session, status

if TYPE_CHECKING:
    from pathlib import Path

    from streams.cluster.session import StreamedResponse


def _access(path: Path, server: str) -> Access:
    return Access.from_kubeconfig(kubeconfig(path / "config", server))


async def _read(watching: StreamedResponse, read: list[bytes]) -> None:
    async for chunk in watching.chunks():
        read.append(chunk)  # noqa: PERF401  what came before a break is looked at


def test_chunks_come_as_they_are_without_waiting_for_a_line(tmp_path: Path) -> None:
    parts = ['{"a": "né'.encode()[:-1], b'\xa9"}\n{"b"', b": 1}\n"]
    taken = asyncio.Queue[None]()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in parts:
            await response.write(part)
            await taken.get()  # the next part only once this one was read
        return response

    async def main() -> None:
        read: list[bytes] = []
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch("/", query={"watch": "1"}, idle_seconds=5) as watching,
        ):
            assert watching.status == 200
            async for chunk in watching.chunks():
                read.append(chunk)
                taken.put_nowait(None)
        assert read == parts

    asyncio.run(main())


def test_a_watch_requests_no_compression_and_passes_headers_on(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        assert request.headers["Accept"] == "application/json;as=PartialObjectMetadata"
        return web.Response(body=b"x", headers={"Audit-Id": "7"})

    async def main() -> None:
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch(
                "/",
                headers={"Accept": "application/json;as=PartialObjectMetadata"},
                idle_seconds=5,
            ) as watching,
        ):
            assert watching.headers["audit-id"] == "7"
            assert await watching.read_body() == b"x"

    asyncio.run(main())


def test_silence_beyond_the_limit_is_an_idle_timeout(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        read: list[bytes] = []
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch("/", idle_seconds=0.2) as watching,
        ):
            with pytest.raises(IdleTimeoutError, match=r"0\.2 s"):
                await _read(watching, read)
        assert read == [b"one\n"]

    asyncio.run(main())


def test_a_watch_cut_off_is_not_taken_for_its_end(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\ntw")
        assert request.transport is not None
        request.transport.close()
        return response

    async def main() -> None:
        read: list[bytes] = []
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch("/", idle_seconds=5) as watching,
        ):
            with pytest.raises(UnreachableError, match=r"127.0.0.1:\d+: "):
                await _read(watching, read)
        assert b"".join(read) == b"one\ntw"

    asyncio.run(main())


def test_an_error_answer_is_read_whole(tmp_path: Path) -> None:
    async def handler(_: web.BaseRequest) -> web.StreamResponse:
        answer = status(410, reason="Expired", message="too old resource version")
        answer.headers["Retry-After"] = "3"
        return answer

    async def main() -> None:
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch("/", idle_seconds=5) as watching,
        ):
            answer = await watching.read_response()
        assert (answer.status, answer.reason) == (410, "Expired")
        assert answer.message == "too old resource version"
        assert answer.retry_after_seconds == 3.0

    asyncio.run(main())


def test_an_error_answer_without_end_is_refused(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"x" * 65_536)
        return response

    async def main() -> None:
        async with (
            serving(handler) as server,
            session(_access(tmp_path, server)) as client,
            client.watch("/", idle_seconds=5) as watching,
        ):
            with pytest.raises(ResponseTooLargeError):
                await watching.read_body()

    asyncio.run(main())


def test_leaving_a_watch_closes_its_connection(tmp_path: Path) -> None:
    async def main() -> None:
        gone = asyncio.Event()

        async def handler(request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            try:
                while True:
                    await response.write(b"line\n")
                    await asyncio.sleep(0.01)
            finally:
                gone.set()

        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            async with client.watch("/", idle_seconds=5) as watching:
                async for chunk in watching.chunks():
                    assert chunk
                    break
            async with asyncio.timeout(5):
                await gone.wait()

    asyncio.run(main())
