"""Requests to one API server and watches on it: rate limited, bounded in size and time, with renewed credentials."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from streams.cluster.errors import (
    CredentialsRefusedError,
    IdleTimeoutError,
    ResponseTooLargeError,
    UnreachableError,
)
from streams.cluster.exchange import HttpExchange, HttpRequest, failure_text, open_connections
from streams.cluster.response import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from operators.flow.clock import Clock
    from operators.flow.histogram import Histogram
    from streams.cluster.access import Access
    from streams.cluster.credentials import Credentials
    from streams.cluster.rate_limit import RateLimiter

REQUEST_CONNECTIONS = 256
"""Simultaneous requests: the unsettled writes of four pipelines, 64 each; further ones queue."""

RESPONSE_MAXIMUM_BYTES = 64 * 1024 * 1024
"""Room for a page of 500 objects of 128 KiB; an object is at most 1.5 MiB in etcd."""

STATUS_MAXIMUM_BYTES = 1024 * 1024
"""Of a response to a watch that is no stream: a Status is a few hundred bytes."""

CONNECT_TIMEOUT_SECONDS = 10.0
REQUEST_TIMEOUT_SECONDS = 30.0
LIST_TIMEOUT_SECONDS = 60.0
"""The server itself gives up on a request after 60 s (--request-timeout)."""

_UNAUTHORIZED = 401
_READING = frozenset({"GET", "HEAD"})


class Session:
    """One client of one API server, open while its ``async with`` block runs.

    Reads (GET, HEAD) and writes each have a rate limit; watches have none. Only a request refused with 401 is repeated:
    once, with renewed credentials. Requests and watches have connections of their own: watches stay open for minutes,
    and would occupy the connections that requests need.
    """

    def __init__(
        self,
        access: Access,
        *,
        reads: RateLimiter,
        writes: RateLimiter,
        user_agent: str,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self.access = access
        self._reads = reads
        self._writes = writes
        self._user_agent = user_agent
        server = URL(access.server)
        self._exchange = HttpExchange(server=f"{server.host}:{server.port}", clock=clock)
        self._requests: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    @property
    def requests_total(self) -> Mapping[tuple[str, int], int]:
        """Requests by verb and HTTP status; status 0 where no response came."""
        return self._exchange.requests_total

    @property
    def durations(self) -> Mapping[str, Histogram]:
        """Time to the headers of the responses, by verb; without waits for the client's own rate limit."""
        return self._exchange.durations

    async def __aenter__(self) -> Self:
        self._requests = open_connections(limit=REQUEST_CONNECTIONS, user_agent=self._user_agent)
        self._watches = open_connections(limit=0, user_agent=self._user_agent)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; requests in flight raise ``UnreachableError``."""
        requests, watches = self._requests, self._watches
        # Before the first await: a request that starts meanwhile must not use a session that is being closed.
        self._requests = self._watches = None
        for http in (requests, watches):
            if http is not None:
                await http.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        maximum_bytes: int = RESPONSE_MAXIMUM_BYTES,
    ) -> Response:
        """Send a request and read the whole response, whatever its status; ``path`` is percent-encoded.

        The time-out is 30 s, 60 s for the verb ``list``, not counting the wait for the rate limit. Raises
        ``UnreachableError``, ``CredentialsRefusedError``, ``ResponseTooLargeError``, and ``ConfigurationError`` where
        no credentials could be loaded yet.
        """
        if timeout_seconds is None:
            timeout_seconds = LIST_TIMEOUT_SECONDS if verb == "list" else REQUEST_TIMEOUT_SECONDS
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, sock_connect=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS)
        )
        request = HttpRequest(verb, method, self._url(path, query), headers or {}, body, timeout)
        limiter = self._reads if method in _READING else self._writes
        waited_seconds = await limiter.take()
        credentials = await self.access.credentials()
        response = await self._read(request, credentials, maximum_bytes=maximum_bytes)
        if response.status == _UNAUTHORIZED:
            credentials = await self.access.renew(credentials)
            waited_seconds += await limiter.take()
            response = await self._read(request, credentials, maximum_bytes=maximum_bytes)
            if response.status == _UNAUTHORIZED:
                raise self._refused(response)
        return Response(response.status, response.headers, response.body, waited_seconds)

    @asynccontextmanager
    async def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float,
        verb: str = "watch",
    ) -> AsyncGenerator[StreamedResponse]:
        """Open a response that the server does not end, once its headers have come; leaving closes its connection.

        ``idle_seconds`` is how long no byte may come. Raises what ``request`` raises, except for the size.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=idle_seconds
        )
        # Compressed, an event would wait in the server's compressor for the next one.
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        request = HttpRequest(verb, "GET", self._url(path, query), sent, None, timeout)
        credentials = await self.access.credentials()
        response = await self._open_watch(request, credentials)
        try:
            if response.status == _UNAUTHORIZED:
                response.close()
                credentials = await self.access.renew(credentials)
                response = await self._open_watch(request, credentials)
            streamed = StreamedResponse(
                response, server=self._exchange.server, idle_seconds=idle_seconds
            )
            if response.status == _UNAUTHORIZED:
                raise self._refused(await streamed.read_response())
            yield streamed
        finally:
            # Closed, not released: a connection with an unread stream cannot be reused.
            response.close()

    async def _open_watch(
        self, request: HttpRequest, credentials: Credentials
    ) -> aiohttp.ClientResponse:
        return await self._exchange.send(_opened(self._watches), request, credentials=credentials)

    async def _read(
        self, request: HttpRequest, credentials: Credentials, *, maximum_bytes: int
    ) -> Response:
        server = self._exchange.server
        response = await self._exchange.send(
            _opened(self._requests), request, credentials=credentials
        )
        async with response:
            if (response.content_length or 0) > maximum_bytes:
                raise _too_large(server, maximum_bytes)
            try:
                body = await _joined(
                    response.content.iter_any(), maximum_bytes=maximum_bytes, server=server
                )
            except (aiohttp.ClientError, OSError) as error:
                raise self._exchange.unreachable(error) from error
        return Response(response.status, response.headers, body)

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        encoded = f"?{urlencode(query)}" if query else ""
        return URL(f"{self.access.server}{path}{encoded}", encoded=True)

    def _refused(self, response: Response) -> CredentialsRefusedError:
        return CredentialsRefusedError(
            f"{self._exchange.server} refused the credentials of {self.access}: {response.message}"
        )


class StreamedResponse:
    """A response that is read while it grows: a watch, or a log that is followed. Its headers have come."""

    def __init__(
        self, response: aiohttp.ClientResponse, *, server: str, idle_seconds: float
    ) -> None:
        self._response = response
        self._server = server
        self._idle_seconds = idle_seconds

    @property
    def status(self) -> int:
        """The HTTP status; only with 200 are the chunks those of a stream."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; their lookup ignores case."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they come: a chunk may end anywhere, inside a line or a character.

        Ends where the server ends the response. Raises ``IdleTimeoutError`` when no byte came within the limit, and
        ``UnreachableError`` when the connection was cut off before the end.
        """
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError as error:
            raise IdleTimeoutError(
                f"{self._server}: no byte for {self._idle_seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{self._server}: {failure_text(error)}") from error

    async def read_body(self) -> bytes:
        """Read the whole body of a response that is no stream, such as an error's; at most 1 MiB.

        Raises what ``chunks`` raises, and ``ResponseTooLargeError``.
        """
        return await _joined(self.chunks(), maximum_bytes=STATUS_MAXIMUM_BYTES, server=self._server)

    async def read_response(self) -> Response:
        """Read a response that is no stream whole; raises what ``read_body`` raises."""
        return Response(self.status, self.headers, await self.read_body())


async def _joined(chunks: AsyncIterator[bytes], *, maximum_bytes: int, server: str) -> bytes:
    """Join chunks up to a bound. Raises ``ResponseTooLargeError`` beyond it."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > maximum_bytes:
            raise _too_large(server, maximum_bytes)
        parts.append(chunk)
    return b"".join(parts)


def _too_large(server: str, maximum_bytes: int) -> ResponseTooLargeError:
    return ResponseTooLargeError(f"{server}: a response of more than {maximum_bytes} bytes")


def _opened(http: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if http is None:
        raise RuntimeError("the session is used outside its 'async with'")
    return http
