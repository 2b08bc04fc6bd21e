"""What a test lets go wrong: refusals, cuts, delays, repetitions, and lost history, for chosen requests."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus

import msgspec

from demo.apiserver.answers import TOO_OLD, RefusedError, expired
from demo.apiserver.api import Request
from demo.apiserver.replies import Reply, Stream


class Cut(Exception):  # noqa: N818 - the connection ends here, on purpose
    """The connection is to be cut, with nothing said."""


class What(StrEnum):
    """What goes wrong."""

    REFUSE = "refuse"
    """The request is answered with `code`, and not carried out."""

    CUT = "cut"
    """The connection is cut: at once, or in a watch after `lines` lines."""

    DELAY = "delay"
    """The request waits for `seconds`."""

    DUPLICATE = "duplicate"
    """Each line of a watch comes twice."""

    EXPIRE = "expire"
    """A watch ends after `lines` lines with the ERROR of a version that is too old."""


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong, `times` times, for requests whose method and path fit."""

    what: What
    method: str = "*"
    path: str = "*"
    """As a shell matches file names; the query belongs to it."""

    times: int = 1
    code: int = HTTPStatus.TOO_MANY_REQUESTS
    retry_after_seconds: int = 0
    seconds: float = 0.0
    lines: int = 0
    met: int = field(default=0, init=False)
    """How often it has happened."""

    def fits(self, request: Request) -> bool:
        """Whether it is to happen to this request."""
        return (
            self.met < self.times
            and fnmatch.fnmatchcase(request.method, self.method)
            and fnmatch.fnmatchcase(request.target, self.path)
        )

    def changed(self, answer: Reply | Stream) -> Reply | Stream:
        """The answer as this lets it through."""
        if not isinstance(answer, Stream):
            return answer
        return Stream(self._broken(answer.chunks), answer.content_type)

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
            raise Cut
        if self.what is What.EXPIRE:
            error = {"type": "ERROR", "object": expired(TOO_OLD).status}
            yield msgspec.json.encode(error) + b"\n"


class Faults:
    """The faults that are in force; the first that fits a request happens to it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Let something go wrong from now on; returns it, to be asked how often it did."""
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self._faults.clear()

    async def before(self, request: Request) -> Fault | None:
        """Let happen what comes before the answer; returns what is to happen to that.

        Raises RefusedError and Cut.
        """
        fault = next((one for one in self._faults if one.fits(request)), None)
        if fault is None:
            return None
        fault.met += 1
        if fault.what is What.REFUSE:
            raise _refused(fault)
        if fault.what is What.CUT and not fault.lines:
            raise Cut
        if fault.what is What.DELAY:
            await asyncio.sleep(fault.seconds)
            return None
        return fault


def _refused(fault: Fault) -> RefusedError:
    reason, message = _SAID.get(fault.code, ("InternalError", "an error on the server"))
    headers = {"Retry-After": str(fault.retry_after_seconds)} if fault.retry_after_seconds else {}
    return RefusedError(fault.code, reason, message, headers=headers)


_SAID = {
    429: ("TooManyRequests", "too many requests, please try again later."),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}
