"""Requests to one API server: limited, bounded, and let in by credentials that stay fresh."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from streams.cluster.answer import Answer
from streams.cluster.connections import (
    CONNECT_TIMEOUT_SECONDS,
    REQUEST_CONNECTIONS,
    open_connections,
)
from streams.cluster.errors import CredentialsRefusedError, TooLargeAnswerError
from streams.cluster.watching import Watching, bounded
from streams.cluster.wire import Call, Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from operators.flow.clock import Clock
    from streams.cluster.access import Access
    from streams.cluster.credentials import Credentials
    from streams.cluster.durations import DurationCounts
    from streams.cluster.limits import Bucket

ANSWER_MAXIMUM_BYTES = 64 * 1024 * 1024
"""Room for a page of 500 objects of 128 KiB; an object is at most 1.5 MiB in etcd."""

TIMEOUT_SECONDS = 30.0
LIST_TIMEOUT_SECONDS = 60.0
"""The server itself gives up on a request after 60 s (--request-timeout)."""

_UNAUTHORIZED = 401
_READING = frozenset({"GET", "HEAD"})


class Session:
    """One client of one API server, for as long as ``async with`` holds it.

    Reads (GET, HEAD) and writes take from a bucket each; watches from none. Nothing is asked twice
    but what was refused with 401: once more, with renewed credentials.
    """

    def __init__(
        self,
        access: Access,
        *,
        reads: Bucket,
        writes: Bucket,
        user_agent: str,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self.access = access
        self._reads = reads
        self._writes = writes
        self._user_agent = user_agent
        self._server = URL(access.server)
        self._wire = Wire(place=f"{self._server.host}:{self._server.port}", clock=clock)
        self._requests: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    @property
    def requests_total(self) -> Mapping[tuple[str, int], int]:
        """How many requests, by verb and HTTP status; status 0 where no answer came."""
        return self._wire.requests_total

    @property
    def durations(self) -> Mapping[str, DurationCounts]:
        """How long it took to the headers of the answers, by verb; without waits for a token."""
        return self._wire.durations

    async def __aenter__(self) -> Self:
        self._requests = open_connections(limit=REQUEST_CONNECTIONS, user_agent=self._user_agent)
        self._watches = open_connections(limit=0, user_agent=self._user_agent)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; whoever still waits for an answer gets ``UnreachableError``."""
        requests, watches = self._requests, self._watches
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
        maximum_bytes: int = ANSWER_MAXIMUM_BYTES,
    ) -> Answer:
        """Ask, and read the whole answer, whatever its status; ``path`` is percent-encoded.

        The time-out is 30 s, 60 s for the verb ``list``, without the wait for a token. Raises
        ``UnreachableError``, ``CredentialsRefusedError``, ``TooLargeAnswerError``, and
        ``ConfigurationError`` where there are no credentials to begin with.
        """
        if timeout_seconds is None:
            timeout_seconds = LIST_TIMEOUT_SECONDS if verb == "list" else TIMEOUT_SECONDS
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds, sock_connect=min(timeout_seconds, CONNECT_TIMEOUT_SECONDS)
        )
        call = Call(verb, method, self._url(path, query), headers or {}, body, timeout)
        bucket = self._reads if method in _READING else self._writes
        waited_seconds = await bucket.take()
        credentials = await self.access.credentials()
        answer = await self._exchange(call, credentials, maximum_bytes=maximum_bytes)
        if answer.status == _UNAUTHORIZED:
            credentials = await self.access.renew(credentials)
            waited_seconds += await bucket.take()
            answer = await self._exchange(call, credentials, maximum_bytes=maximum_bytes)
            if answer.status == _UNAUTHORIZED:
                raise self._refused(answer)
        return Answer(answer.status, answer.headers, answer.body, waited_seconds)

    @asynccontextmanager
    async def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float,
        verb: str = "watch",
    ) -> AsyncGenerator[Watching]:
        """Open an answer without an end, once its headers have come; leaving closes its connection.

        ``idle_seconds`` is how long no byte may come. Raises as ``request`` does, but for the size.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=idle_seconds
        )
        asked = {"Accept-Encoding": "identity", **(headers or {})}
        call = Call(verb, "GET", self._url(path, query), asked, None, timeout)
        credentials = await self.access.credentials()
        response = await self._wire.head(_open(self._watches), call, credentials=credentials)
        try:
            if response.status == _UNAUTHORIZED:
                response.close()
                credentials = await self.access.renew(credentials)
                response = await self._wire.head(
                    _open(self._watches), call, credentials=credentials
                )
            watching = Watching(response, place=self._wire.place, idle_seconds=idle_seconds)
            if response.status == _UNAUTHORIZED:
                raise self._refused(await watching.answer())
            yield watching
        finally:
            response.close()

    async def _exchange(
        self, call: Call, credentials: Credentials, *, maximum_bytes: int
    ) -> Answer:
        response = await self._wire.head(_open(self._requests), call, credentials=credentials)
        async with response:
            if (response.content_length or 0) > maximum_bytes:
                raise TooLargeAnswerError(
                    f"{self._wire.place}: an answer of more than {maximum_bytes} bytes"
                )
            try:
                body = await bounded(
                    response.content.iter_any(),
                    maximum_bytes=maximum_bytes,
                    place=self._wire.place,
                )
            except (aiohttp.ClientError, OSError) as error:
                raise self._wire.unreachable(error) from error
        return Answer(response.status, response.headers, body)

    def _url(self, path: str, query: Mapping[str, str] | None) -> URL:
        asked = f"?{urlencode(query)}" if query else ""
        return URL(f"{self.access.server}{path}{asked}", encoded=True)

    def _refused(self, answer: Answer) -> CredentialsRefusedError:
        return CredentialsRefusedError(
            f"{self._wire.place} refused the credentials of {self.access}: {answer.message}"
        )


def _open(http: aiohttp.ClientSession | None) -> aiohttp.ClientSession:
    if http is None:
        raise RuntimeError("the session is used outside its 'async with'")
    return http
