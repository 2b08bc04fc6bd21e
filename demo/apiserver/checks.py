"""What a request must agree with: its path, the object as it is, and the form of names."""

from __future__ import annotations

from collections.abc import Iterator

from demo.apiserver.answers import bad_request, conflict, unprocessable
from demo.apiserver.bodies import metadata_of
from demo.apiserver.calls import Call
from demo.apiserver.causes import Cause, invalid, required
from demo.apiserver.documents import Object, as_list
from demo.apiserver.names import added_finalizers, name_complaints, prefix_complaints
from demo.apiserver.resources import Resource


def refuse(call: Call, name: str, causes: list[Cause]) -> None:
    """Raise RefusedError (422) if there is any cause."""
    served = call.resource.served
    if causes:
        raise unprocessable(served.kind, served.group, name, causes)


def check_namespace(call: Call, metadata: Object) -> None:
    """Raise RefusedError (400) if an object says it lives elsewhere than its path does."""
    namespace = metadata.get("namespace") or ""
    if namespace and namespace != call.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_name(call: Call, given: Object) -> None:
    """Raise RefusedError (400) if an object has another name than its path."""
    served = call.resource.served
    name = metadata_of(given, kind=served.kind, version=served.version).get("name") or ""
    if not name:
        raise bad_request(
            f"the name of the object ({call.name} based on URL) was undeterminable: "
            "name must be provided"
        )
    if name != call.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({call.name})"
        )


def check_identity(call: Call, before: Object, metadata: Object, *, applied: bool) -> None:
    """Raise RefusedError (409, 422) if an update is made for another state, or another object."""
    served, version = call.resource.served, metadata.get("resourceVersion")
    if version and version != before["resourceVersion"]:
        raise conflict(served, call.name)
    uid = metadata.get("uid")
    if not uid or uid == before["uid"]:
        return
    if applied or call.verb == "patch":
        cause = invalid("metadata.uid", uid, "field is immutable")
        raise unprocessable(served.kind, served.group, call.name, [cause])
    group = f"{served.group}/" if call.resource.custom else ""
    raise conflict(
        served,
        call.name,
        f"StorageError: invalid object, Code: 4, Key: /registry/{group}{served.resource}/{call.key}, "
        f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, "
        f"UID in object meta: {before['uid']}",
    )


def name_causes(metadata: Object, name: str, resource: Resource) -> Iterator[Cause]:
    """What is wrong with the name of a new object."""
    form = resource.kind.name_form
    if not name:
        yield required("metadata.name", "name or generateName is required")
        return
    prefix = str(metadata.get("generateName") or "")
    if prefix:
        yield from prefix_complaints(prefix, form=form)
    yield from name_complaints(name, "metadata.name", form=form)


def finalizer_causes(before: Object, after: Object) -> Iterator[Cause]:
    """What is wrong with the finalizers of an object that is to go."""
    if before.get("deletionTimestamp"):
        yield from added_finalizers(
            as_list(before.get("finalizers")) or [], as_list(after.get("finalizers")) or []
        )
