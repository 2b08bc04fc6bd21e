"""One HTTP exchange with the API server, and the counts of all of them."""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from multidict import CIMultiDict

from operators.flow.clock import NANOSECONDS_PER_SECOND
from streams.cluster.durations import DurationCounts
from streams.cluster.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from operators.flow.clock import Clock
    from streams.cluster.credentials import Credentials

HEADERS_TIMEOUT_SECONDS = 30.0
"""The server answers a watch at once, before it has anything to tell."""

NO_ANSWER = 0
"""Stands for the status in ``requests_total`` where none came."""

_WORDS = (
    (TimeoutError, "no answer in time"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before the answer"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (aiohttp.ClientResponseError, "what came is no HTTP answer"),
)


@dataclass(frozen=True, slots=True)
class Call:
    """All of a request but its credentials."""

    verb: str
    method: str
    url: URL
    headers: Mapping[str, str]
    body: bytes | None
    timeout: aiohttp.ClientTimeout


class Wire:
    """Sends calls, and counts them by verb and status, and the time to the headers by verb."""

    def __init__(self, *, place: str, clock: Clock) -> None:
        self.place = place
        self.requests_total: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.durations: defaultdict[str, DurationCounts] = defaultdict(DurationCounts)
        self._clock = clock

    async def head(
        self, http: aiohttp.ClientSession, call: Call, *, credentials: Credentials
    ) -> aiohttp.ClientResponse:
        """Send a call and return once the headers of its answer are here, whatever the status.

        Raises ``UnreachableError``.
        """
        began_ns = self._clock()
        status = NO_ANSWER
        try:
            async with asyncio.timeout(HEADERS_TIMEOUT_SECONDS if not call.timeout.total else None):
                response = await http.request(
                    call.method,
                    call.url,
                    data=call.body,
                    headers=_headers(call, credentials),
                    timeout=call.timeout,
                    allow_redirects=False,
                    ssl=credentials.tls or True,
                    server_hostname=credentials.server_hostname,
                    proxy=credentials.proxy,
                )
            status = response.status
        except (aiohttp.ClientError, OSError) as error:
            raise self.unreachable(error) from error
        finally:
            self.requests_total[call.verb, status] += 1
            self.durations[call.verb].add((self._clock() - began_ns) / NANOSECONDS_PER_SECOND)
        return response

    def unreachable(self, error: BaseException) -> UnreachableError:
        """The error to raise for what the connection raised."""
        return UnreachableError(f"{self.place}: {cause(error)}")


def _headers(call: Call, credentials: Credentials) -> CIMultiDict[str]:
    headers = CIMultiDict({"Accept": "application/json", "Accept-Encoding": "gzip"})
    headers.update(call.headers)
    for name, _ in credentials.headers:
        headers.popall(name, None)
    headers.extend(credentials.headers)
    return headers


def cause(error: BaseException) -> str:
    """What happened, in words: never an address or a header of the request."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorError):
        return _system_cause(error.os_error)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return _system_cause(error) if isinstance(error, OSError) else type(error).__name__


def _system_cause(error: OSError) -> str:
    """The system's own words where it has any: asyncio says ``Connect call failed`` of all."""
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
