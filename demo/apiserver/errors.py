"""The Status responses of refused requests, word for word as a genuine kube-apiserver sends them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from demo.apiserver.documents import ServedResource
from demo.apiserver.validation import Cause, aggregate_message

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)
TOO_OLD = "The resourceVersion for the provided watch is too old."
LOST_TOKEN = (
    "The provided continue parameter is too old to display a consistent list result. You can start "  # noqa: S105
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the first "
    "chunk was returned and now may show up in the list."
)
LOST_VERSION = "The resourceVersion for the provided list is too old."


class StatusError(Exception):
    """A refused request; `body` returns its Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.headers = dict(headers or {})
        self.status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": dict(metadata or {}),
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": dict(details)} if details is not None else {}),
            "code": code,
        }

    def body(self) -> bytes:
        """Encode the Status."""
        return msgspec.json.encode(self.status)


class NoSuchPathError(Exception):
    """Nothing is served at this path: a plain 404 without a Status."""


def details_of(served: ServedResource, name: str = "") -> dict[str, str]:
    """Return the `details` of a Status about an object of a resource."""
    return (
        ({"name": name} if name else {})
        | ({"group": served.group} if served.group else {})
        | {"kind": served.resource}
    )


def bad_request(message: str) -> StatusError:
    """400."""
    return StatusError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def unauthorized() -> StatusError:
    """401: no token, or an unknown one."""
    return StatusError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")


def forbidden(
    message: str, *, details: Mapping[str, Any] | None = None, causes: Iterable[Cause] = ()
) -> StatusError:
    """403."""
    shown = [cause.to_dict() for cause in causes]
    whole = dict(details or {}) | ({"causes": shown} if shown else {})
    return StatusError(HTTPStatus.FORBIDDEN, "Forbidden", message, details=whole)


def no_such_resource() -> StatusError:
    """404: the group is served, the resource is not."""
    return StatusError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        "the server could not find the requested resource",
        details={},
    )


def not_found(served: ServedResource, name: str) -> StatusError:
    """404: no object has that name."""
    return StatusError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        f'{served.qualified} "{name}" not found',
        details=details_of(served, name),
    )


def method_not_allowed() -> StatusError:
    """405."""
    return StatusError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details={},
    )


def already_exists(served: ServedResource, name: str) -> StatusError:
    """409: the name is taken."""
    return StatusError(
        HTTPStatus.CONFLICT,
        "AlreadyExists",
        f'{served.qualified} "{name}" already exists',
        details=details_of(served, name),
    )


def conflict(served: ServedResource, name: str, why: str = MODIFIED) -> StatusError:
    """409: the object is not in the state that the request requires."""
    return StatusError(
        HTTPStatus.CONFLICT,
        "Conflict",
        f'Operation cannot be fulfilled on {served.qualified} "{name}": {why}',
        details=details_of(served, name),
    )


def apply_conflict(message: str, causes: Iterable[Cause]) -> StatusError:
    """409: an apply would change fields of other managers."""
    return StatusError(
        HTTPStatus.CONFLICT,
        "Conflict",
        message,
        details={"causes": [cause.to_dict() for cause in causes]},
    )


def expired(message: str, *, token: str = "") -> StatusError:
    """410: the history that the request needs was compacted; a list may continue with the fresh token."""
    return StatusError(
        HTTPStatus.GONE, "Expired", message, metadata={"continue": token} if token else None
    )


def unprocessable(kind: str, group: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """422: the object is invalid, with a cause per field."""
    each = list(causes)
    qualified = f"{kind}.{group}" if group else kind
    details = (
        ({"name": name} if name else {})
        | ({"group": group} if group else {})
        | {"kind": kind, "causes": [cause.to_dict() for cause in each]}
    )
    return StatusError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid",
        f'{qualified} "{name}" is invalid: {aggregate_message(each)}',
        details=details,
    )


def invalid_options(kind: str, causes: Iterable[Cause]) -> StatusError:
    """422: invalid query options, or an invalid DeleteOptions body."""
    return unprocessable(kind, "meta.k8s.io", "", causes)


def unsupported_media_type(accepted: Iterable[str]) -> StatusError:
    """415: a body in an unsupported media type."""
    return StatusError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )


def not_acceptable(offered: Iterable[str]) -> StatusError:
    """406: no media type of the Accept header is supported."""
    return StatusError(
        HTTPStatus.NOT_ACCEPTABLE,
        "NotAcceptable",
        f"only the following media types are accepted: {', '.join(offered)}",
    )


def internal(message: str) -> StatusError:
    """500 without a reason, the genuine server's response to some client errors."""
    return StatusError(HTTPStatus.INTERNAL_SERVER_ERROR, "", message)


def too_new(requested: int, current: int) -> StatusError:
    """504: a resourceVersion later than the newest."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return StatusError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "Timeout",
        f"Timeout: Too large resource version: {requested}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )
