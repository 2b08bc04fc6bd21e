"""The loop's side of the fault proxy: an exchange on its way to the API server and back."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from tests.cluster.exchanges import Choose, Exchange, Rules, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.exchanges import Predicate

LOG_LIMIT = 100_000
"""The exchanges remembered, the oldest forgotten first: minutes of the busiest test."""

OF_ONE_CONNECTION = frozenset(
    {"connection", "host", "keep-alive", "te", "transfer-encoding", "upgrade"}
)
"""Headers that are not passed on: they speak of the connection they came by."""


@dataclass(frozen=True, slots=True)
class Injected:
    """An answer the server never gave."""

    code: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Script:
    """What goes wrong at present."""

    injections: Rules[Injected] = field(default_factory=Rules[Injected])
    drops: Rules[bool] = field(default_factory=Rules[bool])
    cuts: Rules[Choose] = field(default_factory=Rules[Choose])
    delay_writes_seconds: float = 0.0
    stalled: Predicate | None = None


class Relay:
    """Answers every request with what the API server says, but for what the script says."""

    def __init__(
        self, script: Script, *, upstream: aiohttp.ClientSession, clock: Callable[[], float]
    ) -> None:
        self.exchanges: deque[Exchange] = deque(maxlen=LOG_LIMIT)
        self.moved = asyncio.Event()
        """Set whenever `script.stalled` has changed, for those who wait."""
        self._open: dict[int, tuple[Exchange, web.BaseRequest]] = {}
        self._script = script
        self._upstream = upstream
        self._clock = clock

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The whole of one exchange; the connection is closed where the answer is not whole."""
        query = dict(request.query)
        exchange = Exchange(
            method=request.method,
            path=request.path,
            query=query,
            headers=request.headers,
            kind=kind_of(request.method, request.path, query),
            started=self._clock(),
        )
        self.exchanges.append(exchange)
        self._open[id(exchange)] = (exchange, request)
        try:
            return await self._answer(request, exchange)
        except (aiohttp.ClientError, OSError):
            exchange.fault = "lost"
            return _no_answer(request)
        except asyncio.CancelledError:  # the client went away
            exchange.fault = exchange.fault or "lost"
            raise
        finally:
            exchange.ended = self._clock()
            del self._open[id(exchange)]

    def cut_open_watches(self) -> int:
        """End every watch that is open, in the middle of its answer; returns how many."""
        watches = [pair for pair in self._open.values() if pair[0].kind == "watch"]
        for exchange, request in watches:
            exchange.fault = "cut"
            _close(request)
        return len(watches)

    async def _answer(self, request: web.BaseRequest, exchange: Exchange) -> web.StreamResponse:
        body = await request.read()
        await self._passage(exchange)
        injected = self._script.injections.take(exchange)
        if injected is not None:
            exchange.status, exchange.fault = injected.code, "injected"
            return web.Response(status=injected.code, headers=injected.headers, body=injected.body)
        if exchange.kind == "write":
            await asyncio.sleep(self._script.delay_writes_seconds)
        async with self._upstream.request(
            request.method,
            URL(request.raw_path, encoded=True),
            headers=_passed_on(request.headers),
            data=body or None,
            allow_redirects=False,
        ) as answer:
            exchange.status = answer.status
            if self._script.drops.take(exchange):
                exchange.fault = "dropped"
                return _no_answer(request)
            return await self._pass_back(request, exchange, answer)

    async def _pass_back(
        self, request: web.BaseRequest, exchange: Exchange, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            status=answer.status, reason=answer.reason, headers=_passed_on(answer.headers)
        )
        if "Content-Length" not in answer.headers:
            response.enable_chunked_encoding()
        await self._passage(exchange)
        await response.prepare(request)
        choose = self._script.cuts.take(exchange) if exchange.kind == "watch" else None
        left = None if choose is None else choose()
        while left is None or exchange.answer_bytes < left:
            chunk = await answer.content.readany()
            if not chunk:
                await response.write_eof()
                return response
            await self._passage(exchange)
            part = chunk if left is None else chunk[: left - exchange.answer_bytes]
            await response.write(part)
            exchange.answer_bytes += len(part)
        exchange.fault = "cut"
        _close(request)
        return response

    async def _passage(self, exchange: Exchange) -> None:
        while (held := self._script.stalled) is not None and held(exchange):
            self.moved.clear()
            await self.moved.wait()


def _close(request: web.BaseRequest) -> None:
    """End the connection once what was written has gone out; aiohttp adds nothing to it."""
    if request.transport is not None:
        request.transport.close()


def _no_answer(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection; the answer that aiohttp asks for goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


def _passed_on(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(
        (name, text) for name, text in headers.items() if name.lower() not in OF_ONE_CONNECTION
    )
