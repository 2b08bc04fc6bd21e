"""Responses, content negotiation, and objects in the negotiated form: JSON, YAML, Table, PartialObjectMetadata."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import msgspec
import yaml

from demo.apiserver import listwatch
from demo.apiserver.documents import Object, Value
from demo.apiserver.errors import not_acceptable
from demo.apiserver.kinds import NEW_EVENTS
from demo.apiserver.listwatch import ListPage
from demo.apiserver.requests import Call
from demo.apiserver.resources import Resource, to_new_event
from demo.apiserver.store import Entry
from demo.apiserver.tables import partial_metadata, partial_metadata_list, table

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Response:
    """A complete response."""

    body: bytes
    code: int = HTTPStatus.OK
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamResponse:
    """A streamed response: a watch, or a followed log."""

    chunks: AsyncIterator[bytes]
    content_type: str = JSON


def json_response(body: object, *, code: int = HTTPStatus.OK, content_type: str = JSON) -> Response:
    """Build a JSON response."""
    return Response(msgspec.json.encode(body), code, content_type)


def text_response(text: str, *, code: int = HTTPStatus.OK) -> Response:
    """Build a plain text response."""
    return Response(text.encode(), code, TEXT)


YAML = "application/yaml"
_OFFERED = (JSON, YAML)
_ANY = {"*/*", "application/*", JSON}
_META = "meta.k8s.io"
FORMS = {"Table", "PartialObjectMetadata", "PartialObjectMetadataList"}


@dataclass(frozen=True, slots=True)
class Form:
    """The negotiated form of a response."""

    kind: str = ""
    """Table, PartialObjectMetadata, or "" for whole objects."""

    yaml: bool = False


PLAIN = Form()


def negotiate(accept: str, *, transforms: bool = True) -> Form:
    """Return the first supported form of an Accept header. Raises StatusError (406)."""
    if accept in {"", "*/*", JSON}:
        return PLAIN
    for media_type, parameters in accepted_types(accept):
        kind = parameters.get("as", "")
        if media_type in _ANY and not kind:
            return PLAIN
        if media_type == YAML and not kind:
            return Form(yaml=True)
        if media_type == JSON and transforms and _is_known(kind, parameters):
            return Form(kind.removesuffix("List"))
    raise not_acceptable(_OFFERED)


def _is_known(kind: str, parameters: dict[str, str]) -> bool:
    return (
        kind in FORMS and parameters.get("g") == _META and parameters.get("v") in {"v1", "v1beta1"}
    )


def accepted_types(accept: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the media types of an Accept header with their parameters, in its order; quality values are ignored."""
    for each in accept.split(","):
        media_type, *rest = (part.strip() for part in each.split(";"))
        pairs = (part.partition("=") for part in rest)
        yield media_type.lower(), {name.strip(): value.strip() for name, _, value in pairs}


TABLE = "Table"


def object_response(call: Call, entry: Entry, form: Form, *, now: str) -> Response:
    """Build the response with one object."""
    resource = call.resource
    if form.kind == TABLE:
        return _as_table(call, [entry], {"resourceVersion": str(entry.version)}, now=now)
    if form.kind:
        return Response(msgspec.json.encode(partial_metadata(served_object(resource, entry))))
    return in_yaml(Response(resource.whole(entry)), form)


def list_response(call: Call, page: ListPage, form: Form, *, now: str) -> Response:
    """Build the response with a list."""
    if form.kind == TABLE:
        return _as_table(call, page.entries, page.metadata(), now=now)
    if form.kind:
        objects = [served_object(call.resource, entry) for entry in page.entries]
        whole = partial_metadata_list(objects)
        whole["metadata"] = page.metadata()
        return Response(msgspec.json.encode(whole))
    return in_yaml(Response(listwatch.encode_list(call, page)), form)


def watch_line_encoder(
    call: Call, form: Form, *, now: Callable[[], str]
) -> Callable[[str, Entry], bytes] | None:
    """Return the encoder of watch events in this form; None for whole objects."""
    if form.kind == TABLE:
        include = call.query.get("includeObject", "Metadata")
        return _table_lines(call.resource, include, now=now)
    if not form.kind:
        return None

    def written(change: str, entry: Entry) -> bytes:
        return _watch_line(change, partial_metadata(served_object(call.resource, entry)))

    return written


def _table_lines(
    resource: Resource, include: str, *, now: Callable[[], str]
) -> Callable[[str, Entry], bytes]:
    """Encode events as Tables of one row; only the first has column definitions."""
    first = True

    def written(change: str, entry: Entry) -> bytes:
        nonlocal first
        body = table(
            resource.served, [served_object(resource, entry)], include_object=include, now=now()
        )
        body["metadata"] = {"resourceVersion": str(entry.version)}
        if not first:
            body["columnDefinitions"] = None
        first = False
        return _watch_line(change, body)

    return written


def _watch_line(change: str, body: Object) -> bytes:
    return msgspec.json.encode({"type": change, "object": body}) + b"\n"


def _as_table(call: Call, entries: list[Entry], metadata: Object, *, now: str) -> Response:
    include = call.query.get("includeObject", "Metadata")
    objects = [served_object(call.resource, entry) for entry in entries]
    body = table(call.resource.served, objects, include_object=include, now=now)
    body["metadata"] = metadata
    return Response(msgspec.json.encode(body))


def served_object(resource: Resource, entry: Entry) -> Object:
    """Return the object in the form of this group and version."""
    obj = resource.object(entry)
    return to_new_event(obj) if resource.kind is NEW_EVENTS else obj


def in_yaml(reply: Response, form: Form) -> Response:
    """Convert a JSON response to YAML if that was negotiated."""
    if not form.yaml:
        return reply
    value: Value = msgspec.json.decode(reply.body)
    text = yaml.safe_dump(value, allow_unicode=True)
    return replace(reply, body=text.encode(), content_type="application/yaml")
