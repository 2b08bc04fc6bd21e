"""The server's socket: HTTP in, answers and streams out. Only here is aiohttp."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from multidict import CIMultiDict

from demo.apiserver.answers import NoSuchPathError, RefusedError
from demo.apiserver.api import Api, Request, not_there
from demo.apiserver.bodies import MAXIMUM_BYTES
from demo.apiserver.faults import Cut, Faults
from demo.apiserver.replies import Reply, Stream
from streams.runtime.listening import Listener

if TYPE_CHECKING:
    import asyncio

AUDIT_ID = "Audit-ID"
SHUTDOWN_SECONDS = 1.0
"""What is still open then is cut: watches were ended before."""


class Wire:
    """Listens, and carries requests to the API and answers back."""

    def __init__(self, api: Api, faults: Faults, *, audit_id: Callable[[], str]) -> None:
        self._api = api
        self._faults = faults
        self._audit_id = audit_id
        self._listener: Listener | None = None

    async def listen(self, host: str, port: int, *, tls: ssl.SSLContext) -> int:
        """Listen; returns the port. Raises OSError where that cannot be."""
        server = web.Server(
            self._handle, request_factory=_request, handler_cancellation=True, access_log=None
        )
        self._listener = Listener(web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS))
        return await self._listener.start(host, port, tls=tls)

    async def close(self) -> None:
        """Listen no more, and cut what is still open."""
        if self._listener is not None:
            await self._listener.stop()
            self._listener = None

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = Request(request.method, request.raw_path, request.headers)
        headers = CIMultiDict({"Cache-Control": "no-cache, private"})
        headers[AUDIT_ID] = request.headers.get(AUDIT_ID) or self._audit_id()
        try:
            answer = await self._answer(request, asked)
        except RefusedError as refused:
            answer = Reply(refused.body(), refused.code, headers=refused.headers)
        except NoSuchPathError:
            answer = not_there()
        except Cut:
            cast("Any", request.transport).abort()
            return web.Response()
        if isinstance(answer, Stream):
            return await self._stream(request, answer, headers)
        headers.extend(answer.headers)
        headers.extend([("Warning", f'299 - "{_quoted(one)}"') for one in answer.warnings])
        headers["Content-Type"] = answer.content_type
        return web.Response(body=answer.body, status=answer.code, headers=headers)

    async def _answer(self, request: web.BaseRequest, asked: Request) -> Reply | Stream:
        user = self._api.user(asked)
        fault = await self._faults.before(asked)
        try:
            body = await request.read() if request.can_read_body else b""
        except web.HTTPRequestEntityTooLarge:
            raise _too_large() from None
        answer = self._api.answer(asked, body, user=user)
        return fault.changed(answer) if fault is not None else answer

    async def _stream(
        self, request: web.BaseRequest, stream: Stream, headers: CIMultiDict[str]
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
        except Cut:
            cast("Any", request.transport).abort()
        return response


def _request(*parts: Any) -> web.BaseRequest:  # noqa: ANN401 - as aiohttp hands them on
    message, payload, protocol, writer, task = parts
    loop: asyncio.AbstractEventLoop = task.get_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=MAXIMUM_BYTES
    )


def _too_large() -> RefusedError:
    return RefusedError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "RequestEntityTooLarge",
        f"Request entity too large: limit is {MAXIMUM_BYTES}",
    )


def _quoted(text: str) -> str:
    """A warning's text as its header holds it."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
