"""The HTTP server: TLS socket, requests in, responses and streams out. The one module that imports aiohttp."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from multidict import CIMultiDict

from demo.apiserver.api import Api, Request, path_not_found
from demo.apiserver.bodies import MAXIMUM_BYTES
from demo.apiserver.errors import NoSuchPathError, StatusError
from demo.apiserver.faults import ConnectionCut, Faults
from demo.apiserver.responses import Response, StreamResponse
from streams.runtime.listening import Listener

AUDIT_ID = "Audit-ID"
GZIP_ABOVE_BYTES = 128 * 1024
GZIP_LEVEL = 1
"""Both as a genuine server's (apiserver, endpoints/handlers/responsewriters)."""

SHUTDOWN_SECONDS = 1.0
"""Connections still open then are closed; watches ended before."""


class HttpServer:
    """Listens on a TLS socket, and serves the API."""

    def __init__(self, api: Api, faults: Faults, *, audit_id: Callable[[], str]) -> None:
        self._api = api
        self._faults = faults
        self._audit_id = audit_id
        self._listener: Listener | None = None

    async def listen(self, host: str, port: int, *, tls: ssl.SSLContext) -> int:
        """Start listening, and return the port. Raises OSError."""
        server = web.Server(
            self._handle, request_factory=_request, handler_cancellation=True, access_log=None
        )
        self._listener = Listener(web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS))
        return await self._listener.start(host, port, tls=tls)

    async def close(self) -> None:
        """Stop listening, and close open connections."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        incoming = Request(request.method, request.raw_path, request.headers)
        headers = CIMultiDict({"Cache-Control": "no-cache, private"})
        headers[AUDIT_ID] = request.headers.get(AUDIT_ID) or self._audit_id()
        try:
            response = await self._respond(request, incoming)
        except StatusError as refused:
            response = Response(refused.body(), refused.code, headers=refused.headers)
        except NoSuchPathError:
            response = path_not_found()
        except ConnectionCut:
            cast("Any", request.transport).abort()
            return web.Response()
        if isinstance(response, StreamResponse):
            return await self._stream(request, response, headers)
        headers.extend(response.headers)
        headers.extend([("Warning", f'299 - "{_quoted(one)}"') for one in response.warnings])
        headers["Content-Type"] = response.content_type
        body = response.body
        if len(body) > GZIP_ABOVE_BYTES and _takes_gzip(request):
            # In a thread: a list of many megabytes would stall the loop. The response is complete, so nothing in it
            # can change meanwhile.
            body = await asyncio.to_thread(gzip.compress, body, GZIP_LEVEL)
            headers["Content-Encoding"] = "gzip"
            headers["Vary"] = "Accept-Encoding"
        return web.Response(body=body, status=response.code, headers=headers)

    async def _respond(
        self, request: web.BaseRequest, incoming: Request
    ) -> Response | StreamResponse:
        user = self._api.user(incoming)
        fault = await self._faults.before(incoming)
        try:
            body = await request.read() if request.can_read_body else b""
        except web.HTTPRequestEntityTooLarge:
            raise _too_large() from None
        response = self._api.respond(incoming, body, user=user)
        return fault.changed(response) if fault is not None else response

    async def _stream(
        self, request: web.BaseRequest, stream: StreamResponse, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        headers["Content-Type"] = stream.content_type
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            async with aclosing(cast("Any", stream.chunks)) as chunks:
                async for chunk in chunks:
                    if chunk:
                        await response.write(chunk)
            await response.write_eof()
        except ConnectionError:  # the client went away
            pass
        except ConnectionCut:
            cast("Any", request.transport).abort()
        return response


def _request(*parts: Any) -> web.BaseRequest:  # noqa: ANN401 - as aiohttp hands them on
    message, payload, protocol, writer, task = parts
    loop: asyncio.AbstractEventLoop = task.get_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=MAXIMUM_BYTES
    )


def _takes_gzip(request: web.BaseRequest) -> bool:
    """Return whether Accept-Encoding lists gzip; with a quality value it is ignored, as by a genuine server."""
    return "gzip" in map(str.strip, request.headers.get("Accept-Encoding", "").split(","))


def _too_large() -> StatusError:
    return StatusError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "RequestEntityTooLarge",
        f"Request entity too large: limit is {MAXIMUM_BYTES}",
    )


def _quoted(text: str) -> str:
    """Escape a warning for its header (RFC 7234, quoted-string)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
