"""Rules and decoders read paths in one typed pass over an object's bytes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from operators.decoders.generic import GenericHead
from operators.decoders.kubernetes_event import EventHead
from operators.model.event import UndecodableError
from operators.rules.paths import EACH, Head, Path, Projection, read


class Inner(msgspec.Struct):
    level: int = 0


class Entry(msgspec.Struct, rename="camel"):
    rule_name: str = ""


class Declared(Head, rename="camel"):
    """A head as decoders declare them: scalars, a renamed field, a Struct, an optional one, a list of them."""

    severity: str = "none"
    last_seen: str | None = None
    own: Inner = msgspec.field(default_factory=Inner)
    maybe: Inner | None = None
    results: list[Entry] = []  # noqa: RUF012  msgspec copies it


def project(
    body: object, *reads: Path, head: type[Head] = Declared, raw: bytes | None = None
) -> Head:
    return Projection(head, reads).decode(msgspec.json.encode(body) if raw is None else raw)


def values(body: object, path: Path, *, head: type[Head] = Declared) -> list[object]:
    """The values at a path of a body's projection; the same as of the whole decoded body, where it is not declared."""
    return list(read(project(body, path, head=head), path))


# A head alone.


def test_a_head_is_read_by_its_names_in_json() -> None:
    head = project(
        {
            "metadata": {"name": "w", "resourceVersion": "7", "creationTimestamp": None},
            "severity": "HIGH",
            "lastSeen": "now",
            "own": {"level": 1},
            "maybe": {"level": 2},
            "results": [{"ruleName": "a"}],
            "beside": {"deep": [1, 2, 3]},
        }
    )
    assert isinstance(head, Declared)
    assert (head.metadata.name, head.metadata.resource_version) == ("w", "7")
    assert (head.severity, head.last_seen, head.own, head.maybe) == (
        *("HIGH", "now", Inner(1), Inner(2)),
    )
    assert head.results == [Entry("a")]


def test_what_is_absent_has_its_default() -> None:
    head = project({})
    assert isinstance(head, Declared)
    assert (head.severity, head.last_seen, head.own, head.maybe) == ("none", None, Inner(), None)
    assert head.metadata.name == ""


@pytest.mark.parametrize("value", [5, True, None, [], {}, {"a": 1}, 1.5])
def test_a_field_of_another_type_has_its_default_and_the_others_their_values(value: object) -> None:
    head = project({"severity": value, "lastSeen": "now", "own": {"level": 3}})
    assert isinstance(head, Declared)
    assert (head.severity, head.last_seen, head.own) == ("none", "now", Inner(3))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"own": {"level": "high"}}, (Inner(), None)),
        ({"own": 5, "maybe": {"level": 4}}, (Inner(), Inner(4))),
        ({"own": {"level": 3}, "maybe": {"level": "high"}}, (Inner(3), Inner())),
        ({"own": {"level": 3}, "maybe": []}, (Inner(3), None)),
        ({"own": {"level": 3}, "maybe": None, "severity": 5}, (Inner(3), None)),
    ],
)
def test_leniency_reaches_into_structs(body: object, expected: tuple[object, object]) -> None:
    head = project(body)
    assert isinstance(head, Declared)
    assert (head.own, head.maybe) == expected


def test_metadata_of_another_type_has_its_defaults() -> None:
    others: tuple[object, ...] = None, 5, [], "x"
    for metadata in others:
        assert project({"metadata": metadata}).metadata.name == ""
    head = project({"metadata": {"name": 5, "namespace": "shop", "managedFields": [{"a": 1}]}})
    assert (head.metadata.name, head.metadata.namespace) == ("", "shop")
    assert bytes(head.metadata.managed_fields) == b'[{"a":1}]'


def test_managed_fields_are_the_bytes_as_they_are() -> None:
    head = project(None, raw=b'{"metadata": {"managedFields": [ {"a" : 1} ]}}')
    assert bytes(head.metadata.managed_fields) == b'[ {"a" : 1} ]'
    assert bytes(project({}).metadata.managed_fields) == b""


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[1]", b'"x"', b"null", b"5", b"\xff", b"[" * 5000, b'{"a": ' * 5000, b"{}x"],
)
@pytest.mark.parametrize("reads", [(), (("a", "b"),)])
def test_what_is_no_object_is_undecodable(raw: bytes, reads: tuple[Path, ...]) -> None:
    with pytest.raises(UndecodableError):
        project(None, *reads, raw=raw)


def test_what_is_skipped_is_not_validated_and_what_is_read_is() -> None:
    raw = b'{"severity": "LOW", "text": "\xff"}'
    head = project(None, raw=raw)
    assert isinstance(head, Declared)
    assert head.severity == "LOW"
    with pytest.raises(UndecodableError):
        project(None, ("text",), raw=raw)
    with pytest.raises(UndecodableError):
        # The whole object is decoded where a field is of another type.
        project(None, raw=b'{"severity": 5, "text": "\xff"}')


def test_a_head_without_a_default_is_undecodable_where_its_field_is_absent() -> None:
    class Strict(Head, kw_only=True):
        needed: str

    assert project({"needed": "x"}, head=Strict) == Strict(needed="x")
    with pytest.raises(UndecodableError):
        project({}, head=Strict)


# What rules read.

BODY: dict[str, Any] = {
    "metadata": {"name": "w", "labels": {"a.b/c": "label"}},
    "severity": "HIGH",
    "lastSeen": "now",
    "own": {"level": 1, "beside": "in own"},
    "maybe": {"level": 2, "beside": "in maybe"},
    "results": [{"ruleName": "a", "beside": 1}, {"ruleName": "b"}],
    "spec": {"replicas": 3, "nested": {"deep": [1, [2]]}, "items": [{"n": 1}, {"m": 2}, {"n": 3}]},
    "names": ["x", "y"],
    "flag": False,
    "nothing": None,
    "class": "keyword",
    "kebab-case": "k",
    "__struct_fields__": "reserved",
    "_private": "p",
    "*": "a star",
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (("severity",), ["HIGH"]),
        (("lastSeen",), ["now"]),
        (("last_seen",), []),
        (("spec", "replicas"), [3]),
        (("spec", "nested"), [{"deep": [1, [2]]}]),
        (("spec", "nested", "deep", EACH), [1, [2]]),
        (("spec", "nested", "deep", EACH, EACH), [2]),
        (("spec", "items", EACH, "n"), [1, 3]),
        (("spec", "items", EACH), [{"n": 1}, {"m": 2}, {"n": 3}]),
        (("spec", "absent", "n"), []),
        (("spec", "replicas", "n"), []),
        (("names", EACH), ["x", "y"]),
        (("names", EACH, "x"), []),
        (("names",), [["x", "y"]]),
        (("flag",), [False]),
        (("nothing",), []),
        (("absent",), []),
        (("metadata", "name"), ["w"]),
        (("metadata", "labels", "a.b/c"), ["label"]),
        (("own", "level"), [1]),
        (("own", "beside"), ["in own"]),
        (("maybe", "level"), [2]),
        (("maybe", "beside"), ["in maybe"]),
        (("results", EACH, "ruleName"), ["a", "b"]),
        (("results", EACH, "beside"), [1]),
        (("results", "beside"), []),
        (("class",), ["keyword"]),
        (("kebab-case",), ["k"]),
        (("__struct_fields__",), ["reserved"]),
        (("_private",), ["p"]),
        ((EACH,), []),
    ],
    ids=repr,
)
@pytest.mark.parametrize("head", [Declared, GenericHead, EventHead, Head])
def test_a_path_yields_what_it_leads_to_and_the_same_as_in_the_whole_object(
    path: Path, found: list[object], head: type[Head]
) -> None:
    assert values(BODY, path, head=head) == found
    assert list(read(BODY, path)) == found


ALL_PATHS: list[Path] = [
    *(("spec", "items", EACH, "n"), ("spec", "items", EACH, "m"), ("spec", "replicas")),
    *(("own", "beside"), ("maybe", "beside"), ("results", EACH, "beside"), ("metadata", "labels")),
    *(("kebab-case",), ("class",), ("_private",), ("names", EACH), ("flag",)),
]


def test_many_paths_are_read_in_one_projection_and_the_head_keeps_its_types() -> None:
    head = project(BODY, *ALL_PATHS)
    assert isinstance(head, Declared)
    assert (head.severity, head.own.level, head.metadata.name) == ("HIGH", 1, "w")
    assert [entry.rule_name for entry in head.results] == ["a", "b"]
    for path in ALL_PATHS:
        assert list(read(head, path)) == list(read(BODY, path))


@pytest.mark.parametrize(
    "reads",
    [
        [("spec",), ("spec", "replicas")],
        [("spec", "replicas"), ("spec",)],
        [("spec", "items"), ("spec", "items", EACH, "n")],
        [("spec", EACH), ("spec", "replicas")],
        [("names", EACH), ("names", "x")],
        [("results",), ("results", EACH, "beside")],
    ],
)
def test_what_is_read_whole_is_also_read_in_part(reads: list[Path]) -> None:
    head = project(BODY, *reads, head=Head)
    for path in reads:
        assert list(read(head, path)) == list(read(BODY, path))


@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"rule": 5}, "a", None, {"rule": "b"}]},
        {"results": {"rule": "a"}},
        {"results": "a"},
        {"results": [[{"rule": "a"}]]},
        {"results": [{"rule": {"deep": 1}}]},
        {"results": None},
        {"severity": 5, "results": [{"rule": "a"}]},
    ],
)
def test_what_rules_alone_read_stays_as_it_is_whatever_its_type(body: dict[str, Any]) -> None:
    path: Path = ("results", EACH, "rule")
    assert values(body, path, head=GenericHead) == list(read(body, path))
    assert values(body, ("results",), head=GenericHead) == list(read(body, ("results",)))


def test_a_path_that_is_read_does_not_change_what_a_head_declares() -> None:
    # The list is declared by the head; an entry of another type makes the whole list its default.
    head = project({"results": [5, {"ruleName": "a"}]}, ("results", EACH, "beside"))
    assert isinstance(head, Declared)
    assert head.results == []


def test_equal_reads_share_one_type() -> None:
    one, other = Projection(Declared, ALL_PATHS), Projection(Declared, reversed(ALL_PATHS))
    assert type(one.decode(b"{}")) is type(other.decode(b"{}"))
    assert type(Projection(Declared).decode(b"{}")) is Declared


def test_an_empty_path_is_the_value_itself() -> None:
    assert list(read({"a": 1}, ())) == [{"a": 1}]
    assert list(read(None, ())) == []
    assert list(read(None, ("a",))) == []
    assert project({}, ()) == Declared()
