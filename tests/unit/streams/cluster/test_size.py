"""How much of an answer is read, packed or not."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from streams.cluster.access import Access
from streams.cluster.errors import ResponseTooLargeError
from tests.unit.streams.cluster.servers import kubeconfig, serving, session

if TYPE_CHECKING:
    from pathlib import Path


def _access(path: Path, server: str) -> Access:
    return Access.from_kubeconfig(kubeconfig(path / "config", server))


@pytest.mark.parametrize("form", ["announced", "chunked", "compressed"])
def test_a_huge_answer_is_not_read_to_its_end(tmp_path: Path, form: str) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        if form == "announced":
            return web.Response(body=b"x" * 2_000_000)
        if form == "compressed":
            bomb = gzip.compress(bytes(50_000_000))
            return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})
        response = web.StreamResponse()
        await response.prepare(request)
        while request.transport is not None and not request.transport.is_closing():
            await response.write(b"x" * 65_536)
        return response

    async def main() -> None:
        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            with pytest.raises(ResponseTooLargeError, match="1000000"):
                await client.request("GET", "/", verb="list", maximum_bytes=1_000_000)

    asyncio.run(main())


def test_a_compressed_answer_is_unpacked(tmp_path: Path) -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "gzip"
        packed = gzip.compress(b'{"kind": "PodList"}')
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async def main() -> None:
        async with serving(handler) as server, session(_access(tmp_path, server)) as client:
            answer = await client.request("GET", "/", verb="list")
        assert answer.body == b'{"kind": "PodList"}'

    asyncio.run(main())
