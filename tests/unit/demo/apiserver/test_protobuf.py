"""Kubernetes protobuf; that kubectl's own is decoded is tested in tests/integration/test_kubectl.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.apiserver.protobuf import ProtobufError, decode_object, encode_openapi_v2

MAGIC = b"k8s\x00"


def field(number: int, content: bytes) -> bytes:
    assert len(content) < 0x80
    return bytes([number << 3 | 2, len(content)]) + content


def enveloped(kind: str, raw: bytes) -> bytes:
    return MAGIC + field(1, field(1, b"v1") + field(2, kind.encode())) + field(2, raw)


def test_a_config_map_is_decoded() -> None:
    metadata = field(1, b"a") + field(2, b"") + field(11, field(1, b"k") + field(2, b"v"))
    entry = field(1, b"key") + field(2, b"value")
    raw = field(1, metadata) + field(2, entry) + bytes([4 << 3, 0])

    assert decode_object(enveloped("ConfigMap", raw)) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"k": "v"}},
        "data": {"key": "value"},
        "immutable": False,
    }


def test_a_number_is_signed_and_a_pointer_to_zero_stays() -> None:
    minus_one = b"\xff" * 9 + b"\x01"

    decoded = decode_object(
        enveloped("Deployment", field(2, bytes([1 << 3, 0, 6 << 3]) + minus_one))
    )

    assert decoded["spec"] == {"replicas": 0, "revisionHistoryLimit": -1}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{}", "does not begin with"),
        (MAGIC, "an object without a kind is not decoded"),
        (enveloped("Role", b""), "Role is not decoded .* send JSON"),
        (enveloped("ConfigMap", field(9, b"x")), "field 9 of ConfigMap is not decoded"),
        (enveloped("ConfigMap", field(1, b"")[:1]), "truncated"),
        (enveloped("ConfigMap", b"\x0a\x05ab"), "truncated"),
        (enveloped("ConfigMap", b"\x09"), "truncated"),
        (enveloped("ConfigMap", b"\x08\x01"), "wire type of a number"),
        (enveloped("ConfigMap", field(4, b"\x01")), "wire type of bytes"),
        (enveloped("ConfigMap", field(1, field(1, b"\xff"))), "invalid start byte"),
        (enveloped("ConfigMap", b"\xff" * 12), "longer than ten bytes"),
        (enveloped("ConfigMap", b"") + field(4, b"application/json"), "is no protobuf"),
    ],
)
def test_what_cannot_be_decoded_is_named(body: bytes, why: str) -> None:
    with pytest.raises(ProtobufError, match=why):
        decode_object(body)


def test_a_zero_in_an_unknown_field_is_no_loss() -> None:
    raw = field(1, field(1, b"a")) + field(9, b"") + bytes([10 << 3, 0])

    assert decode_object(enveloped("ConfigMap", raw))["metadata"] == {"name": "a"}


@given(st.binary(max_size=40))
def test_no_bytes_raise_anything_else(raw: bytes) -> None:
    for body in (MAGIC + raw, enveloped("Deployment", raw), enveloped("Secret", raw)):
        try:
            decode_object(body)
        except ProtobufError:
            continue


def test_the_openapi_document_has_its_title_and_definitions() -> None:
    definition = {"type": "object", "required": ["a"], "x-e": [1]}
    info = {"title": "T", "version": "1"}
    document = {"swagger": "2.0", "info": info, "definitions": {"D": definition}}

    extension = field(1, b"x-e") + field(2, field(2, b"[1]"))
    # Numbers from 16 on take two bytes.
    schema = b"\x9a\x01\x01a" + b"\xb2\x01\x08" + field(1, b"object")
    schema += b"\xfa\x01" + bytes([len(extension)]) + extension
    assert encode_openapi_v2(document) == (
        field(1, b"2.0")
        + field(2, field(1, b"T") + field(2, b"1"))
        + field(8, b"")
        + field(9, field(1, field(1, b"D") + field(2, schema)))
    )
