"""Create, update, patch and delete, and their consequences: namespace content, definitions, finalizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import msgspec

from demo.apiserver import definitions
from demo.apiserver.bodies import check_kind, check_name, check_namespace
from demo.apiserver.documents import Object, as_object
from demo.apiserver.errors import (
    StatusError,
    already_exists,
    conflict,
    details_of,
    forbidden,
    internal,
    not_found,
    unprocessable,
)
from demo.apiserver.kinds import EVENTS, NEW_EVENTS, PODS
from demo.apiserver.logs import Logs
from demo.apiserver.patches import Patch
from demo.apiserver.requests import Call, DeleteOptions, WriteOptions
from demo.apiserver.resources import EventExpiry, Resource, Resources, complete_event, to_new_event
from demo.apiserver.selectors import Matches
from demo.apiserver.store import Entry
from demo.apiserver.strategy import Strategy
from demo.apiserver.validation import Cause, invalid

_UNDELETABLE = {"default", "kube-system", "kube-public"}
_HELD = "kubernetes"
"""The finalizer of a namespace whose content is not yet deleted."""

_NAME_LABEL = "kubernetes.io/metadata.name"


class Lifecycle:
    """The server's behaviour for namespaces, definitions, Events and pods."""

    def __init__(self, resources: Resources, logs: Logs, *, now: Callable[[], datetime]) -> None:
        self._resources = resources
        self._logs = logs
        self._expiry = EventExpiry(now)
        self._pods = resources.built_in("", PODS)
        self._namespaces = resources.built_in("", "namespaces")
        self._definitions = resources.built_in("apiextensions.k8s.io", "customresourcedefinitions")
        self._terminating: set[str] = set()
        """Terminating namespaces that still have content."""

    def is_namespace(self, resource: Resource) -> bool:
        """Return whether this is the resource of namespaces."""
        return resource is self._namespaces

    def check_creation(self, resource: Resource, namespace: str, name: str) -> None:
        """Raise StatusError (403, 404) unless the namespace accepts new objects."""
        if not resource.served.namespaced:
            return
        if self._namespaces.store.get(namespace) is None:
            raise not_found(self._namespaces.served, namespace)
        if namespace in self._terminating:
            served = resource.served
            cause = Cause(
                "metadata.namespace",
                "NamespaceTerminating",
                f"namespace {namespace} is being terminated",
            )
            raise forbidden(
                f'{served.qualified} "{name}" is forbidden: unable to create new content in '
                f"namespace {namespace} because it is being terminated",
                details=details_of(served, name),
                causes=[cause],
            )

    def check_deletion(self, resource: Resource, entry: Entry) -> None:
        """Raise StatusError (403) for protected namespaces."""
        if self.is_namespace(resource) and entry.name in _UNDELETABLE:
            raise forbidden(
                f'namespaces "{entry.name}" is forbidden: this namespace may not be deleted',
                details=details_of(resource.served, entry.name),
            )

    def prepared(self, resource: Resource, obj: Object, *, name: str) -> Object:
        """Add what the server sets before validation."""
        if self.is_namespace(resource):
            return _named_namespace(obj, name)
        return obj

    def established(
        self, resource: Resource, obj: Object, *, now: str, before: Object | None = None
    ) -> Object:
        """Add what the server sets after validation. Raises StatusError (422) for an invalid definition."""
        if resource.served.resource == EVENTS:
            return complete_event(obj)
        if self.is_namespace(resource) and before is None:
            return _held_namespace(obj)
        if resource is not self._definitions:
            return obj
        causes = definitions.definition_causes(obj)
        if causes:
            served = resource.served
            raise unprocessable(served.kind, served.group, obj["metadata"]["name"], causes)
        kept = {**obj, "status": before.get("status")} if before else obj
        return definitions.with_status(definitions.complete(kept), now=now)

    def stored(self, resource: Resource, entry: Entry, obj: Object) -> None:
        """Apply the consequences of a stored object: a definition is served, an Event expires."""
        if resource.served.resource == EVENTS:
            self._expiry.wrote(resource.store, entry)
        elif resource is self._definitions:
            self._resources.define(obj["metadata"]["name"], definitions.served_by(obj))

    def holds(self, resource: Resource, obj: Object) -> bool:
        """Return whether the deletion of an object waits for its content."""
        spec = as_object(obj.get("spec")) or {}
        return self.is_namespace(resource) and bool(spec.get("finalizers"))

    def marked(self, resource: Resource, obj: Object) -> Object:
        """Set the state of a terminating namespace."""
        if not self.is_namespace(resource):
            return obj
        metadata = dict(obj["metadata"])
        metadata.pop("deletionGracePeriodSeconds", None)
        self._terminating.add(metadata["name"])
        return {**obj, "metadata": metadata, "status": {"phase": "Terminating"}}

    def content(self, resource: Resource, entry: Entry) -> Iterator[tuple[Resource, Entry]]:
        """Yield the content of a namespace."""
        if self.is_namespace(resource):
            yield from self._content(entry.name)

    def over(self, namespace: str) -> tuple[Resource, Entry] | None:
        """Return the namespace if it is terminating, empty, and without finalizers."""
        if namespace not in self._terminating or next(self._content(namespace), None) is not None:
            return None
        entry = self._namespaces.store.get(namespace)
        if entry is not None and self._namespaces.object(entry)["metadata"].get("finalizers"):
            return None
        self._terminating.discard(namespace)
        return None if entry is None else (self._namespaces, entry)

    def instances(self, resource: Resource, entry: Entry) -> Iterator[tuple[Resource, Entry]]:
        """Yield the custom resources of a definition, which are deleted with it."""
        if resource is self._definitions:
            for one in self._resources.defined(entry.name)[:1]:
                yield from ((one, each) for each in one.store.now())

    def removed(self, resource: Resource, entry: Entry) -> None:
        """Remove what belongs to an object: the resources of a definition, the logs of a pod."""
        if resource is self._definitions:
            self._resources.define(entry.name, [])
        elif resource is self._pods:
            self._logs.forget(entry.uid)

    def _content(self, namespace: str) -> Iterator[tuple[Resource, Entry]]:
        prefix = f"{namespace}/"
        stores = {id(one.store): one for one in self._resources if one.served.namespaced}
        for resource in stores.values():
            for entry in resource.store.now():
                if entry.key.startswith(prefix):
                    yield resource, entry


def _named_namespace(obj: Object, name: str) -> Object:
    metadata = as_object(obj.get("metadata")) or {}
    labels = {**(as_object(metadata.get("labels")) or {}), _NAME_LABEL: name}
    return {**obj, "metadata": {**metadata, "labels": labels}}


def _held_namespace(obj: Object) -> Object:
    spec = as_object(obj.get("spec")) or {}
    finalizers = dict.fromkeys([*(spec.get("finalizers") or []), _HELD])
    return {**obj, "spec": {**spec, "finalizers": list(finalizers)}}


def deletion_response(resource: Resource, entry: Entry) -> bytes:
    """Build the body of a delete response: the object, or a Status."""
    if resource.kind.returns_deleted:
        return resource.whole(entry)
    details = details_of(resource.served, entry.name) | {"uid": entry.uid}
    return msgspec.json.encode(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
    )


def check_preconditions(resource: Resource, entry: Entry, options: DeleteOptions) -> None:
    """Raise StatusError (409) unless the preconditions of the delete hold."""
    if options.uid and options.uid != entry.uid:
        raise _unmet(
            resource,
            entry,
            f"the UID in the precondition ({options.uid}) does not match the UID in record "
            f"({entry.uid}). The object might have been deleted and then recreated",
        )
    if options.version and options.version != str(entry.version):
        raise _unmet(
            resource,
            entry,
            f"the ResourceVersion in the precondition ({options.version}) does not match the "
            f"ResourceVersion in record ({entry.version}). The object might have been modified",
        )


def _unmet(resource: Resource, entry: Entry, why: str) -> StatusError:
    """Build the conflict, which names the kind, not the resource."""
    refused = conflict(resource.served, entry.name, why)
    kind = resource.served.kind
    group = f".{resource.served.group}" if resource.served.group else ""
    message = f'Operation cannot be fulfilled on {kind}{group} "{entry.name}": {why}'
    details = refused.status["details"] | {"kind": kind}
    return StatusError(refused.code, refused.reason, message, details=details)


MAXIMUM_BYTES = 1536 * 1024
"""Bound of one stored object: etcd's default request size."""


@dataclass(frozen=True, slots=True)
class WriteResult:
    """The response to a write."""

    code: int
    body: bytes
    warnings: tuple[str, ...] = ()


class Registry:
    """All writes to the stores. Each is one synchronous step, so that no other request sees a part of it."""

    def __init__(self, strategy: Strategy, lifecycle: Lifecycle) -> None:
        self._strategy = strategy
        self._lifecycle = lifecycle

    def create(
        self, call: Call, given: Object, options: WriteOptions, *, written: bytes
    ) -> WriteResult:
        """Create an object. Raises StatusError."""
        obj = call.resource.stored_form(check_kind(given, call.resource, written=written))
        return self._create(call, obj, options)

    def _create(
        self, call: Call, obj: Object, options: WriteOptions, *, applied: bool = False
    ) -> WriteResult:
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
            return WriteResult(
                HTTPStatus.CREATED, _encode_unstored(resource, final), prepared.warnings
            )
        entry = self._put(resource, key, final)
        return WriteResult(HTTPStatus.CREATED, resource.whole(entry), prepared.warnings)

    def update(
        self, call: Call, given: Object, options: WriteOptions, *, written: bytes
    ) -> WriteResult:
        """Replace an object or its status. Raises StatusError."""
        resource = call.resource
        check_name(call, given)
        obj = resource.stored_form(check_kind(given, resource, written=written))
        entry = self._found(call)
        check_namespace(call, obj.get("metadata") or {})
        if not resource.kind.unconditional and not obj["metadata"].get("resourceVersion"):
            cause = invalid("metadata.resourceVersion", 0, "must be specified for an update")
            served = resource.served
            raise unprocessable(served.resource, served.group, call.name, [cause])
        return self._replace(call, entry, obj, options)

    def patch(self, call: Call, patch: Patch, options: WriteOptions) -> WriteResult:
        """Patch or apply; an apply creates a missing object. Raises StatusError."""
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
        self, call: Call, entry: Entry, obj: Object, options: WriteOptions, *, applied: bool = False
    ) -> WriteResult:
        resource = call.resource
        live = resource.object(entry)
        if not call.subresource:
            obj = self._lifecycle.prepared(resource, obj, name=call.name)
        prepared = self._strategy.changed(call, live, obj, options, applied=applied)
        after = self._lifecycle.established(
            resource, prepared.obj, now=self._strategy.time(), before=live
        )
        if options.dry_run:
            return WriteResult(HTTPStatus.OK, _encode_unstored(resource, after), prepared.warnings)
        if after == live:
            return WriteResult(HTTPStatus.OK, resource.whole(entry), prepared.warnings)
        if _is_free_to_go(after):
            body = _encode_unstored(resource, after)
            self._remove(resource, entry)
            return WriteResult(HTTPStatus.OK, body, prepared.warnings)
        changed = self._put(resource, call.key, after)
        if self._lifecycle.is_namespace(resource):
            self._finish(call.name)
        return WriteResult(HTTPStatus.OK, resource.whole(changed), prepared.warnings)

    def delete(self, call: Call, options: DeleteOptions) -> WriteResult:
        """Delete an object, or mark it as terminating if it has finalizers. Raises StatusError."""
        resource, entry = call.resource, self._found(call)
        check_preconditions(resource, entry, options)
        self._lifecycle.check_deletion(resource, entry)
        if options.dry_run:
            return WriteResult(HTTPStatus.OK, deletion_response(resource, entry))
        return self._delete(resource, entry)

    def delete_collection(
        self, call: Call, selected: Matches, options: DeleteOptions
    ) -> list[Entry]:
        """Delete the selected objects, and return their last states."""
        resource = call.resource
        prefix = f"{call.namespace}/" if call.namespace else ""
        found = [
            one for one in resource.store.now() if one.key.startswith(prefix) and selected(one)
        ]
        for entry in found:
            if not options.dry_run:
                self._delete(resource, entry)
        return found

    def _delete(self, resource: Resource, entry: Entry) -> WriteResult:
        obj = resource.object(entry)
        if self._lifecycle.holds(resource, obj) or obj["metadata"].get("finalizers"):
            marked = self._mark(resource, entry, obj)
            body = resource.whole(marked)
            self._empty(resource, marked)
            return WriteResult(HTTPStatus.OK, body)
        body = deletion_response(resource, entry)
        self._remove(resource, entry)
        return WriteResult(HTTPStatus.OK, body)

    def _mark(self, resource: Resource, entry: Entry, obj: Object) -> Entry:
        """Mark an object as terminating, once."""
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
        """Delete the content of a terminating namespace, then the namespace."""
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
    """Drop the resourceVersion, which an apply that creates ignores."""
    metadata = {at: it for at, it in obj["metadata"].items() if at != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _is_free_to_go(obj: Object) -> bool:
    """Return whether an object is terminating and without finalizers."""
    metadata: Mapping[str, object] = obj["metadata"]
    spec = (as_object(obj.get("spec")) or {}) if obj["kind"] == "Namespace" else {}
    held = metadata.get("finalizers") or spec.get("finalizers")
    return bool(metadata.get("deletionTimestamp") and not held)


def _encode_unstored(resource: Resource, obj: Object) -> bytes:
    """Encode an object that is not stored, in the form of this group and version."""
    if resource.kind is NEW_EVENTS:
        return msgspec.json.encode(to_new_event(obj))
    return msgspec.json.encode(obj)
