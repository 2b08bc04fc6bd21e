"""One HTTP exchange with the API server: its connections, its failures in words, and the counts of all exchanges."""

from __future__ import annotations

import asyncio
import os
import socket
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from multidict import CIMultiDict

from operators.flow.histogram import Histogram
from streams.cluster.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from operators.flow.clock import Clock
    from streams.cluster.credentials import Credentials

HEADERS_TIMEOUT_SECONDS = 30.0
"""For a watch, which has no time-out in all: the server sends its headers at once, before the first event."""

NO_STATUS = 0
"""Placeholder for the status in ``requests_total`` where no response came."""

DURATION_BOUNDS_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""client-go, rest_client_request_duration_seconds (component-base/metrics/prometheus/restclient)."""

# What the official client takes from client-go: a dead peer is found within three minutes.
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9))

_FAILURES = (
    (TimeoutError, "no response in time"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before the response"),
    (aiohttp.ClientPayloadError, "the response was cut off"),
    (aiohttp.ClientResponseError, "the response is not HTTP"),
)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """All of a request but its credentials."""

    verb: str
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    timeout: aiohttp.ClientTimeout


class HttpExchange:
    """Sends requests; counts them by verb and status, and the time to the response's headers by verb."""

    def __init__(self, *, server: str, clock: Clock) -> None:
        self.server = server
        """Host and port, for messages."""
        self.requests_total: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.durations: defaultdict[str, Histogram] = defaultdict(
            lambda: Histogram(DURATION_BOUNDS_SECONDS)
        )
        self._clock = clock

    async def send(
        self, http: aiohttp.ClientSession, request: HttpRequest, *, credentials: Credentials
    ) -> aiohttp.ClientResponse:
        """Send a request and return once the headers of its response have come, whatever the status.

        Raises ``UnreachableError``.
        """
        began_ns = self._clock()
        status = NO_STATUS
        headers_seconds = None if request.timeout.total else HEADERS_TIMEOUT_SECONDS
        try:
            async with asyncio.timeout(headers_seconds):
                response = await http.request(
                    request.method,
                    request.url,
                    data=request.body,
                    headers=_headers(request, credentials),
                    timeout=request.timeout,
                    allow_redirects=False,
                    ssl=credentials.tls or True,
                    server_hostname=credentials.server_hostname,
                    proxy=credentials.proxy,
                )
            status = response.status
        except (aiohttp.ClientError, OSError) as error:
            raise self.unreachable(error) from error
        finally:
            # Cancelled requests count too: the server may have carried them out.
            self.requests_total[request.verb, status] += 1
            self.durations[request.verb].observe_ns(self._clock() - began_ns)
        return response

    def unreachable(self, error: BaseException) -> UnreachableError:
        """Return the error to raise for what the connection raised."""
        return UnreachableError(f"{self.server}: {failure_text(error)}")


def open_connections(*, limit: int, user_agent: str) -> aiohttp.ClientSession:
    """Make an HTTP session that adds nothing of its own: no cookies, no netrc, no environment.

    ``limit`` is the number of simultaneous connections, 0 for no limit. Needs a running loop.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=limit, socket_factory=_keepalive_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": user_agent},
        trust_env=False,
    )


def _keepalive_socket(address: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
    """Make a socket that notices a peer which vanished without closing; a proxy in between hides that."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, number in _KEEPALIVE:
        option = getattr(socket, name, None)
        if option is not None:
            made.setsockopt(socket.IPPROTO_TCP, option, number)
    return made


def _headers(request: HttpRequest, credentials: Credentials) -> CIMultiDict[str]:
    headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "gzip"})
    headers.update(request.headers)
    # No caller's header stands beside a header of the credentials, such as a second Authorization.
    for name, _ in credentials.headers:
        headers.popall(name, None)
    headers.extend(credentials.headers)
    return headers


def failure_text(error: BaseException) -> str:
    """Describe why a request failed; never with an address or a header of the request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy responded with {error.status}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _system_failure(error.os_error)
    for kind, text in _FAILURES:
        if isinstance(error, kind):
            return text
    return _system_failure(error) if isinstance(error, OSError) else type(error).__name__


def _system_failure(error: OSError) -> str:
    """Prefer the system's text: asyncio's own is ``Connect call failed`` for every cause."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
