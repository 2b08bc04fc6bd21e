"""The requests of one event: each carries what it is found by, and is a mark on the timeline, answered or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from operators.flow.delivery import Ticket
from operators.flow.trace import Correlation
from sinks.writer import Answer, Writer

NO_ANSWER = 0
"""Stands for the status of an attempt that nobody answered."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one request leaves on an event's timeline."""

    method: str
    status: int = NO_ANSWER
    waited_seconds: float = 0.0
    """How much of its time the request waited for the client's own limit (``--qps``, ``--write-qps``)."""


class Asking:
    """One event's way to the API server; its methods are those of a ``Writer``."""

    __slots__ = ("_ticket", "_writer")

    def __init__(self, writer: Writer, ticket: Ticket) -> None:
        self._writer = writer
        self._ticket = ticket

    async def apply(self, namespace: str, name: str, *, body: bytes) -> Answer:
        """Server-side apply. Raises ``UnansweredError``."""
        writer = self._writer
        return await self._ask(
            "write", "PATCH", lambda it: writer.apply(namespace, name, body=body, correlation=it)
        )

    async def read(self, namespace: str, name: str) -> Answer:
        """GET. Raises ``UnansweredError``."""
        writer = self._writer
        return await self._ask(
            "read", "GET", lambda it: writer.read(namespace, name, correlation=it)
        )

    async def remove(self, namespace: str, name: str) -> Answer:
        """DELETE. Raises ``UnansweredError``."""
        writer = self._writer
        return await self._ask(
            "write", "DELETE", lambda it: writer.remove(namespace, name, correlation=it)
        )

    async def _ask(
        self, stage: str, method: str, send: Callable[[Correlation | None], Awaitable[Answer]]
    ) -> Answer:
        ticket, trace = self._ticket, self._ticket.trace
        attempt = Attempt(method)
        try:
            answer = await send(None if trace is None else trace.correlation(len(ticket.marks)))
            attempt = Attempt(method, answer.status, answer.waited_seconds)
        finally:
            ticket.mark(stage, attempt)
        return answer
