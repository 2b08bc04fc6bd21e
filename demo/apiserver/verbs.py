"""What each verb does with a resource, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from random import Random

import msgspec

from demo.apiserver import forms, listing, logs, patching, reviews, watching
from demo.apiserver.access import User
from demo.apiserver.answers import bad_request, not_found, too_new
from demo.apiserver.bodies import read
from demo.apiserver.calls import Call
from demo.apiserver.changes import Changes, Written
from demo.apiserver.documents import Object
from demo.apiserver.history import Entry
from demo.apiserver.listing import Page
from demo.apiserver.logs import Logs
from demo.apiserver.negotiation import PLAIN, form
from demo.apiserver.options import deleting, reading, writing
from demo.apiserver.replies import TEXT, Reply, Stream, json_reply
from demo.apiserver.resources import Resources
from demo.apiserver.strategy import stamp


@dataclass(frozen=True, slots=True)
class Sent:
    """What came with a request."""

    body: bytes
    content_type: str
    accept: str


class Verbs:
    """The verbs by name; each takes a call, and what came with it."""

    def __init__(
        self,
        resources: Resources,
        changes: Changes,
        pod_logs: Logs,
        *,
        now: Callable[[], datetime],
        chance: Random,
    ) -> None:
        self._resources = resources
        self._changes = changes
        self._logs = pod_logs
        self._now = now
        self._chance = chance

    def answer(self, call: Call, sent: Sent, user: User) -> Reply | Stream:
        """Do it; raises RefusedError."""
        match call.verb:
            case "get":
                return self._get(call, sent)
            case "list":
                page = listing.page(call, current=self._resources.versions.current)
                return forms.listed(call, page, form(sent.accept), now=self._stamp())
            case "watch":
                return self._watch(call, sent)
            case "create":
                return self._create(call, sent, user)
            case "update" | "patch":
                return self._change(call, sent)
            case _:
                return self._delete(call, sent)

    def _get(self, call: Call, sent: Sent) -> Reply | Stream:
        version = call.query.get("resourceVersion", "")
        current = self._resources.versions.current
        if version.isdecimal() and int(version) > current:
            raise too_new(int(version), current)
        entry = call.resource.store.get(call.key)
        if entry is None:
            raise not_found(call.resource.served, call.name)
        if call.subresource == "log":
            return self._log(call, entry)
        return forms.one(call, entry, form(sent.accept), now=self._stamp())

    def _stamp(self) -> str:
        """Now, as tables reckon ages from it."""
        return stamp(self._now())

    def _log(self, call: Call, entry: Entry) -> Reply | Stream:
        asked = logs.asked(call.query, call.resource.object(entry), now=self._now())
        log = self._logs.log(entry.uid, asked.container)
        return Stream(logs.chunks(log, asked), TEXT)

    def _watch(self, call: Call, sent: Sent) -> Stream:
        line = forms.line(call, form(sent.accept), now=self._stamp)
        opened, asked = watching.watch(call, versions=self._resources.versions, line=line)
        return Stream(opened.chunks(seconds=watching.seconds(asked, self._chance)))

    def _create(self, call: Call, sent: Sent, user: User) -> Reply:
        options = writing(call.query, "CreateOptions", manager=call.manager)
        given = read(sent.body, sent.content_type, kind=call.resource.served.kind)
        if call.resource.served.kind == reviews.KIND:
            return json_reply(reviews.reviewed(given, user), code=HTTPStatus.CREATED)
        return _reply(self._changes.create(call, given, options, written=sent.body), sent)

    def _change(self, call: Call, sent: Sent) -> Reply:
        if call.verb == "update":
            options = writing(call.query, "UpdateOptions", manager=call.manager)
            given = read(sent.body, sent.content_type, kind=call.resource.served.kind)
            return _reply(self._changes.update(call, given, options, written=sent.body), sent)
        patch = patching.read_patch(sent.body, sent.content_type, call)
        options = writing(call.query, "PatchOptions", manager=call.manager, apply=patch.creates)
        return _reply(self._changes.patch(call, patch, options), sent)

    def _delete(self, call: Call, sent: Sent) -> Reply:
        options = deleting(call.query, _delete_options(sent))
        if call.verb == "delete":
            return _reply(self._changes.delete(call, options), sent)
        selected = listing.selected(call, reading(call.query, watch=False))
        gone = self._changes.delete_collection(call, selected, options)
        page = Page(gone, self._resources.versions.current)
        return forms.listed(call, page, form(sent.accept), now=self._stamp())


def _reply(written: Written, sent: Sent) -> Reply:
    wanted = form(sent.accept)
    reply = Reply(written.body, written.code, warnings=written.warnings)
    return forms.as_wanted(reply, wanted if wanted.yaml else PLAIN)


def _delete_options(sent: Sent) -> Object:
    if not sent.body.strip():
        return {}
    try:
        return msgspec.json.decode(sent.body, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise bad_request(f"could not read the options of the delete: {error}") from None
