"""Preparation of an object for the store: metadata, defaults, validation, generation, managed fields."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from demo.apiserver.apply import track_update
from demo.apiserver.bodies import (
    check_identity,
    check_namespace,
    finalizer_causes,
    metadata_of,
    new_name_causes,
    refuse_causes,
)
from demo.apiserver.documents import Object, Schema, as_object
from demo.apiserver.errors import bad_request, internal
from demo.apiserver.kinds import EVENTS
from demo.apiserver.requests import Call, WriteOptions
from demo.apiserver.resources import Resource, event_causes
from demo.apiserver.schema import apply_defaults, prune, unknown_fields, violations
from demo.apiserver.validation import Cause, generate_name, metadata_causes

_UUID_BITS = 128
_UUID_VERSION = 4

_KEPT = (
    "name",
    "generateName",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
"""Metadata fields owned by the server: an update keeps them."""

_GIVEN = ("labels", "annotations", "ownerReferences", "finalizers", "managedFields")
"""Metadata fields set by clients; others are unknown."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A validated object, and warnings."""

    obj: Object
    warnings: tuple[str, ...] = ()


def timestamp(at: datetime) -> str:
    """Format a time to the second (metav1.Time)."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Strategy:
    """Prepares objects for the store; time and randomness are parameters."""

    def __init__(self, *, now: Callable[[], datetime], chance: Random) -> None:
        self._now = now
        self._chance = chance
        self._second: datetime | None = None
        self._stamp = ""

    def time(self) -> str:
        """Return the time to the second, formatted once per second."""
        now = self._now()
        second = now.replace(microsecond=0)
        if second != self._second:
            self._second, self._stamp = second, timestamp(second)
        return self._stamp

    def uid(self) -> str:
        """Return a new uid."""
        return str(UUID(int=self._chance.getrandbits(_UUID_BITS), version=_UUID_VERSION))

    def name(self, call: Call, given: Object) -> str:
        """Return the name of a new object, generated from `generateName` if it has none.

        Raises StatusError (400, 500) for invalid metadata.
        """
        served = call.resource.served
        metadata = metadata_of(given, kind=served.kind, version=served.version)
        if metadata.get("resourceVersion"):
            raise internal("resourceVersion should not be set on objects to be created")
        check_namespace(call, metadata)
        prefix = metadata.get("generateName") or ""
        return metadata.get("name") or (generate_name(prefix, self._chance) if prefix else "")

    def new(
        self, call: Call, given: Object, options: WriteOptions, *, name: str, applied: bool
    ) -> Prepared:
        """Prepare a new object. Raises StatusError (400, 422)."""
        resource, served = call.resource, call.resource.served
        metadata = as_object(given.get("metadata")) or {}
        fresh = {
            "name": name,
            "generateName": metadata.get("generateName"),
            "namespace": call.namespace,
            "uid": self.uid(),
            "generation": 1 if resource.kind.generations else None,
            "creationTimestamp": self.time(),
            **{at: metadata.get(at) for at in _GIVEN},
        }
        obj = {**given, "metadata": {at: it for at, it in fresh.items() if it}}
        if served.has_status:
            _reset_status(obj, resource)
        prepared = _validated(obj, resource, options, own=metadata, applied=applied)
        causes = [*new_name_causes(metadata, name, resource), *metadata_causes(fresh)]
        refuse_causes(call, name, [*causes, *violations_of(prepared.obj, resource, old=None)])
        return prepared if applied else self._tracked(None, prepared, call, options)

    def changed(
        self,
        call: Call,
        live: Object,
        given: Object,
        options: WriteOptions,
        *,
        applied: bool = False,
    ) -> Prepared:
        """Prepare an updated object, keeping the metadata owned by the server.

        Raises StatusError (400, 409, 422).
        """
        resource, served = call.resource, call.resource.served
        metadata = metadata_of(given, kind=served.kind, version=served.version)
        before = live["metadata"]
        check_identity(call, before, metadata, applied=applied)
        kept = {at: before[at] for at in _KEPT if at in before}
        if call.subresource:
            obj = _of_subresource(call.subresource, live, given)
            own = dict(before)
            if applied:
                own |= {at: metadata[at] for at in ("managedFields",) if metadata.get(at)}
        else:
            obj = _of_main(live, given, keeps_status=served.has_status)
            own = kept | {at: metadata[at] for at in _GIVEN if metadata.get(at)}
        obj["metadata"] = own
        prepared = _validated(obj, resource, options, own=metadata, applied=applied)
        causes = [*metadata_causes(own), *finalizer_causes(before, own)]
        refuse_causes(call, call.name, [*causes, *violations_of(prepared.obj, resource, old=live)])
        if applied:
            return _with_generation(live, prepared, call)
        return _with_generation(live, self._tracked(live, prepared, call, options), call)

    def _tracked(
        self, live: Object | None, prepared: Prepared, call: Call, options: WriteOptions
    ) -> Prepared:
        served = call.resource.served
        obj = track_update(
            live,
            prepared.obj,
            manager=options.manager,
            now=self.time(),
            api_version=served.api_version,
            subresource=call.subresource,
            schema=served.schema,
            has_status=served.has_status,
        )
        return Prepared(obj, prepared.warnings)


def _reset_status(obj: Object, resource: Resource) -> None:
    """Replace the client's status of a new object, except for kinds that keep it."""
    if resource.custom:
        obj.pop("status", None)
    elif resource.kind.status is not None:
        obj["status"] = dict(resource.kind.status)


def _of_main(live: Object, given: Object, *, keeps_status: bool) -> Object:
    if not keeps_status:
        return dict(given)
    obj = {at: it for at, it in given.items() if at != "status"}
    return obj | ({"status": live["status"]} if "status" in live else {})


def _of_subresource(subresource: str, live: Object, given: Object) -> Object:
    if subresource == "finalize":
        spec = as_object(given.get("spec")) or {}
        return {**live, "spec": {"finalizers": spec.get("finalizers") or []}}
    obj = {at: it for at, it in live.items() if at != "status"}
    return obj | ({"status": given["status"]} if given.get("status") is not None else {})


def _validated(
    obj: Object, resource: Resource, options: WriteOptions, *, own: Object, applied: bool
) -> Prepared:
    """Prune unknown fields and apply defaults. Raises StatusError (400) under strict validation.

    An applied object is only defaulted: it has no unknown fields, and its nulls count.
    """
    schema: Schema | None = resource.served.schema
    unknown: list[str] = []
    if schema is not None and options.validation != "Ignore":
        extra = (name for name in own if name not in _KEPT and name not in _GIVEN)
        unknown = [f'unknown field "metadata.{name}"' for name in extra] + unknown_fields(
            schema, obj
        )
    if unknown and options.validation == "Strict":
        served = resource.served
        raise bad_request(
            f'{served.kind} in version "{served.version}" cannot be handled as a {served.kind}: '
            f"strict decoding error: {', '.join(unknown)}"
        )
    if schema is not None:
        obj = apply_defaults(schema, obj if applied else prune(schema, obj))
    return Prepared(obj, tuple(unknown))


def violations_of(obj: Object, resource: Resource, *, old: Object | None) -> list[Cause]:
    """Validate against the schema of a custom resource, or the rules of Events."""
    schema = resource.served.schema
    if schema is not None:
        return violations(schema, obj, old=old)
    if resource.served.resource == EVENTS and old is None:
        return list(event_causes(obj, newer_group=bool(resource.served.group)))
    return []


def _with_generation(live: Object, prepared: Prepared, call: Call) -> Prepared:
    """Increment the generation if the desired state changed."""
    resource = call.resource
    if not resource.kind.generations or call.subresource:
        return prepared
    if _desired_state(live, resource) == _desired_state(prepared.obj, resource):
        return prepared
    metadata = prepared.obj["metadata"]
    counted = {**metadata, "generation": metadata.get("generation", 0) + 1}
    return Prepared({**prepared.obj, "metadata": counted}, prepared.warnings)


def _desired_state(obj: Object, resource: Resource) -> Object:
    if not resource.custom:
        return {"spec": obj.get("spec")}
    reported = {"metadata", "status"} if resource.served.has_status else {"metadata"}
    return {at: it for at, it in obj.items() if at not in reported}
