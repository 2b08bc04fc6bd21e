"""What an answer of the API server means for a write, by what the server really says."""

from __future__ import annotations

from enum import Enum, auto

from sinks.writer import Answer


class Verdict(Enum):
    """What to do after an answer."""

    DONE = auto()
    MISSING = auto()
    """The Observation itself does not exist (a read or a removal)."""
    AGAIN = auto()
    """Somebody else wrote in between: read again, and at once."""
    LATER = auto()
    """The server is at fault or busy: back off."""
    TOO_LARGE = auto()
    INVALID = auto()
    NAMESPACE_GONE = auto()
    HOLD_NAMESPACE = auto()
    """Missing rights or an exhausted quota: this namespace waits."""
    HOLD_ALL = auto()
    """Missing definition or refused credentials: everything waits."""


_TOO_LARGE = ("request is too large", "larger than max", "request entity too large")
_UNFIT = "failed to create typed patch object"


def verdict_of(answer: Answer) -> Verdict:
    """Classify an answer.

    Too large is 500 from about 1.5 MB (etcd's words), 413 only above 3 MB of body; a field that does not fit the
    schema is 500 under apply; a missing definition is 404 as text, also for moments after its creation.
    """
    status = answer.status
    if status in {200, 201, 202}:
        return Verdict.DONE
    if status == 404:  # noqa: PLR2004
        return _not_found(answer)
    if status == 403:  # noqa: PLR2004
        return _forbidden(answer)
    if status >= 500:  # noqa: PLR2004
        return _server_error(answer)
    return _BY_STATUS.get(status, Verdict.INVALID)


_BY_STATUS = {
    401: Verdict.HOLD_ALL,
    408: Verdict.LATER,
    409: Verdict.AGAIN,
    413: Verdict.TOO_LARGE,
    415: Verdict.HOLD_ALL,
    429: Verdict.LATER,
}


def _not_found(answer: Answer) -> Verdict:
    if "namespaces " in answer.message and "not found" in answer.message:
        return Verdict.NAMESPACE_GONE
    if answer.reason == "NotFound" and "the server could not find" not in answer.message:
        return Verdict.MISSING
    return Verdict.HOLD_ALL


def _forbidden(answer: Answer) -> Verdict:
    if "NamespaceTerminating" in answer.causes or "being terminated" in answer.message:
        return Verdict.NAMESPACE_GONE
    return Verdict.HOLD_NAMESPACE


def _server_error(answer: Answer) -> Verdict:
    message = answer.message.lower()
    if any(words in message for words in _TOO_LARGE):
        return Verdict.TOO_LARGE
    return Verdict.INVALID if _UNFIT in message else Verdict.LATER
