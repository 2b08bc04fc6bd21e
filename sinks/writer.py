"""What a sink needs of the API server: apply, read, remove. Sinks get this, not a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from operators.flow.trace import Correlation


class UnansweredError(Exception):
    """A request got no answer: it may or may not have been carried out."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said to one request."""

    status: int
    body: bytes = b""
    reason: str = ""
    """The Status' reason, empty where the answer was no Status (``text/plain`` of a missing kind)."""
    message: str = ""
    causes: tuple[str, ...] = ()
    """The reasons among the Status' causes: ``NamespaceTerminating``."""
    retry_after_seconds: float | None = None
    waited_seconds: float = 0.0
    """How long the client's own rate limit held the request back."""


class Writer(Protocol):
    """Requests on Observations; each raises ``UnansweredError`` where no answer came.

    A request carries its ``correlation``, if it has one, so that it is found again.
    """

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> Answer:
        """Server-side apply, forced, as the one field manager of this product."""
        ...

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        """GET one Observation."""
        ...

    async def remove(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        """DELETE one Observation."""
        ...
