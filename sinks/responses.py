"""What an executor needs of the API server, and what a response means for a write.

The classification follows what a kube-apiserver really answers (measured on 1.37); DESIGN of the classes: a write is
done, tried again at once or later, given up, or all writes to a scope are suspended.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from operators.flow.trace import Correlation


class UnansweredError(Exception):
    """A request got no response: it may or may not have been carried out."""


@dataclass(frozen=True, slots=True)
class WriteResponse:
    """The response to one request on Observations."""

    status: int
    body: bytes = b""
    reason: str = ""
    """The Status' reason; empty where the body is not a Status (``text/plain`` of a missing definition)."""
    message: str = ""
    causes: tuple[str, ...] = ()
    """The reasons among the Status' causes: ``NamespaceTerminating``."""
    retry_after_seconds: float | None = None
    waited_seconds: float = 0.0
    """How long the client's own rate limit delayed the request."""


class Writer(Protocol):
    """Requests on Observations; each raises ``UnansweredError`` where no response came.

    A request carries its ``correlation``, if it has one, so that it is found in traces and in the audit log.
    """

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> WriteResponse:
        """Server-side apply, forced, as the one field manager of this product."""
        ...

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        """GET one Observation."""
        ...

    async def delete(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        """DELETE one Observation."""
        ...


class ResponseClass(Enum):
    """What to do after a response."""

    DONE = auto()
    MISSING = auto()
    """The Observation itself does not exist (a read or a deletion)."""
    CONFLICT = auto()
    """The Observation was written by another manager in between: read it again, and at once."""
    RETRY = auto()
    """The server is at fault or busy: back off."""
    TOO_LARGE = auto()
    INVALID = auto()
    NAMESPACE_GONE = auto()
    SUSPEND_NAMESPACE = auto()
    """Missing rights or an exhausted quota: writes to this namespace are suspended."""
    SUSPEND_ALL = auto()
    """Missing definition or refused credentials: all writes are suspended."""


_TOO_LARGE = ("request is too large", "larger than max", "request entity too large")
_SCHEMA_MISMATCH = "failed to create typed patch object"
SUCCESS = frozenset({200, 201, 202})
_BY_STATUS = {
    **dict.fromkeys(SUCCESS, ResponseClass.DONE),
    401: ResponseClass.SUSPEND_ALL,
    408: ResponseClass.RETRY,
    409: ResponseClass.CONFLICT,
    413: ResponseClass.TOO_LARGE,
    415: ResponseClass.SUSPEND_ALL,
    429: ResponseClass.RETRY,
}
_FORBIDDEN, _NOT_FOUND, _SERVER_ERROR = 403, 404, 500


def classify_response(response: WriteResponse) -> ResponseClass:
    """Classify a response.

    Too large is 500 from about 1.5 MB (etcd's words), 413 only above 3 MB of body; a field that does not fit the
    schema is 500 under apply; a missing definition is 404 as text, also for moments after its creation.
    """
    status = response.status
    if status == _NOT_FOUND:
        return _not_found(response)
    if status == _FORBIDDEN:
        return _forbidden(response)
    if status >= _SERVER_ERROR:
        return _server_error(response)
    return _BY_STATUS.get(status, ResponseClass.INVALID)


def is_in_doubt(response: WriteResponse) -> bool:
    """Whether the request may have been carried out all the same: a gateway's 502, a time-out after the commit."""
    return response.status >= _SERVER_ERROR and classify_response(response) is ResponseClass.RETRY


def _not_found(response: WriteResponse) -> ResponseClass:
    if "namespaces " in response.message and "not found" in response.message:
        return ResponseClass.NAMESPACE_GONE
    if response.reason == "NotFound" and "the server could not find" not in response.message:
        return ResponseClass.MISSING
    return ResponseClass.SUSPEND_ALL


def _forbidden(response: WriteResponse) -> ResponseClass:
    if "NamespaceTerminating" in response.causes or "being terminated" in response.message:
        return ResponseClass.NAMESPACE_GONE
    return ResponseClass.SUSPEND_NAMESPACE


def _server_error(response: WriteResponse) -> ResponseClass:
    message = response.message.lower()
    if any(words in message for words in _TOO_LARGE):
        return ResponseClass.TOO_LARGE
    return ResponseClass.INVALID if _SCHEMA_MISMATCH in message else ResponseClass.RETRY
