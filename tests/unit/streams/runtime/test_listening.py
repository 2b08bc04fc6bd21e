"""A connection that is accepted while its server ends is closed like any other."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from pathlib import Path

import pytest
from aiohttp import web

from streams.runtime.listening import Listener
from tests.unit.streams.cluster.servers import Certificates

TURNS = 8


@pytest.mark.parametrize("turns", range(TURNS))
def test_a_connection_accepted_while_stopping_is_closed(turns: int) -> None:
    async def come_and_go() -> bytes:
        listener = Listener(web.ServerRunner(web.Server(unasked), shutdown_timeout=0.1))
        port = await listener.start("127.0.0.1", 0)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setblocking(False)  # noqa: FBT003  the standard library's
            for _ in range(turns):
                await asyncio.sleep(0)
            await listener.stop()
            try:
                async with asyncio.timeout(5):
                    return await asyncio.get_running_loop().sock_recv(client, 1)
            except ConnectionResetError:  # never accepted
                return b""

    assert asyncio.run(come_and_go()) == b""


def test_a_peer_that_never_sends_close_notify_is_not_waited_for(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=certificates.path("ca.crt"))

    async def linger(client: socket.socket) -> ssl.SSLSocket:
        listener = Listener(web.ServerRunner(web.Server(unasked), shutdown_timeout=0.1))
        port = await listener.start("127.0.0.1", 0, tls=certificates.server_tls())

        def talk() -> ssl.SSLSocket:
            client.connect(("127.0.0.1", port))
            return trusting.wrap_socket(client, server_hostname="127.0.0.1")

        talking = await asyncio.to_thread(talk)
        await listener.stop()
        return talking

    with asyncio.run(linger(socket.socket())):
        gc.collect()  # what was left open says so now, and that is an error


async def unasked(_: web.BaseRequest) -> web.Response:
    raise AssertionError("nothing was asked")
