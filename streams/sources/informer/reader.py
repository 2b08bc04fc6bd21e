"""What an informer needs of a client: complete answers, and answers that are read while they grow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Answer(Protocol):
    """One complete answer, of whatever status."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """All of it."""
        ...

    @property
    def retry_after_seconds(self) -> float | None:
        """When to come again; None if the server did not say."""
        ...


class Watching(Protocol):
    """One open answer."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """What comes, as it comes; raises a ``ClusterError`` where it breaks off."""
        ...

    async def answer(self) -> Answer:
        """The whole of an answer that is no stream."""
        ...


class Reader(Protocol):
    """The reading half of ``streams.cluster.session.Session``."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Ask, and read the whole answer; raises a ``ClusterError`` where none came."""
        ...

    def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float,
    ) -> AbstractAsyncContextManager[Watching]:
        """Open an answer without an end."""
        ...
