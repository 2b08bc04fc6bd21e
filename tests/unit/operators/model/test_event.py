"""What enters the pipeline is one value: memory, a spool and a bus carry the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast, get_args

import msgspec
import pytest
from msgspec.structs import replace

from operators.decode import decode_body
from operators.model.event import (
    RECORD_BYTES,
    ApiResource,
    Change,
    LogLine,
    ObjectRef,
    ObjectState,
    Payload,
    RawEvent,
    RemovalReason,
    Report,
    Tombstone,
    UndecodableError,
)
from tests.kit.raw_events import EVENTS, WIDGETS, object_event, tombstone_event, unreadable_event

SUBJECT = ObjectRef("example.org/v1", "Widget", "shop", "ü")
PAYLOADS: list[Payload] = [
    *(ObjectState(WIDGETS, change, "u", "1") for change in Change),
    ObjectState(EVENTS, Change.ADDED, "u", "1", initial=True),
    *(Tombstone(WIDGETS, "u", "1", reason) for reason in RemovalReason),
    Tombstone(EVENTS, "", "", final_state_unknown=True),
    Report("falco", "delivery 1"),
    Report("json"),
    LogLine("app", "containerd://1", 1_795_000_000_000_000_000),
]
EVERY_BYTE = bytes(range(256))
"""Neither UTF-8 nor JSON; among it is everything that an encoding could escape."""


def test_every_payload_is_tried() -> None:
    assert {type(payload) for payload in PAYLOADS} == set(get_args(Payload))


@pytest.mark.parametrize("encoding", [msgspec.msgpack, msgspec.json])
@pytest.mark.parametrize("payload", PAYLOADS, ids=repr)
@pytest.mark.parametrize(
    ("key", "subject", "raw"),
    [("shop/ü", SUBJECT, EVERY_BYTE), (None, None, b""), ("", None, b'{"a": "\xff"}')],
    ids=["bytes", "empty", "invalid"],
)
def test_an_event_is_the_same_after_any_encoding(
    encoding: Any, payload: Payload, key: str | None, subject: ObjectRef | None, raw: bytes
) -> None:
    event = RawEvent("source", 1_795_000_000_000_000_001, key, subject, payload, raw)

    read = encoding.decode(encoding.encode(event), type=RawEvent)

    assert read == event
    assert type(read.payload) is type(payload)
    assert type(read.raw) is bytes


def test_payloads_with_equal_fields_are_told_apart_by_their_tag() -> None:
    tags = {type(one).__struct_config__.tag for one in PAYLOADS}
    assert tags == {"object_state", "tombstone", "report", "log_line"}


ENCODABLE = {
    *(msgspec.inspect.StrType, msgspec.inspect.BytesType, msgspec.inspect.IntType),
    *(msgspec.inspect.BoolType, msgspec.inspect.NoneType, msgspec.inspect.EnumType),
    *(msgspec.inspect.StructType, msgspec.inspect.Field, msgspec.inspect.UnionType),
}
"""Neither Any nor a type of our own: a callback, an exception or an object of a library has no place in it."""


def declared(value: object) -> Iterator[type]:
    """The types within a description of a type."""
    if isinstance(value, tuple):
        for entry in cast("tuple[object, ...]", value):
            yield from declared(entry)
    elif isinstance(value, (msgspec.inspect.Type, msgspec.inspect.Field)):
        yield type(value)
        for name in value.__struct_fields__:
            if name not in {"default", "default_factory"}:
                yield from declared(getattr(value, name))


def test_an_event_declares_nothing_that_cannot_be_encoded() -> None:
    found = set(declared(msgspec.inspect.type_info(RawEvent)))

    assert found <= ENCODABLE
    assert {msgspec.inspect.StructType, msgspec.inspect.UnionType} <= found


def test_an_event_is_immutable() -> None:
    event = object_event("w")
    with pytest.raises(AttributeError):
        event.key = "other/w"  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AttributeError):
        event.payload.uid = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_an_event_takes_its_bytes_and_its_record() -> None:
    assert object_event("w", b"{}").size_bytes == RECORD_BYTES + 2
    assert tombstone_event("w").size_bytes == RECORD_BYTES


@pytest.mark.parametrize(("resource", "api_version"), [(EVENTS, "v1"), (WIDGETS, "example.org/v1")])
def test_the_core_group_has_no_name(resource: ApiResource, api_version: str) -> None:
    assert resource.api_version == api_version


def test_a_key_keeps_its_slash_where_there_is_no_namespace() -> None:
    assert (SUBJECT.key, replace(SUBJECT, namespace="").key) == ("shop/ü", "/ü")


def test_a_body_is_that_of_its_subject_however_it_was_listed() -> None:
    listed = decode_body(object_event("w", {"a": 1}))
    watched = decode_body(object_event("w", {"kind": "?", "apiVersion": "?", "a": 1}))

    assert listed == watched == {"apiVersion": "example.org/v1", "kind": "Widget", "a": 1}
    assert decode_body(unreadable_event(b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"x"', b"null", b"\xff", b"[" * 5000, b"{}x"])
def test_a_body_that_is_no_object_is_undecodable(raw: bytes) -> None:
    with pytest.raises(UndecodableError):
        decode_body(object_event("w", raw))
