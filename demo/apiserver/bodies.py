"""What comes in a request: JSON or YAML, and whether it is of the kind that the path takes."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import yaml

from demo.apiserver.answers import RefusedError, bad_request, unknown_format, unprocessable
from demo.apiserver.causes import invalid
from demo.apiserver.documents import Object, Value, as_object
from demo.apiserver.resources import Resource

JSON = "application/json"
YAML = "application/yaml"
MAXIMUM_BYTES = 3 * 1024 * 1024
"""Of a body; what is stored may be half of that."""

_SHOWN = 30
_PARSED = "couldn't get version/kind; json parse error"


class _Plain(yaml.SafeLoader):
    """YAML as JSON has it: a time stamp is a string."""


_Plain.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def media_type(content_type: str) -> str:
    """The type without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read(body: bytes, content_type: str, *, kind: str) -> Object:
    """The object that a body holds; raises RefusedError (400, 415)."""
    kind_of_body = media_type(content_type) or JSON
    if kind_of_body == YAML:
        return from_yaml(body, kind=kind)
    if kind_of_body != JSON:
        raise unknown_format((JSON, YAML))
    try:
        value: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = "unexpected end of JSON input" if "truncated" in str(error) else str(error)
        raise _unrecognized(kind, f"{_PARSED}: {why}", body) from None
    obj = as_object(value)
    if obj is None:
        raise _unrecognized(kind, f"{_PARSED}: it is no JSON object", body)
    return obj


def from_yaml(body: bytes, *, kind: str) -> Object:
    """The object that a YAML (or JSON) body holds; raises RefusedError (400)."""
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


def typed(obj: Object, resource: Resource, *, written: bytes) -> Object:
    """The object, if it is of the resource's kind; kind and apiVersion are filled in where they may lack.

    Raises RefusedError (400, 422).
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


def _unrecognized(kind: str, why: str, body: bytes) -> RefusedError:
    shown = body[:_SHOWN].decode(errors="replace")
    more = " ..." if len(body) > _SHOWN else ""
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind}): {why} ({shown}{more})"
    )


def metadata_of(obj: Object, *, kind: str, version: str) -> dict[str, Any]:
    """The metadata, with strings where strings belong; raises RefusedError (400)."""
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
    """Raise RefusedError (400) unless it is an object of strings, or nothing."""
    pairs = {} if held is None else as_object(held)
    if pairs is None:
        raise _mistyped(kind, version, held, where, "map[string]string")
    for one in pairs.values():
        if not isinstance(one, str):
            raise _mistyped(kind, version, one, where, "string")


def _mistyped(kind: str, version: str, found: Value, field: str, wanted: str) -> RefusedError:
    names = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    name = names.get(cast("type[Any]", type(found)), "object")
    return bad_request(
        f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal '
        f"{name} into Go struct field {field} of type {wanted}"
    )
