"""Kubernetes protobuf, as far as kubectl needs it: bodies of typed creates, and the OpenAPI v2 document.

kubectl's `create namespace`, `create configmap` and the like send protobuf and do not fall back to JSON on a 415, and
its validation reads `/openapi/v2` as protobuf alone. Field numbers are those of the `generated.proto` files of
k8s.io/api and k8s.io/apimachinery, and of gnostic's OpenAPIv2.proto.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping

from demo.apiserver.documents import Object, Schema, Value, as_object

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
OPENAPI_V2_MEDIA_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
DECODED_KINDS = ("ConfigMap", "Deployment", "Namespace", "Secret", "ServiceAccount")

_MAGIC = b"k8s\x00"
_VARINT, _BYTES = 0, 2
_VARINT_BITS = 64
_RAW, _CONTENT_TYPE = 2, 4
"""The fields of runtime.Unknown, the envelope, beside the type (field 1)."""

_Fields = Mapping[int, tuple[str, str]]

_MESSAGES: Mapping[str, _Fields] = {
    "TypeMeta": {1: ("apiVersion", "string"), 2: ("kind", "string")},
    "ObjectMeta": {
        1: ("name", "string"),
        2: ("generateName", "string"),
        3: ("namespace", "string"),
        5: ("uid", "string"),
        6: ("resourceVersion", "string"),
        11: ("labels", "map string"),
        12: ("annotations", "map string"),
        13: ("ownerReferences", "list OwnerReference"),
        14: ("finalizers", "list string"),
    },
    "OwnerReference": {
        1: ("kind", "string"),
        3: ("name", "string"),
        4: ("uid", "string"),
        5: ("apiVersion", "string"),
        6: ("controller", "optional bool"),
        7: ("blockOwnerDeletion", "optional bool"),
    },
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map string"),
        3: ("binaryData", "map bytes"),
        4: ("immutable", "optional bool"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map bytes"),
        3: ("type", "string"),
        4: ("stringData", "map string"),
        5: ("immutable", "optional bool"),
    },
    "Namespace": {1: ("metadata", "ObjectMeta"), 2: ("spec", "NamespaceSpec"), 3: ("", "")},
    "NamespaceSpec": {1: ("finalizers", "list string")},
    "ServiceAccount": {
        1: ("metadata", "ObjectMeta"),
        4: ("automountServiceAccountToken", "optional bool"),
    },
    "Deployment": {1: ("metadata", "ObjectMeta"), 2: ("spec", "DeploymentSpec"), 3: ("", "")},
    "DeploymentSpec": {
        1: ("replicas", "optional int"),
        2: ("selector", "LabelSelector"),
        3: ("template", "PodTemplateSpec"),
        4: ("strategy", "DeploymentStrategy"),
        5: ("minReadySeconds", "int"),
        6: ("revisionHistoryLimit", "optional int"),
        7: ("paused", "bool"),
        9: ("progressDeadlineSeconds", "optional int"),
    },
    "DeploymentStrategy": {1: ("type", "string")},
    "LabelSelector": {1: ("matchLabels", "map string")},
    "PodTemplateSpec": {1: ("metadata", "ObjectMeta"), 2: ("spec", "PodSpec")},
    "PodSpec": {
        2: ("containers", "list Container"),
        3: ("restartPolicy", "string"),
        7: ("nodeSelector", "map string"),
        8: ("serviceAccountName", "string"),
    },
    "Container": {
        1: ("name", "string"),
        2: ("image", "string"),
        3: ("command", "list string"),
        4: ("args", "list string"),
        5: ("workingDir", "string"),
        6: ("ports", "list ContainerPort"),
        7: ("env", "list EnvVar"),
        14: ("imagePullPolicy", "string"),
    },
    "ContainerPort": {
        1: ("name", "string"),
        2: ("hostPort", "int"),
        3: ("containerPort", "int"),
        4: ("protocol", "string"),
        5: ("hostIP", "string"),
    },
    "EnvVar": {1: ("name", "string"), 2: ("value", "string")},
}
"""By message and field number: the JSON name and the type. ("", "") is a status, which a create never sets.

Fields that are no Go pointers are on the wire even when zero, and left out of the JSON (`omitempty`).
"""


class ProtobufError(ValueError):
    """A body that is no Kubernetes protobuf, or has a field or a kind that is not decoded here."""


def decode_object(body: bytes) -> Object:
    """Decode an object in its envelope (runtime.Unknown). Raises ProtobufError."""
    if not body.startswith(_MAGIC):
        raise ProtobufError("it does not begin with k8s\\x00")
    envelope = dict(_fields(body[len(_MAGIC) :]))
    if envelope.get(_CONTENT_TYPE):
        raise ProtobufError("the object in the envelope is no protobuf")
    names = _message("TypeMeta", _as_bytes(envelope.get(1, b"")))
    kind = str(names.get("kind", ""))
    if kind not in DECODED_KINDS:
        raise ProtobufError(
            f"{kind or 'an object without a kind'} is not decoded by the embedded API server, only "
            f"{', '.join(DECODED_KINDS)}; send JSON"
        )
    return {**names, **_message(kind, _as_bytes(envelope.get(_RAW, b"")))}


def _message(name: str, data: bytes) -> Object:
    found: Object = {}
    for number, value in _fields(data):
        if number in _MESSAGES[name]:
            field, kind = _MESSAGES[name][number]
            if field:
                _add(found, field, kind, value)
        elif value not in {0, b""}:
            # Dropping the field would store another object than the client sent.
            raise ProtobufError(
                f"field {number} of {name} is not decoded by the embedded API server; send JSON"
            )
    return found


def _add(found: Object, field: str, kind: str, value: int | bytes) -> None:
    form, _, of = kind.rpartition(" ")
    if form == "list":
        found.setdefault(field, []).append(_value(of, value))
    elif form == "map":
        entry = dict(_fields(_as_bytes(value)))
        key = str(_value("string", entry.get(1, b"")))
        found.setdefault(field, {})[key] = _value(of, entry.get(2, b""))
    else:
        read = _value(of, value)
        if read or form == "optional":
            found[field] = read


def _value(kind: str, value: int | bytes) -> Value:
    match kind:
        case "string":
            try:
                return _as_bytes(value).decode()
            except UnicodeDecodeError as error:
                raise ProtobufError(str(error)) from None
        case "bytes":
            return b64encode(_as_bytes(value)).decode()
        case "int" | "bool" if isinstance(value, bytes):
            raise ProtobufError("a number has the wire type of bytes")
        case "int":
            return int(value) - (1 << _VARINT_BITS if int(value) >> (_VARINT_BITS - 1) else 0)
        case "bool":
            return bool(value)
        case _:
            return _message(kind, _as_bytes(value))


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ProtobufError("bytes have the wire type of a number")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and values; a value is an int (varint) or bytes (length-delimited)."""
    position = 0
    while position < len(data):
        key, position = _read_varint(data, position)
        value, position = _read_varint(data, position)
        if key & 7 == _VARINT:
            yield key >> 3, value
        elif key & 7 == _BYTES and position + value <= len(data):
            yield key >> 3, data[position : position + value]
            position += value
        else:
            raise ProtobufError("it is truncated, or has a wire type that Kubernetes does not use")


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, _VARINT_BITS + 6, 7):
        if position >= len(data):
            raise ProtobufError("it is truncated")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no continuation bit
            return value, position
    raise ProtobufError("a number is longer than ten bytes")


def encode_openapi_v2(document: Object) -> bytes:
    """Encode title, version and definitions of a swagger 2.0 document as gnostic's openapi.v2.Document.

    Its paths are left out: kubectl reads the parameters of operations from OpenAPI v3.
    """
    definitions = b"".join(
        _bytes(1, _named(name, _schema(one))) for name, one in document["definitions"].items()
    )
    info = _text(1, document["info"]["title"]) + _text(2, document["info"]["version"])
    swagger = _text(1, document["swagger"])
    return swagger + _bytes(2, info) + _bytes(8, b"") + _bytes(9, definitions)


def _schema(schema: Schema) -> bytes:
    values = as_object(schema.get("additionalProperties"))
    items = as_object(schema.get("items"))
    properties = schema.get("properties", {}).items()
    written = [
        _text(1, schema.get("$ref", "")),
        _text(2, schema.get("format", "")),
        _text(4, schema.get("description", "")),
        *(_text(19, name) for name in schema.get("required", ())),
        _bytes(21, _bytes(1, _schema(values))) if values is not None else b"",
        _bytes(22, _text(1, schema["type"])) if schema.get("type") else b"",
        _bytes(23, _bytes(1, _schema(items))) if items is not None else b"",
    ]
    if properties:
        each = (_bytes(1, _named(name, _schema(one))) for name, one in properties)
        written.append(_bytes(25, b"".join(each)))
    for name, value in schema.items():
        if name.startswith("x-"):
            # Extensions travel as YAML, which JSON is.
            written.append(_bytes(31, _named(name, _text(2, json.dumps(value)))))
    return b"".join(written)


def _named(name: str, value: bytes) -> bytes:
    return _text(1, name) + _bytes(2, value)


def _text(number: int, text: str) -> bytes:
    return _bytes(number, text.encode()) if text else b""


def _bytes(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)
