"""An answer that is read while it grows: the chunks of a watch, or of a log that is followed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from streams.cluster.answer import Answer
from streams.cluster.errors import IdleTimeoutError, TooLargeAnswerError, UnreachableError
from streams.cluster.wire import cause

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ERROR_MAXIMUM_BYTES = 1024 * 1024
"""A Status is a few hundred bytes; what is larger is no answer of an API server."""


class Watching:
    """One open answer; the headers have come, the body is still to be read."""

    def __init__(
        self, response: aiohttp.ClientResponse, *, place: str, idle_seconds: float
    ) -> None:
        self._response = response
        self._place = place
        self._idle_seconds = idle_seconds

    @property
    def status(self) -> int:
        """The HTTP status; only 200 is followed by chunks worth reading."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, read without regard to case."""
        return self._response.headers

    async def chunks(self) -> AsyncIterator[bytes]:
        """What comes, as it comes: a chunk may end anywhere, inside a line or a character.

        Ends where the server ends the answer. Raises ``IdleTimeoutError`` when nothing came for the
        limit, and ``UnreachableError`` when the connection broke off before the end.
        """
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except TimeoutError as error:
            raise IdleTimeoutError(
                f"{self._place}: not a byte for {self._idle_seconds:g} s"
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UnreachableError(f"{self._place}: {cause(error)}") from error

    async def body(self) -> bytes:
        """The whole body of an answer that is no stream, such as an error's; at most 1 MiB.

        Raises as ``chunks`` does, and ``TooLargeAnswerError``.
        """
        return await bounded(self.chunks(), maximum_bytes=ERROR_MAXIMUM_BYTES, place=self._place)

    async def answer(self) -> Answer:
        """The status, headers and body of an answer that is no stream; raises as ``body`` does."""
        return Answer(self.status, self.headers, await self.body())


async def bounded(chunks: AsyncIterator[bytes], *, maximum_bytes: int, place: str) -> bytes:
    """Join chunks up to a bound. Raises ``TooLargeAnswerError`` beyond it."""
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > maximum_bytes:
            raise TooLargeAnswerError(f"{place}: an answer of more than {maximum_bytes} bytes")
        parts.append(chunk)
    return b"".join(parts)
