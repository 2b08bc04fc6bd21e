"""Faults that tests inject into chosen requests: refusal, cut connection, delay, duplicate lines, expired history."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import msgspec

from demo.apiserver.api import Request
from demo.apiserver.errors import TOO_OLD, StatusError, expired
from demo.apiserver.responses import Response, StreamResponse


class ConnectionCut(Exception):  # noqa: N818 - the connection ends here, on purpose
    """The connection is to be closed without a response."""


class What(StrEnum):
    """The kinds of faults."""

    REFUSE = "refuse"
    """The request is refused with `code`."""

    CUT = "cut"
    """The connection is closed: at once, or in a watch after `lines` lines."""

    DELAY = "delay"
    """The request is delayed by `seconds`."""

    DUPLICATE = "duplicate"
    """Each line of a watch is sent twice."""

    EXPIRE = "expire"
    """A watch ends after `lines` lines with the ERROR event of an expired resourceVersion."""


@dataclass(slots=True)
class Fault:
    """A fault for the next `times` requests whose method and path match."""

    what: What
    method: str = "*"
    path: str = "*"
    """A shell pattern (fnmatch) of path and query."""

    times: int = 1
    code: int = HTTPStatus.TOO_MANY_REQUESTS
    retry_after_seconds: int = 0
    seconds: float = 0.0
    lines: int = 0
    met: int = field(default=0, init=False)
    """How many requests it was injected into."""

    def fits(self, request: Request) -> bool:
        """Return whether it applies to this request."""
        return (
            self.met < self.times
            and fnmatch.fnmatchcase(request.method, self.method)
            and fnmatch.fnmatchcase(request.target, self.path)
        )

    def changed(self, response: Response | StreamResponse) -> Response | StreamResponse:
        """Return the response with the fault applied."""
        if not isinstance(response, StreamResponse):
            return response
        return StreamResponse(self._broken(response.chunks), response.content_type)

    async def _broken(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        left = self.lines
        async for chunk in chunks:
            if self.what is What.DUPLICATE:
                yield b"".join(line * 2 for line in chunk.splitlines(keepends=True))
                continue
            lines = chunk.splitlines(keepends=True)
            yield b"".join(lines[:left])
            left -= len(lines)
            if left <= 0:
                break
        if self.what is What.CUT:
            raise ConnectionCut
        if self.what is What.EXPIRE:
            error = {"type": "ERROR", "object": expired(TOO_OLD).status}
            yield msgspec.json.encode(error) + b"\n"


class Faults:
    """The active faults; the first match applies to a request."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Activate a fault, and return it; its `met` counts."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Deactivate all faults."""
        self._faults.clear()

    async def before(self, request: Request) -> Fault | None:
        """Apply the part before the response; return the fault to apply to the response.

        Raises StatusError and Cut.
        """
        fault = next((one for one in self._faults if one.fits(request)), None)
        if fault is None:
            return None
        fault.met += 1
        if fault.what is What.REFUSE:
            raise _refused(fault)
        if fault.what is What.CUT and not fault.lines:
            raise ConnectionCut
        if fault.what is What.DELAY:
            await asyncio.sleep(fault.seconds)
            return None
        return fault


def _refused(fault: Fault) -> StatusError:
    reason, message = _REASONS.get(fault.code, ("InternalError", "an error on the server"))
    headers = {"Retry-After": str(fault.retry_after_seconds)} if fault.retry_after_seconds else {}
    return StatusError(fault.code, reason, message, headers=headers)


_REASONS = {
    429: ("TooManyRequests", "too many requests, please try again later."),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}
