"""Doubles for the edges of a pipeline: a scripted API server behind the executor's own protocol."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from operators.flow.trace import Correlation
from sinks.responses import UnansweredError, WriteResponse

OK = WriteResponse(200, b'{"metadata":{}}')
CREATED = WriteResponse(201, b'{"metadata":{}}')
UNANSWERED = WriteResponse(0)
"""Stands for a response that never came."""


class ScriptedWriter:
    """Gives the scripted responses in order, then ``200``; remembers what was asked."""

    def __init__(self, *responses: WriteResponse) -> None:
        self.answers = deque(responses)
        self.asked: list[tuple[str, str]] = []
        """The verb and ``namespace/name`` of each request."""
        self.bodies: list[bytes] = []
        self.correlations: list[Correlation | None] = []
        self.gate: asyncio.Event | None = None
        """Where set, every request waits for it."""
        self.takes: Callable[[], None] = lambda: None
        """Called while a request is under way."""

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> WriteResponse:
        self.bodies.append(body)
        return await self._respond("apply", f"{namespace}/{name}", correlation)

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        return await self._respond("read", f"{namespace}/{name}", correlation)

    async def delete(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        return await self._respond("delete", f"{namespace}/{name}", correlation)

    async def _respond(
        self, verb: str, name: str, correlation: Correlation | None
    ) -> WriteResponse:
        self.asked.append((verb, name))
        self.correlations.append(correlation)
        if self.gate is not None:
            await self.gate.wait()
        self.takes()
        response = self.answers.popleft() if self.answers else OK
        if response is UNANSWERED:
            raise UnansweredError("the connection broke")
        return response
