"""The listening socket of an HTTP server; no connection that it accepted is left open when it stops.

Over TLS a connection is the server's once its handshake is done.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

    from aiohttp import web

_ACCEPT_ITERATIONS = 2
"""Loop iterations until an accepted connection has its protocol (asyncio, ``BaseSelectorEventLoop``)."""


def system_message(error: OSError) -> str:
    """Return the system's own text of an error, without what Python or asyncio put around it."""
    # getaddrinfo has error numbers of its own, below zero, that strerror does not know.
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


async def stop_accepting(server: asyncio.Server) -> None:
    """Close a server after every connection it accepted has been given to its protocols.

    asyncio silently drops a connection that was accepted just before ``close``, and leaves it open
    (``BaseSelectorEventLoop._accept_connection2``). So accepting is ended first, then the loop is given the iterations
    that an accepted connection needs.
    """
    loop = asyncio.get_running_loop()
    for socket in server.sockets:
        loop.remove_reader(socket.fileno())
    for _ in range(_ACCEPT_ITERATIONS):
        await asyncio.sleep(0)
    server.close()


class Listener:
    """Binds the server of an aiohttp runner to an address until it is stopped."""

    def __init__(self, runner: web.BaseRunner) -> None:
        self._runner = runner
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> int:
        """Listen; return the port. Raises ``OSError`` where the address cannot be bound."""
        await self._runner.setup()
        loop, protocols = asyncio.get_running_loop(), self._runner.server
        if protocols is None:
            raise AssertionError("a runner that is set up has a server")
        self._server = await loop.create_server(protocols, host, port, ssl=tls)
        return self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close all connections; responses in progress have the runner's ``shutdown_timeout``.

        Over TLS, closing waits for the peer's close_notify, which a peer may never send: what is still open after the
        time-out is aborted.
        """
        if self._server is not None:
            await stop_accepting(self._server)
        protocols = self._runner.server
        # Before the cleanup, which makes the server forget its connections.
        connections = [one.transport for one in protocols.connections] if protocols else []
        await self._runner.cleanup()
        for connection in connections:
            if connection is not None:
                connection.abort()
