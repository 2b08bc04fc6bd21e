"""A connection that is accepted while its server ends is closed like any other."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web

from streams.listening import stop_serving

TURNS = 8


@pytest.mark.parametrize("turns", range(TURNS))
def test_whoever_came_in_meanwhile_is_hung_up_on(turns: int) -> None:
    async def come_and_go() -> bytes:
        runner = web.ServerRunner(web.Server(unasked), shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        with socket.create_connection(runner.addresses[0][:2]) as client:
            client.setblocking(False)
            for _ in range(turns):
                await asyncio.sleep(0)
            await stop_serving(runner)
            try:
                async with asyncio.timeout(5):
                    return await asyncio.get_running_loop().sock_recv(client, 1)
            except ConnectionResetError:  # never accepted
                return b""

    assert asyncio.run(come_and_go()) == b""


async def unasked(_: web.BaseRequest) -> web.Response:
    raise AssertionError("nothing was asked")
