"""What the stored objects themselves bring about: namespaces hold content, definitions serve resources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from demo.apiserver import definitions
from demo.apiserver.answers import forbidden, named, not_found, unprocessable
from demo.apiserver.causes import Cause
from demo.apiserver.documents import Object, as_object
from demo.apiserver.events import Expiry, completed
from demo.apiserver.history import Entry
from demo.apiserver.kinds import EVENTS, PODS
from demo.apiserver.logs import Logs
from demo.apiserver.resources import Resource, Resources

_UNDELETABLE = {"default", "kube-system", "kube-public"}
_HELD = "kubernetes"
"""The finalizer with which a namespace waits for its content to go."""

_NAME_LABEL = "kubernetes.io/metadata.name"


class Lifecycle:
    """Namespaces and definitions, which mean something to the server."""

    def __init__(self, resources: Resources, logs: Logs, *, now: Callable[[], datetime]) -> None:
        self._resources = resources
        self._logs = logs
        self._expiry = Expiry(now)
        self._pods = resources.built_in("", PODS)
        self._namespaces = resources.built_in("", "namespaces")
        self._definitions = resources.built_in("apiextensions.k8s.io", "customresourcedefinitions")
        self._terminating: set[str] = set()
        """Namespaces that are to go and still hold something."""

    def is_namespace(self, resource: Resource) -> bool:
        """Whether the objects of this resource hold others."""
        return resource is self._namespaces

    def check_creation(self, resource: Resource, namespace: str, name: str) -> None:
        """Raise RefusedError (403, 404) where no object may come into being."""
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
                details=named(served, name),
                causes=[cause],
            )

    def check_deletion(self, resource: Resource, entry: Entry) -> None:
        """Raise RefusedError (403) for what may not be deleted."""
        if self.is_namespace(resource) and entry.name in _UNDELETABLE:
            raise forbidden(
                f'namespaces "{entry.name}" is forbidden: this namespace may not be deleted',
                details=named(resource.served, entry.name),
            )

    def prepared(self, resource: Resource, obj: Object, *, name: str) -> Object:
        """The object of a client with what the server adds to it before it is judged."""
        if self.is_namespace(resource):
            return _named_namespace(obj, name)
        return obj

    def established(
        self, resource: Resource, obj: Object, *, now: str, before: Object | None = None
    ) -> Object:
        """The object with what the server says of it; raises RefusedError (422) for a definition."""
        if resource.served.resource == EVENTS:
            return completed(obj)
        if self.is_namespace(resource) and before is None:
            return _held_namespace(obj)
        if resource is not self._definitions:
            return obj
        causes = definitions.checked(obj)
        if causes:
            served = resource.served
            raise unprocessable(served.kind, served.group, obj["metadata"]["name"], causes)
        kept = {**obj, "status": before.get("status")} if before else obj
        return definitions.established(definitions.completed(kept), now=now)

    def stored(self, resource: Resource, entry: Entry, obj: Object) -> None:
        """What follows from an object that was stored: what a definition says is served."""
        if resource.served.resource == EVENTS:
            self._expiry.wrote(resource.store, entry)
        elif resource is self._definitions:
            self._resources.define(obj["metadata"]["name"], definitions.served_by(obj))

    def holds(self, resource: Resource, obj: Object) -> bool:
        """Whether an object waits, once its deletion was asked for, for others to go."""
        spec = as_object(obj.get("spec")) or {}
        return self.is_namespace(resource) and bool(spec.get("finalizers"))

    def marked(self, resource: Resource, obj: Object) -> Object:
        """An object whose deletion was asked for, as it shows that."""
        if not self.is_namespace(resource):
            return obj
        metadata = dict(obj["metadata"])
        metadata.pop("deletionGracePeriodSeconds", None)
        self._terminating.add(metadata["name"])
        return {**obj, "metadata": metadata, "status": {"phase": "Terminating"}}

    def content(self, resource: Resource, entry: Entry) -> Iterator[tuple[Resource, Entry]]:
        """What a namespace holds, if this is one."""
        if self.is_namespace(resource):
            yield from self._content(entry.name)

    def over(self, namespace: str) -> tuple[Resource, Entry] | None:
        """The namespace itself, if it is to go, holds nothing any more, and nobody holds it."""
        if namespace not in self._terminating or next(self._content(namespace), None) is not None:
            return None
        entry = self._namespaces.store.get(namespace)
        if entry is not None and self._namespaces.object(entry)["metadata"].get("finalizers"):
            return None
        self._terminating.discard(namespace)
        return None if entry is None else (self._namespaces, entry)

    def instances(self, resource: Resource, entry: Entry) -> Iterator[tuple[Resource, Entry]]:
        """The objects that a definition serves, if this is one: they go with it."""
        if resource is self._definitions:
            for one in self._resources.defined(entry.name)[:1]:
                yield from ((one, each) for each in one.store.now())

    def removed(self, resource: Resource, entry: Entry) -> None:
        """What goes with an object: what a definition served, and the logs of a pod."""
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
