from __future__ import annotations

import msgspec
import pytest

from operators.model.event import Change
from streams.sources.informer.decode import (
    UnreadableError,
    read_line,
    read_object,
    read_page,
    read_status,
    read_version,
    unreadable,
)

MANAGED = b'[{"manager":"kubectl","fieldsV1":{"f:data":{"f:a":{}}}}]'
OBJECT = (
    b'{"kind":"ConfigMap","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7",'
    b'"managedFields":' + MANAGED + b'},"data":{"note":"\\"managedFields\\":[]"}}'
)


def test_an_object_is_read_by_its_metadata_and_its_body_left_alone() -> None:
    found = read_object(OBJECT)

    assert (found.key, found.uid, found.version, found.is_terminating) == ("n/a", "u", "7", False)
    assert found.raw == OBJECT.replace(MANAGED, b"[]")


def test_managed_fields_go_whatever_white_space_the_server_writes() -> None:
    spaced = OBJECT.replace(b'"managedFields":[', b'"managedFields" : [')

    body = msgspec.json.decode(read_object(spaced).raw)

    assert body["metadata"]["managedFields"] == []
    assert body["data"] == {"note": '"managedFields":[]'}


def test_white_space_before_managed_fields_and_no_text_in_the_body_is_unreadable() -> None:
    spaced = OBJECT.replace(b'"managedFields":[', b'"managedFields": [')
    with pytest.raises(UnreadableError):
        read_object(spaced.replace(b'"data":{', b'"data":{"latin":"caf\xe9",'))


@pytest.mark.parametrize("managed", [b"", b"[]", b"null"])
def test_an_object_without_managed_fields_is_whole(managed: bytes) -> None:
    field = b',"managedFields":' + managed if managed else b""
    raw = b'{"metadata":{"name":"a","uid":"u","resourceVersion":"7"%s},"spec":{"x":[1]}}' % field

    body = msgspec.json.decode(read_object(raw).raw)

    assert not body["metadata"].pop("managedFields", None)
    assert body == {
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "7"},
        "spec": {"x": [1]},
    }


def test_an_object_of_the_cluster_has_no_namespace_and_may_be_terminating() -> None:
    found = read_object(
        b'{"metadata":{"name":"a","uid":"u","resourceVersion":"7","deletionTimestamp":"2026"}}'
    )

    assert (found.key, found.is_terminating) == ("/a", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b'{"metadata":{"name":"a","uid":"u"}}',
        b'{"metadata":{"name":"","uid":"u","resourceVersion":"7"}}',
        b'{"metadata":{"name":1,"uid":"u","resourceVersion":"7"}}',
        b'{"metadata":{"name":"a","uid":"u","resourceVersion":"7"}',
        b'{"metadata":{"name":"\xff","uid":"u","resourceVersion":"7"}}',
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_object_is_said_to_be_none(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_object(raw)


def test_a_line_is_its_type_and_an_object_still_unread() -> None:
    line = read_line(b'{"type":"ADDED","object":' + OBJECT + b"}")

    assert (line.type, read_object(line.object).key) == ("ADDED", "n/a")
    for torn in (b"x", b"{}", b'{"type":"ADDED"', b'{"type":1,"object":{}}'):
        with pytest.raises(UnreadableError):
            read_line(torn)


def test_a_page_is_its_version_its_token_and_its_objects() -> None:
    page = read_page(
        b'{"metadata":{"resourceVersion":"9","continue":"t","remainingItemCount":1},"items":[%s]}'
        % OBJECT
    )
    last = read_page(b'{"metadata":{"resourceVersion":"9"},"items":null}')

    assert (page.version, page.token, [bytes(one) for one in page.objects]) == ("9", "t", [OBJECT])
    assert (last.token, last.objects) == ("", [])


@pytest.mark.parametrize(
    "body",
    [
        b'{"kind":"Table","metadata":{"resourceVersion":"9"},"rows":[]}',
        b'{"metadata":{"resourceVersion":""},"items":[]}',
        b'{"metadata":{},"items":[]}',
        b"404 page not found",
        b"{}",
    ],
)
def test_what_is_no_list_is_never_taken_for_an_empty_one(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        read_page(body)


def test_a_status_says_what_it_says_and_other_bytes_nothing() -> None:
    said = read_status(
        b'{"kind":"Status","metadata":{"continue":"t"},"code":410,"reason":"Expired","message":"m",'
        b'"details":{"retryAfterSeconds":3}}'
    )

    assert (said.code, said.reason, said.message) == (410, "Expired", "m")
    assert (said.retry_after_seconds, said.token) == (3.0, "t")
    assert read_status(b"404 page not found").code == 0
    assert read_status(b'{"message":"caf\xe9"}').message == ""


def test_a_bookmark_brings_a_version() -> None:
    assert read_version(b'{"kind":"Pod","metadata":{"resourceVersion":"5"}}') == "5"
    with pytest.raises(UnreadableError):
        read_version(b"{}")


def test_what_nobody_can_read_is_told_as_it_came() -> None:
    notice = unreadable(b"torn")

    assert (notice.change, notice.raw, notice.name, notice.uid, notice.version) == (
        Change.MODIFIED,
        b"torn",
        "",
        "",
        "",
    )
