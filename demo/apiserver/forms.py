"""Objects in the form that a client wants: as they are, as a table, as metadata, as YAML."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import yaml

from demo.apiserver import listing
from demo.apiserver.builtin import NEW_EVENTS
from demo.apiserver.calls import Call
from demo.apiserver.documents import Object, Value
from demo.apiserver.events import newer
from demo.apiserver.history import Entry
from demo.apiserver.listing import Page
from demo.apiserver.negotiation import Form
from demo.apiserver.replies import Reply
from demo.apiserver.resources import Resource
from demo.apiserver.tables import partial_metadata, partial_metadata_list, table

TABLE = "Table"


def one(call: Call, entry: Entry, form: Form, *, now: str) -> Reply:
    """One object."""
    resource = call.resource
    if form.kind == TABLE:
        return _as_table(call, [entry], {"resourceVersion": str(entry.version)}, now=now)
    if form.kind:
        return Reply(msgspec.json.encode(partial_metadata(shown(resource, entry))))
    return as_wanted(Reply(resource.whole(entry)), form)


def listed(call: Call, page: Page, form: Form, *, now: str) -> Reply:
    """A list."""
    if form.kind == TABLE:
        return _as_table(call, page.entries, page.metadata(), now=now)
    if form.kind:
        objects = [shown(call.resource, entry) for entry in page.entries]
        whole = partial_metadata_list(objects)
        whole["metadata"] = page.metadata()
        return Reply(msgspec.json.encode(whole))
    return as_wanted(Reply(listing.written(call, page)), form)


def line(call: Call, form: Form, *, now: Callable[[], str]) -> Callable[[str, Entry], bytes] | None:
    """How a watch writes a line in this form; None for the objects themselves."""
    if form.kind == TABLE:
        include = call.query.get("includeObject", "Metadata")
        return _table_lines(call.resource, include, now=now)
    if not form.kind:
        return None

    def written(change: str, entry: Entry) -> bytes:
        return _line(change, partial_metadata(shown(call.resource, entry)))

    return written


def _table_lines(
    resource: Resource, include: str, *, now: Callable[[], str]
) -> Callable[[str, Entry], bytes]:
    """Tables of one row each; only the first says what its columns are."""
    first = True

    def written(change: str, entry: Entry) -> bytes:
        nonlocal first
        body = table(resource.served, [shown(resource, entry)], include_object=include, now=now())
        body["metadata"] = {"resourceVersion": str(entry.version)}
        if not first:
            body["columnDefinitions"] = None
        first = False
        return _line(change, body)

    return written


def _line(change: str, body: Object) -> bytes:
    return msgspec.json.encode({"type": change, "object": body}) + b"\n"


def _as_table(call: Call, entries: list[Entry], metadata: Object, *, now: str) -> Reply:
    include = call.query.get("includeObject", "Metadata")
    objects = [shown(call.resource, entry) for entry in entries]
    body = table(call.resource.served, objects, include_object=include, now=now)
    body["metadata"] = metadata
    return Reply(msgspec.json.encode(body))


def shown(resource: Resource, entry: Entry) -> Object:
    """The object as this group and version shows it."""
    obj = resource.object(entry)
    return newer(obj) if resource.kind is NEW_EVENTS else obj


def as_wanted(reply: Reply, form: Form) -> Reply:
    """The reply, as YAML if that is wanted."""
    if not form.yaml:
        return reply
    value: Value = msgspec.json.decode(reply.body)
    text = yaml.safe_dump(value, allow_unicode=True)
    return replace(reply, body=text.encode(), content_type="application/yaml")
