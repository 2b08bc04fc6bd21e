"""The end of an HTTP server: nothing that was accepted stays open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web

_TURNS = 3
"""So often the loop turns until a connection that was just accepted is the server's (asyncio.selector_events)."""


async def stop_serving(runner: web.BaseRunner) -> None:
    """Listen no more, and close every connection; answers under way have the runner's ``shutdown_timeout``.

    aiohttp closes what is connected when it looks: a connection accepted in that very moment would live on.
    """
    server = runner.server
    await runner.cleanup()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    if server is not None:
        await server.shutdown(0)
