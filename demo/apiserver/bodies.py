"""Request bodies: JSON or YAML, checked against the kind, the name and the namespace of the request's path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import msgspec
import yaml

from demo.apiserver import protobuf
from demo.apiserver.documents import Object, Value, as_list, as_object
from demo.apiserver.errors import (
    StatusError,
    bad_request,
    conflict,
    unprocessable,
    unsupported_media_type,
)
from demo.apiserver.requests import Call
from demo.apiserver.resources import Resource
from demo.apiserver.validation import (
    Cause,
    added_finalizer_causes,
    invalid,
    name_causes,
    prefix_causes,
    required,
)

JSON = "application/json"
YAML = "application/yaml"
MAXIMUM_BYTES = 3 * 1024 * 1024
"""Bound of a request body; a stored object may have half of it."""

_SHOWN = 30
_PARSED = "couldn't get version/kind; json parse error"


class _Plain(yaml.SafeLoader):
    """YAML loader with JSON's types: timestamps are strings."""


_Plain.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def media_type(content_type: str) -> str:
    """Return the media type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_object(body: bytes, content_type: str, resource: Resource) -> Object:
    """Decode the object of a create or an update. Raises StatusError (400, 415).

    As on a genuine server, custom resources have no protobuf.
    """
    kind = resource.served.kind
    kind_of_body = media_type(content_type) or JSON
    if kind_of_body == protobuf.MEDIA_TYPE and not resource.custom:
        try:
            return protobuf.decode_object(body)
        except protobuf.ProtobufError as error:
            raise bad_request(f"the protobuf body cannot be decoded: {error}") from None
    if kind_of_body == YAML:
        return read_yaml(body, kind=kind)
    if kind_of_body != JSON:
        raise unsupported_media_type((JSON, YAML))
    try:
        value: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = "unexpected end of JSON input" if "truncated" in str(error) else str(error)
        raise _unrecognized(kind, f"{_PARSED}: {why}", body) from None
    obj = as_object(value)
    if obj is None:
        raise _unrecognized(kind, f"{_PARSED}: it is no JSON object", body)
    return obj


def read_yaml(body: bytes, *, kind: str) -> Object:
    """Decode a YAML or JSON body. Raises StatusError (400)."""
    try:
        value: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            value = yaml.load(body, Loader=_Plain)  # noqa: S506 - it is a safe loader
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise bad_request(f"error decoding YAML: {error}") from None
    obj = as_object(value)
    if obj is None:
        raise _unrecognized(kind, "it is no object", body)
    return obj


def check_kind(obj: Object, resource: Resource, *, written: bytes) -> Object:
    """Check the kind of an object; kind and apiVersion are added where they may be omitted.

    Raises StatusError (400, 422).
    """
    served = resource.served
    kind, api_version = obj.get("kind", ""), obj.get("apiVersion", "")
    if resource.custom:
        _check_custom(obj, resource, written)
    elif (kind and kind != served.kind) or (api_version and api_version != served.api_version):
        raise bad_request(_other_kind(str(kind), str(api_version), resource))
    return {**obj, "apiVersion": served.api_version, "kind": served.kind}


def _check_custom(obj: Object, resource: Resource, written: bytes) -> None:
    served = resource.served
    kind, api_version = obj.get("kind"), str(obj.get("apiVersion") or "")
    if not kind:
        missing = f"Object 'Kind' is missing in '{written.decode(errors='replace')}'"
        raise _unrecognized(served.kind, missing, written)
    if api_version != served.api_version:
        raise bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({served.api_version})"
        )
    if kind != served.kind:
        name = str((as_object(obj.get("metadata")) or {}).get("name", ""))
        cause = invalid("kind", str(kind), f"must be {served.kind}")
        raise unprocessable(str(kind), served.group, name, [cause])


def _other_kind(kind: str, api_version: str, resource: Resource) -> str:
    served = resource.served
    if api_version and api_version != served.api_version:
        return (
            f'{kind or served.kind} in version "{api_version.rpartition("/")[2]}" cannot be handled '
            f'as a {served.kind}: no kind "{kind or served.kind}" is registered for version '
            f'"{api_version}"'
        )
    return (
        f'{kind} in version "{served.version}" cannot be handled as a {served.kind}: converting '
        f"({served.version}.{kind}) to ({served.group or 'core'}.{served.kind}): unknown conversion"
    )


def _unrecognized(kind: str, why: str, body: bytes) -> StatusError:
    shown = body[:_SHOWN].decode(errors="replace")
    more = " ..." if len(body) > _SHOWN else ""
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind}): {why} ({shown}{more})"
    )


def metadata_of(obj: Object, *, kind: str, version: str) -> dict[str, Any]:
    """Return the metadata. Raises StatusError (400) where a string is expected and not found."""
    value: Value = obj.get("metadata")
    if value is None:
        return {}
    metadata = as_object(value)
    if metadata is None:
        raise _mistyped(kind, version, value, "metadata", "v1.ObjectMeta")
    for name in ("name", "namespace", "generateName", "resourceVersion", "uid"):
        if not isinstance(metadata.get(name) or "", str):
            raise _mistyped(kind, version, metadata[name], f"ObjectMeta.metadata.{name}", "string")
    for name in ("labels", "annotations"):
        _check_strings(metadata.get(name), f"ObjectMeta.metadata.{name}", kind, version)
    return metadata


def _check_strings(held: Value, where: str, kind: str, version: str) -> None:
    """Raise StatusError (400) unless it is an object of strings, or null."""
    pairs = {} if held is None else as_object(held)
    if pairs is None:
        raise _mistyped(kind, version, held, where, "map[string]string")
    for one in pairs.values():
        if not isinstance(one, str):
            raise _mistyped(kind, version, one, where, "string")


def _mistyped(kind: str, version: str, found: Value, field: str, wanted: str) -> StatusError:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    name = names.get(cast("type[Any]", type(found)), "object")
    return bad_request(
        f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal '
        f"{name} into Go struct field {field} of type {wanted}"
    )


def refuse_causes(call: Call, name: str, causes: list[Cause]) -> None:
    """Raise StatusError (422) if there are causes."""
    served = call.resource.served
    if causes:
        raise unprocessable(served.kind, served.group, name, causes)


def check_namespace(call: Call, metadata: Object) -> None:
    """Raise StatusError (400) if the object has another namespace than the path."""
    namespace = metadata.get("namespace") or ""
    if namespace and namespace != call.namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def check_name(call: Call, given: Object) -> None:
    """Raise StatusError (400) if the object has another name than the path."""
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
    """Raise StatusError (409, 422) if the update has another resourceVersion or uid."""
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


def new_name_causes(metadata: Object, name: str, resource: Resource) -> Iterator[Cause]:
    """Validate the name of a new object."""
    form = resource.kind.name_form
    if not name:
        yield required("metadata.name", "name or generateName is required")
        return
    prefix = str(metadata.get("generateName") or "")
    if prefix:
        yield from prefix_causes(prefix, form=form)
    yield from name_causes(name, "metadata.name", form=form)


def finalizer_causes(before: Object, after: Object) -> Iterator[Cause]:
    """Validate the finalizers of a terminating object."""
    if before.get("deletionTimestamp"):
        yield from added_finalizer_causes(
            as_list(before.get("finalizers")) or [], as_list(after.get("finalizers")) or []
        )
