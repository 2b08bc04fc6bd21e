"""What becomes of an object on its way into the store: what is filled in, kept, counted and refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from uuid import UUID

from demo.apiserver.answers import bad_request, internal
from demo.apiserver.apply import tracked
from demo.apiserver.bodies import metadata_of
from demo.apiserver.calls import Call
from demo.apiserver.causes import Cause
from demo.apiserver.checks import (
    check_identity,
    check_namespace,
    finalizer_causes,
    name_causes,
    refuse,
)
from demo.apiserver.documents import Object, Schema, as_object
from demo.apiserver.events import complaints
from demo.apiserver.kinds import EVENTS
from demo.apiserver.names import generated, metadata_complaints
from demo.apiserver.options import Writing
from demo.apiserver.resources import Resource
from demo.apiserver.schema import defaulted, pruned, unknown_fields, violations

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
"""What of the metadata is the server's: an update leaves it as it is."""

_GIVEN = ("labels", "annotations", "ownerReferences", "finalizers", "managedFields")
"""What of the metadata is the client's. Of everything else nothing is known."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """An object that is fit to be stored, and what there was to complain of."""

    obj: Object
    warnings: tuple[str, ...] = ()


def stamp(at: datetime) -> str:
    """A time to the second, as metadata has it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Strategy:
    """Prepares objects; time and chance come from outside."""

    def __init__(self, *, now: Callable[[], datetime], chance: Random) -> None:
        self._now = now
        self._chance = chance
        self._second: datetime | None = None
        self._stamp = ""

    def time(self) -> str:
        """Now, to the second, as metadata has it; written out once a second."""
        now = self._now()
        second = now.replace(microsecond=0)
        if second != self._second:
            self._second, self._stamp = second, stamp(second)
        return self._stamp

    def uid(self) -> str:
        """A new uid."""
        return str(UUID(int=self._chance.getrandbits(_UUID_BITS), version=_UUID_VERSION))

    def name(self, call: Call, given: Object) -> str:
        """The name of a new object, made up where only its beginning is given.

        Raises RefusedError (400, 500) for metadata that cannot be.
        """
        served = call.resource.served
        metadata = metadata_of(given, kind=served.kind, version=served.version)
        if metadata.get("resourceVersion"):
            raise internal("resourceVersion should not be set on objects to be created")
        check_namespace(call, metadata)
        prefix = metadata.get("generateName") or ""
        return metadata.get("name") or (generated(prefix, self._chance) if prefix else "")

    def new(
        self, call: Call, given: Object, options: Writing, *, name: str, applied: bool
    ) -> Prepared:
        """A new object; raises RefusedError (400, 422)."""
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
        judged = _judged(obj, resource, options, own=metadata, applied=applied)
        causes = [*name_causes(metadata, name, resource), *metadata_complaints(fresh)]
        refuse(call, name, [*causes, *violations_of(judged.obj, resource, old=None)])
        return judged if applied else self._tracked(None, judged, call, options)

    def changed(
        self, call: Call, live: Object, given: Object, options: Writing, *, applied: bool = False
    ) -> Prepared:
        """An object as an update leaves it, whatever it says of itself that is the server's.

        Raises RefusedError (400, 409, 422).
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
        judged = _judged(obj, resource, options, own=metadata, applied=applied)
        causes = [*metadata_complaints(own), *finalizer_causes(before, own)]
        refuse(call, call.name, [*causes, *violations_of(judged.obj, resource, old=live)])
        if applied:
            return _counted(live, judged, call)
        return _counted(live, self._tracked(live, judged, call, options), call)

    def _tracked(
        self, live: Object | None, judged: Prepared, call: Call, options: Writing
    ) -> Prepared:
        served = call.resource.served
        obj = tracked(
            live,
            judged.obj,
            manager=options.manager,
            now=self.time(),
            api_version=served.api_version,
            subresource=call.subresource,
            schema=served.schema,
            has_status=served.has_status,
        )
        return Prepared(obj, judged.warnings)


def _reset_status(obj: Object, resource: Resource) -> None:
    """The status of a new object is the server's to say, but for kinds that come with theirs."""
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


def _judged(
    obj: Object, resource: Resource, options: Writing, *, own: Object, applied: bool
) -> Prepared:
    """Without what its schema does not know, and with its defaults; raises RefusedError (400).

    What was applied is only given its defaults: nothing in it is unknown, and its nulls count.
    """
    schema: Schema | None = resource.served.schema
    told: list[str] = []
    if schema is not None and options.validation != "Ignore":
        extra = (name for name in own if name not in _KEPT and name not in _GIVEN)
        told = [f'unknown field "metadata.{name}"' for name in extra] + unknown_fields(schema, obj)
    if told and options.validation == "Strict":
        served = resource.served
        raise bad_request(
            f'{served.kind} in version "{served.version}" cannot be handled as a {served.kind}: '
            f"strict decoding error: {', '.join(told)}"
        )
    if schema is not None:
        obj = defaulted(schema, obj if applied else pruned(schema, obj))
    return Prepared(obj, tuple(told))


def violations_of(obj: Object, resource: Resource, *, old: Object | None) -> list[Cause]:
    """What is wrong by the schema of a custom resource, or with an Event."""
    schema = resource.served.schema
    if schema is not None:
        return violations(schema, obj, old=old)
    if resource.served.resource == EVENTS and old is None:
        return list(complaints(obj, newer_group=bool(resource.served.group)))
    return []


def _counted(live: Object, judged: Prepared, call: Call) -> Prepared:
    """With one generation more if what is wanted of it changed."""
    resource = call.resource
    if not resource.kind.generations or call.subresource:
        return judged
    if _wanted(live, resource) == _wanted(judged.obj, resource):
        return judged
    metadata = judged.obj["metadata"]
    counted = {**metadata, "generation": metadata.get("generation", 0) + 1}
    return Prepared({**judged.obj, "metadata": counted}, judged.warnings)


def _wanted(obj: Object, resource: Resource) -> Object:
    if not resource.custom:
        return {"spec": obj.get("spec")}
    reported = {"metadata", "status"} if resource.served.has_status else {"metadata"}
    return {at: it for at, it in obj.items() if at not in reported}
