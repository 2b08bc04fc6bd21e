"""The bodies of PATCH requests, by their type; what each does stands in `patches` and in `apply`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from demo.apiserver.answers import (
    RefusedError,
    bad_request,
    contested,
    internal,
    unknown_format,
)
from demo.apiserver.apply import ConflictError, applied
from demo.apiserver.bodies import from_yaml, media_type
from demo.apiserver.builtin import NEW_EVENTS
from demo.apiserver.calls import Call
from demo.apiserver.checks import check_name, check_namespace
from demo.apiserver.declared import UndeclaredError
from demo.apiserver.documents import Object, Value, as_list, as_object
from demo.apiserver.events import newer, older
from demo.apiserver.options import Writing
from demo.apiserver.patches import PatchError, json_patched, merge_patched
from demo.apiserver.strategic import strategically_patched

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_CUSTOM = (JSON_PATCH, MERGE_PATCH, APPLY_PATCH)
_BUILT_IN = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


@dataclass(frozen=True, slots=True)
class Patch:
    """What is to change."""

    kind: str
    """The media type."""

    said: Value

    @property
    def creates(self) -> bool:
        """Whether it is a server-side apply, which creates what is not there."""
        return self.kind == APPLY_PATCH

    def result(self, live: Object | None, call: Call, options: Writing, *, now: str) -> Object:
        """The object as the patch leaves it; raises RefusedError (400, 409, 422, 500)."""
        if self.creates:
            return _applied(live, self.said, call, options, now=now)
        assert live is not None  # noqa: S101 - only an apply does without
        newer_group = call.resource.kind is NEW_EVENTS
        shown = newer(live) if newer_group else live
        try:
            patched = _PATCHED[self.kind](shown, self.said)
        except PatchError as error:
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "Invalid", str(error), details={}
            ) from None
        return older(patched) if newer_group else patched


_PATCHED: dict[str, Callable[[Object, Value], Object]] = {
    JSON_PATCH: json_patched,
    MERGE_PATCH: merge_patched,
    STRATEGIC_PATCH: strategically_patched,
}


def read_patch(body: bytes, content_type: str, call: Call) -> Patch:
    """The patch in a body; raises RefusedError (400, 415)."""
    kind = media_type(content_type)
    if kind not in (_CUSTOM if call.resource.custom else _BUILT_IN):
        if call.resource.custom:
            raise unknown_format(_CUSTOM)
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "415: Unsupported Media Type",
            details={},
        )
    if kind == APPLY_PATCH:
        return Patch(kind, from_yaml(body, kind=call.resource.served.kind))
    try:
        said: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise bad_request(f"error decoding patch: {error}") from None
    wanted = "list" if kind == JSON_PATCH else "object"
    if (as_list(said) if kind == JSON_PATCH else as_object(said)) is None:
        raise bad_request(f"error decoding patch: it is no JSON {wanted}")
    return Patch(kind, said)


def _applied(
    live: Object | None, wanted: Object, call: Call, options: Writing, *, now: str
) -> Object:
    served = call.resource.served
    _check_applied(wanted, call)
    metadata = {**(as_object(wanted.get("metadata")) or {}), "name": call.name}
    try:
        return applied(
            live,
            {**wanted, "metadata": metadata},
            manager=options.manager,
            force=options.force,
            schema=served.schema,
            now=now,
            api_version=served.api_version,
            subresource=call.subresource,
            has_status=served.has_status,
        )
    except ConflictError as error:
        raise contested(str(error), error.causes) from None
    except UndeclaredError as error:
        raise internal(str(error)) from None


def _check_applied(wanted: Object, call: Call) -> None:
    """Raise RefusedError (400) for what is no apply configuration of this object."""
    served = call.resource.served
    kind, api_version = str(wanted.get("kind") or ""), str(wanted.get("apiVersion") or "")
    if (kind, api_version) != (served.kind, served.api_version):
        raise bad_request(f"invalid object type: {api_version or '/'}, Kind={kind}")
    metadata = as_object(wanted.get("metadata")) or {}
    check_name(call, wanted)
    check_namespace(call, metadata)
    if metadata.get("managedFields") is not None:
        raise bad_request("metadata.managedFields must be nil")
