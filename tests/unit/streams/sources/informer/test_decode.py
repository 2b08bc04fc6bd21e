from __future__ import annotations

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.rules.paths import Head, read
from streams.sources.informer.decode import (
    KEPT_BYTES,
    MAXIMUM_LINE_BYTES,
    LineSplitter,
    ObjectReader,
    UnreadableError,
    decode_watch_event,
    read_page,
    read_status,
    read_version,
    recognise_watch_event,
)

READER = ObjectReader()
MANAGED = b'[{"manager":"kubectl","fieldsV1":{"f:data":{"f:a":{}}}}]'
OBJECT = (
    b'{"kind":"ConfigMap","metadata":{"name":"a","namespace":"n","uid":"u","resourceVersion":"7",'
    b'"managedFields":' + MANAGED + b'},"data":{"note":"\\"managedFields\\":[]"}}'
)


def test_an_object_is_read_by_its_metadata_and_its_body_left_alone() -> None:
    found = READER.read(OBJECT)

    assert (found.key, found.uid, found.version, found.is_terminating) == ("n/a", "u", "7", False)
    assert found.raw == OBJECT.replace(MANAGED, b"[]")


def test_managed_fields_of_the_object_go_and_those_before_them_stay() -> None:
    before = OBJECT.replace(b'"metadata"', b'"first":{"managedFields":[1,2]},"metadata"', 1)

    assert READER.read(before).raw == before.replace(MANAGED, b"[]")


def test_managed_fields_go_whatever_white_space_the_server_writes() -> None:
    spaced = OBJECT.replace(b'"managedFields":[', b'"managedFields" : [')

    body = msgspec.json.decode(READER.read(spaced).raw)

    assert body["metadata"]["managedFields"] == []
    assert body["data"] == {"note": '"managedFields":[]'}


def test_white_space_before_managed_fields_and_no_text_in_the_body_is_unreadable() -> None:
    spaced = OBJECT.replace(b'"managedFields":[', b'"managedFields": [')
    with pytest.raises(UnreadableError):
        READER.read(spaced.replace(b'"data":{', b'"data":{"latin":"caf\xe9",'))


@pytest.mark.parametrize("managed", [b"", b"[]", b"null"])
def test_an_object_without_managed_fields_is_whole(managed: bytes) -> None:
    field = b',"managedFields":' + managed if managed else b""
    raw = b'{"metadata":{"name":"a","uid":"u","resourceVersion":"7"%s},"spec":{"x":[1]}}' % field

    body = msgspec.json.decode(READER.read(raw).raw)

    assert not body["metadata"].pop("managedFields", None)
    assert body == {
        "metadata": {"name": "a", "uid": "u", "resourceVersion": "7"},
        "spec": {"x": [1]},
    }


def test_an_object_of_the_cluster_has_no_namespace_and_may_be_terminating() -> None:
    found = READER.read(
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
def test_what_is_no_object_is_unreadable(raw: bytes) -> None:
    with pytest.raises(UnreadableError):
        READER.read(raw)


def test_a_line_is_its_type_and_an_object_still_unread() -> None:
    line = decode_watch_event(b'{"type":"ADDED","object":' + OBJECT + b"}")

    assert (line.type, READER.read(line.object).key) == ("ADDED", "n/a")
    for torn in (b"x", b"{}", b'{"type":"ADDED"', b'{"type":1,"object":{}}'):
        with pytest.raises(UnreadableError):
            decode_watch_event(torn)


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


def test_a_status_is_read_and_other_bytes_are_an_empty_one() -> None:
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


# --- one pass


class Counted(Head):
    count: int = 0


class Described(Counted):
    severity: str = ""


def with_fields(fields: bytes) -> bytes:
    return OBJECT[:-1] + b"," + fields + b"}"


def test_metadata_head_and_what_rules_read_come_of_one_pass() -> None:
    reads = frozenset({("report", "items", "*", "severity"), ("metadata", "labels", "a/b")})
    reader = ObjectReader(Counted, reads)
    raw = with_fields(b'"count":3,"report":{"items":[{"severity":"HIGH"}],"more":[1]}')
    found = reader.read(raw.replace(b'"uid"', b'"labels":{"a/b":"c"},"uid"'))

    assert isinstance(found.head, Counted)
    assert (found.head.count, found.head.metadata.name) == (3, "a")
    assert list(read(found.head, ("report", "items", "*", "severity"))) == ["HIGH"]
    assert list(read(found.head, ("metadata", "labels", "a/b"))) == ["c"]


def test_the_head_keeps_no_managed_fields_in_memory() -> None:
    head = ObjectReader().read(OBJECT).head

    assert head is not None
    assert bytes(head.metadata.managed_fields) == b""


def test_a_reader_reads_the_union_of_what_its_subscribers_read() -> None:
    reader = ObjectReader(Counted, frozenset({("a",)}))
    reader.extend(Head, frozenset({("b",)}))
    reader.extend(Described, frozenset({("a",)}))
    head = reader.read(with_fields(b'"count":3,"severity":"HIGH","a":1,"b":2,"c":3')).head

    assert isinstance(head, Described)
    assert (head.count, head.severity) == (3, "HIGH")
    assert [list(read(head, (name,))) for name in "abc"] == [[1], [2], []]


def test_one_object_is_decoded_into_one_head() -> None:
    class Other(Head):
        pass

    with pytest.raises(TypeError, match="found the head Other, allowed: Counted"):
        ObjectReader(Counted).extend(Other, frozenset())


def test_of_a_secret_the_metadata_alone_is_decoded() -> None:
    reads = frozenset({("data", "password"), ("metadata", "labels")})
    reader = ObjectReader(Described, reads, is_metadata_only=True)
    raw = with_fields(b'"severity":"HIGH","data":{"password":"cGFzcw=="}')
    head = reader.read(raw.replace(b'"uid"', b'"labels":{"a":"b"},"uid"')).head

    assert isinstance(head, Described)
    assert (head.severity, head.metadata.name) == ("", "a")
    assert list(read(head, ("metadata", "labels"))) == [{"a": "b"}]
    assert list(read(head, ("data", "password"))) == []


def test_a_field_of_another_type_takes_its_default_and_managed_fields_are_emptied_all_the_same() -> (
    None
):
    found = ObjectReader(Counted).read(with_fields(b'"count":"many"'))

    assert isinstance(found.head, Counted)
    assert (found.head.count, found.key) == (0, "n/a")
    assert MANAGED not in found.raw


def test_an_object_whose_head_cannot_be_decoded_is_known_by_its_metadata() -> None:
    found = ObjectReader(Described).read(with_fields(b'"severity":"\xff"'))

    assert (found.key, found.uid, found.version, found.head) == ("n/a", "u", "7", None)


def test_the_servers_own_encoding_of_an_event_is_recognised_without_decoding() -> None:
    for name in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
        event = recognise_watch_event(b'{"type":"%s","object":%s}' % (name.encode(), OBJECT))
        assert (event.type, event.object) == (name, OBJECT)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "ADDED", "object": %s}' % OBJECT,
        b'{"object":%s,"type":"ADDED"}' % OBJECT,
        b'{"type":"ADDED","object":%s}\r' % OBJECT,
        b'{"type":"ADDED","object":%s,"more":{}}' % OBJECT,
        b'{"type":"ADDED","object":{},"object":%s}' % OBJECT,
    ],
)
def test_any_other_encoding_of_an_event_is_decoded(line: bytes) -> None:
    with pytest.raises(UnreadableError):
        READER.read(recognise_watch_event(line).object)

    event = decode_watch_event(line)
    assert (event.type, READER.read(event.object).key) == ("ADDED", "n/a")


def test_an_error_is_never_cut_out_of_a_line() -> None:
    with pytest.raises(UnreadableError):
        recognise_watch_event(b'{"type":"ERROR","object":{"code":410}}')


# --- lines

TEXT = '{"größe":"€ 😀"}\n\n  \r\n{"b":2}\n{"c":"é"}\n'.encode()
WHOLE = ['{"größe":"€ 😀"}'.encode(), b'{"b":2}', '{"c":"é"}'.encode()]


@pytest.mark.parametrize("cut", range(len(TEXT) + 1))
def test_a_stream_cut_at_any_byte_gives_the_same_lines(cut: int) -> None:
    lines = LineSplitter()

    assert [*lines.split(TEXT[:cut]), *lines.split(TEXT[cut:])] == WHOLE


@given(st.lists(st.binary(max_size=5), max_size=60))
def test_however_it_is_cut_only_the_bytes_count(chunks: list[bytes]) -> None:
    lines = LineSplitter(maximum_bytes=1 << 20)
    told = [line for chunk in chunks for line in lines.split(chunk)]

    *whole, _ = b"".join(chunks).split(b"\n")
    assert told == [line for line in whole if line and not line.isspace()]


def test_half_a_line_at_the_end_is_never_returned() -> None:
    assert LineSplitter().split(b'{"a":1}\n{"b":') == [b'{"a":1}']


@pytest.mark.parametrize("chunk_bytes", [1, 7, 1000, 5000])
def test_a_line_that_is_too_long_is_cut_and_the_next_is_whole(chunk_bytes: int) -> None:
    lines = LineSplitter(maximum_bytes=3000)
    stream = b"x" * 4000 + b"\nok\n" + b"y" * 3000 + b"\n"
    told = [
        line
        for start in range(0, len(stream), chunk_bytes)
        for line in lines.split(stream[start : start + chunk_bytes])
    ]

    assert told == [b"x" * KEPT_BYTES, b"ok", b"y" * 3000]


def test_a_line_without_an_end_takes_no_more_memory_than_the_limit() -> None:
    lines = LineSplitter()
    chunk_bytes = 1 << 20
    tracemalloc.start()
    for _ in range(3 * MAXIMUM_LINE_BYTES // chunk_bytes):
        assert lines.split(b"x" * chunk_bytes) == []
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < 64 * KEPT_BYTES
