"""Create, update, patch, delete: from a request's object to a new state in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

from demo.apiserver.answers import already_exists, internal, not_found, unprocessable
from demo.apiserver.bodies import typed
from demo.apiserver.builtin import NEW_EVENTS
from demo.apiserver.calls import Call
from demo.apiserver.causes import invalid
from demo.apiserver.checks import check_name, check_namespace
from demo.apiserver.deletion import check_preconditions, deleted
from demo.apiserver.documents import Object, as_object
from demo.apiserver.events import newer
from demo.apiserver.history import Entry
from demo.apiserver.lifecycle import Lifecycle
from demo.apiserver.options import Deleting, Writing
from demo.apiserver.patching import Patch
from demo.apiserver.resources import Resource
from demo.apiserver.selectors import Matches
from demo.apiserver.strategy import Strategy

MAXIMUM_BYTES = 1536 * 1024
"""Of one stored object: what etcd takes in one request."""


@dataclass(frozen=True, slots=True)
class Written:
    """What to answer to a write."""

    code: int
    body: bytes
    warnings: tuple[str, ...] = ()


class Changes:
    """All that changes the stores; one step each, between which nothing else happens."""

    def __init__(self, strategy: Strategy, lifecycle: Lifecycle) -> None:
        self._strategy = strategy
        self._lifecycle = lifecycle

    def create(self, call: Call, given: Object, options: Writing, *, written: bytes) -> Written:
        """Create an object; raises RefusedError."""
        obj = call.resource.stored_form(typed(given, call.resource, written=written))
        return self._create(call, obj, options)

    def _create(
        self, call: Call, obj: Object, options: Writing, *, applied: bool = False
    ) -> Written:
        resource = call.resource
        if applied:
            obj = _without_version(obj)
        name = self._strategy.name(call, obj)
        self._lifecycle.check_creation(resource, call.namespace, name)
        obj = self._lifecycle.prepared(resource, obj, name=name)
        prepared = self._strategy.new(call, obj, options, name=name, applied=applied)
        key = resource.key(call.namespace, name)
        if resource.store.get(key) is not None:
            raise already_exists(resource.served, name)
        final = self._lifecycle.established(resource, prepared.obj, now=self._strategy.time())
        if options.dry_run:
            return Written(HTTPStatus.CREATED, _shown(resource, final), prepared.warnings)
        entry = self._put(resource, key, final)
        return Written(HTTPStatus.CREATED, resource.whole(entry), prepared.warnings)

    def update(self, call: Call, given: Object, options: Writing, *, written: bytes) -> Written:
        """Replace an object, or its status; raises RefusedError."""
        resource = call.resource
        check_name(call, given)
        obj = resource.stored_form(typed(given, resource, written=written))
        entry = self._found(call)
        check_namespace(call, obj.get("metadata") or {})
        if not resource.kind.unconditional and not obj["metadata"].get("resourceVersion"):
            cause = invalid("metadata.resourceVersion", 0, "must be specified for an update")
            served = resource.served
            raise unprocessable(served.resource, served.group, call.name, [cause])
        return self._replace(call, entry, obj, options)

    def patch(self, call: Call, patch: Patch, options: Writing) -> Written:
        """Patch or apply; an apply creates what is not there; raises RefusedError."""
        resource = call.resource
        entry = resource.store.get(call.key)
        if entry is None and (not patch.creates or call.subresource):
            raise not_found(resource.served, call.name)
        live = None if entry is None else resource.object(entry)
        after = patch.result(live, call, options, now=self._strategy.time())
        if entry is None:
            return self._create(call, after, options, applied=True)
        return self._replace(call, entry, after, options, applied=patch.creates)

    def _replace(
        self, call: Call, entry: Entry, obj: Object, options: Writing, *, applied: bool = False
    ) -> Written:
        resource = call.resource
        live = resource.object(entry)
        if not call.subresource:
            obj = self._lifecycle.prepared(resource, obj, name=call.name)
        prepared = self._strategy.changed(call, live, obj, options, applied=applied)
        after = self._lifecycle.established(
            resource, prepared.obj, now=self._strategy.time(), before=live
        )
        if options.dry_run:
            return Written(HTTPStatus.OK, _shown(resource, after), prepared.warnings)
        if after == live:
            return Written(HTTPStatus.OK, resource.whole(entry), prepared.warnings)
        if _is_free_to_go(after):
            body = _shown(resource, after)
            self._remove(resource, entry)
            return Written(HTTPStatus.OK, body, prepared.warnings)
        changed = self._put(resource, call.key, after)
        if self._lifecycle.is_namespace(resource):
            self._finish(call.name)
        return Written(HTTPStatus.OK, resource.whole(changed), prepared.warnings)

    def delete(self, call: Call, options: Deleting) -> Written:
        """Delete an object, or ask those for it who hold it by their finalizers; raises RefusedError."""
        resource, entry = call.resource, self._found(call)
        check_preconditions(resource, entry, options)
        self._lifecycle.check_deletion(resource, entry)
        if options.dry_run:
            return Written(HTTPStatus.OK, deleted(resource, entry))
        return self._delete(resource, entry)

    def delete_collection(self, call: Call, selected: Matches, options: Deleting) -> list[Entry]:
        """Delete what is selected; returns what there was."""
        resource = call.resource
        prefix = f"{call.namespace}/" if call.namespace else ""
        found = [
            one for one in resource.store.now() if one.key.startswith(prefix) and selected(one)
        ]
        for entry in found:
            if not options.dry_run:
                self._delete(resource, entry)
        return found

    def _delete(self, resource: Resource, entry: Entry) -> Written:
        obj = resource.object(entry)
        if self._lifecycle.holds(resource, obj) or obj["metadata"].get("finalizers"):
            marked = self._mark(resource, entry, obj)
            body = resource.whole(marked)
            self._empty(resource, marked)
            return Written(HTTPStatus.OK, body)
        body = deleted(resource, entry)
        self._remove(resource, entry)
        return Written(HTTPStatus.OK, body)

    def _mark(self, resource: Resource, entry: Entry, obj: Object) -> Entry:
        """The object with its deletion asked for, which happens once."""
        metadata = obj["metadata"]
        if metadata.get("deletionTimestamp"):
            return entry
        marks = {"deletionTimestamp": self._strategy.time(), "deletionGracePeriodSeconds": 0}
        if metadata.get("generation"):
            marks["generation"] = metadata["generation"] + 1
        marked = self._lifecycle.marked(resource, {**obj, "metadata": {**metadata, **marks}})
        return self._put(resource, entry.key, marked)

    def _put(self, resource: Resource, key: str, obj: Object) -> Entry:
        entry = resource.store.encoded(key, obj)
        if len(entry.rest) > MAXIMUM_BYTES:
            raise internal("etcdserver: request is too large")
        stored = resource.store.put(entry)
        self._lifecycle.stored(resource, stored, obj)
        return stored

    def _remove(self, resource: Resource, entry: Entry) -> None:
        resource.store.remove(entry.key)
        for held, one in self._lifecycle.instances(resource, entry):
            held.store.remove(one.key)
        self._lifecycle.removed(resource, entry)
        self._finish(entry.namespace)

    def _empty(self, resource: Resource, entry: Entry) -> None:
        """Delete the content of a namespace that is to go, and it with the last of it."""
        for held, one in self._lifecycle.content(resource, entry):
            self._delete(held, one)
        if self._lifecycle.is_namespace(resource):
            self._finish(entry.name)

    def _finish(self, namespace: str) -> None:
        over = self._lifecycle.over(namespace)
        if over is not None:
            resource, entry = over
            resource.store.remove(entry.key)

    def _found(self, call: Call) -> Entry:
        entry = call.resource.store.get(call.key)
        if entry is None:
            raise not_found(call.resource.served, call.name)
        return entry


def _without_version(obj: Object) -> Object:
    """What an apply creates may name a version, which says nothing of it."""
    metadata = {at: it for at, it in obj["metadata"].items() if at != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _is_free_to_go(obj: Object) -> bool:
    """Whether its deletion was asked for, and nobody holds it any more."""
    metadata: Mapping[str, object] = obj["metadata"]
    spec = (as_object(obj.get("spec")) or {}) if obj["kind"] == "Namespace" else {}
    held = metadata.get("finalizers") or spec.get("finalizers")
    return bool(metadata.get("deletionTimestamp") and not held)


def _shown(resource: Resource, obj: Object) -> bytes:
    """An object that is not stored, as this group and version shows it."""
    if resource.kind is NEW_EVENTS:
        return msgspec.json.encode(newer(obj))
    return msgspec.json.encode(obj)
