"""What the server says when it refuses, word for word as a genuine kube-apiserver does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from demo.apiserver.causes import Cause, told
from demo.apiserver.served import Served

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


class RefusedError(Exception):
    """A request is refused; `body` is the Status that says why."""

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
        """The Status as JSON."""
        return msgspec.json.encode(self.status)


class NoSuchPathError(Exception):
    """There is nothing at this path: a plain 404, no Status."""


def named(served: Served, name: str = "") -> dict[str, str]:
    """The `details` that name an object of a resource."""
    return (
        ({"name": name} if name else {})
        | ({"group": served.group} if served.group else {})
        | {"kind": served.resource}
    )


def bad_request(message: str) -> RefusedError:
    """400."""
    return RefusedError(HTTPStatus.BAD_REQUEST, "BadRequest", message)


def unauthorized() -> RefusedError:
    """401: no token, or one that nobody has."""
    return RefusedError(HTTPStatus.UNAUTHORIZED, "Unauthorized", "Unauthorized")


def forbidden(
    message: str, *, details: Mapping[str, Any] | None = None, causes: Iterable[Cause] = ()
) -> RefusedError:
    """403."""
    shown = [cause.to_dict() for cause in causes]
    whole = dict(details or {}) | ({"causes": shown} if shown else {})
    return RefusedError(HTTPStatus.FORBIDDEN, "Forbidden", message, details=whole)


def no_such_resource() -> RefusedError:
    """404: a group that exists has no such resource."""
    return RefusedError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        "the server could not find the requested resource",
        details={},
    )


def not_found(served: Served, name: str) -> RefusedError:
    """404: no object of that name."""
    return RefusedError(
        HTTPStatus.NOT_FOUND,
        "NotFound",
        f'{served.qualified} "{name}" not found',
        details=named(served, name),
    )


def method_not_allowed() -> RefusedError:
    """405."""
    return RefusedError(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        details={},
    )


def already_exists(served: Served, name: str) -> RefusedError:
    """409: the name is taken."""
    return RefusedError(
        HTTPStatus.CONFLICT,
        "AlreadyExists",
        f'{served.qualified} "{name}" already exists',
        details=named(served, name),
    )


def conflict(served: Served, name: str, why: str = MODIFIED) -> RefusedError:
    """409: the object is not in the state that the request was made for."""
    return RefusedError(
        HTTPStatus.CONFLICT,
        "Conflict",
        f'Operation cannot be fulfilled on {served.qualified} "{name}": {why}',
        details=named(served, name),
    )


def contested(message: str, causes: Iterable[Cause]) -> RefusedError:
    """409: an apply met fields of other owners."""
    return RefusedError(
        HTTPStatus.CONFLICT,
        "Conflict",
        message,
        details={"causes": [cause.to_dict() for cause in causes]},
    )


def expired(message: str, *, token: str = "") -> RefusedError:
    """410: the history that the request needs is forgotten; a list may go on with the fresh token."""
    return RefusedError(
        HTTPStatus.GONE, "Expired", message, metadata={"continue": token} if token else None
    )


def unprocessable(kind: str, group: str, name: str, causes: Iterable[Cause]) -> RefusedError:
    """422: the object does not do, field by field."""
    each = list(causes)
    qualified = f"{kind}.{group}" if group else kind
    details = (
        ({"name": name} if name else {})
        | ({"group": group} if group else {})
        | {"kind": kind, "causes": [cause.to_dict() for cause in each]}
    )
    return RefusedError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "Invalid",
        f'{qualified} "{name}" is invalid: {told(each)}',
        details=details,
    )


def unusable_options(kind: str, causes: Iterable[Cause]) -> RefusedError:
    """422: what the query or the body of a delete asks for cannot be."""
    return unprocessable(kind, "meta.k8s.io", "", causes)


def unknown_format(accepted: Iterable[str]) -> RefusedError:
    """415: a body of a type that is not read."""
    return RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )


def not_acceptable(offered: Iterable[str]) -> RefusedError:
    """406: none of the types that are asked for is written."""
    return RefusedError(
        HTTPStatus.NOT_ACCEPTABLE,
        "NotAcceptable",
        f"only the following media types are accepted: {', '.join(offered)}",
    )


def internal(message: str) -> RefusedError:
    """500 without a reason, as the server answers some mistakes of its clients."""
    return RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, "", message)


def too_new(asked: int, current: int) -> RefusedError:
    """504: a version that is yet to come."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return RefusedError(
        HTTPStatus.GATEWAY_TIMEOUT,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [cause], "retryAfterSeconds": 1},
        headers={"Retry-After": "1"},
    )
