"""The connections to the API server: kept alive, and of two kinds that cannot starve each other."""

from __future__ import annotations

import socket
from typing import Any

import aiohttp

REQUEST_CONNECTIONS = 256
"""Requests at a time: the unsettled writes of four pipelines, 64 each; more wait their turn."""

CONNECT_TIMEOUT_SECONDS = 10.0

# What the official client takes from client-go: a dead peer is found within three minutes.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9))


def open_connections(*, limit: int, user_agent: str) -> aiohttp.ClientSession:
    """Make an HTTP session that adds nothing of its own: no cookies, no netrc, no environment.

    ``limit`` is the number of connections at a time, 0 for any. Needs a running loop.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, socket_factory=_kept_alive),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        trust_env=False,
    )


def _kept_alive(address: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """A peer that vanished without a word is found out, where no proxy answers in its place."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, number)
    return made
