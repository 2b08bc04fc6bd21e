"""An HTTP server's socket: no connection that it has accepted stays open at the end.

Over TLS a connection is the server's once its handshake is done.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

_TURNS = 2
"""So often the loop turns until what was just accepted is a connection that the server knows of."""


def cause_of(error: OSError) -> str:
    """Why nobody can listen there, or write there, in the system's own words."""
    # A name that does not resolve has a number of its own, below zero.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a server so that its protocols know of all that was accepted.

    A connection accepted just before ``close`` would belong to nobody, and stay open: asyncio gives up on it without
    a word (``BaseSelectorEventLoop._accept_connection2``). So accepting ends first.
    """
    loop = asyncio.get_running_loop()
    for socket in server.sockets:
        loop.remove_reader(socket.fileno())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    server.close()


class Listener:
    """Lets a runner's server listen, until it is stopped."""

    def __init__(self, runner: web.BaseRunner) -> None:
        self._runner = runner
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the port. Raises OSError where that cannot be."""
        await self._runner.setup()
        loop, protocols = asyncio.get_running_loop(), self._runner.server
        if protocols is None:
            raise AssertionError("a runner that is set up has a server")
        self._server = await loop.create_server(protocols, host, port, ssl=tls)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more; answers under way have the runner's ``shutdown_timeout``.

        Over TLS a connection that is closed waits for its peer to say so, too: those are not waited for.
        """
        if self._server is not None:
            await stop_accepting(self._server)
        protocols = self._runner.server
        connections = [one.transport for one in protocols.connections] if protocols else []
        await self._runner.cleanup()
        for connection in connections:
            if connection is not None:
                connection.abort()
