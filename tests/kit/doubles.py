"""Doubles for the edges of a pipeline: a scripted API server behind the sink's own protocol."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from operators.flow.trace import Correlation
from sinks.writer import Answer, UnansweredError

OK = Answer(200, b'{"metadata":{}}')
CREATED = Answer(201, b'{"metadata":{}}')
UNANSWERED = Answer(0)
"""Stands for an answer that never came."""


class ScriptedWriter:
    """Gives the scripted answers in order, then ``200``; remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = deque(answers)
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.correlations: list[Correlation | None] = []
        self.gate: asyncio.Event | None = None
        """Where set, every request waits for it."""
        self.takes: Callable[[], None] = lambda: None
        """Called while a request is under way."""

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> Answer:
        self.bodies.append(body)
        return await self._answer("apply", f"{namespace}/{name}", correlation)

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        return await self._answer("read", f"{namespace}/{name}", correlation)

    async def remove(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        return await self._answer("remove", f"{namespace}/{name}", correlation)

    async def _answer(self, verb: str, name: str, correlation: Correlation | None) -> Answer:
        self.asked.append((verb, name))
        self.correlations.append(correlation)
        if self.gate is not None:
            await self.gate.wait()
        self.takes()
        answer = self.answers.popleft() if self.answers else OK
        if answer is UNANSWERED:
            raise UnansweredError("the connection broke")
        return answer
