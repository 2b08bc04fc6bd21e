from __future__ import annotations

import tracemalloc

import pytest
from msgspec.structs import replace

from operators.model.event import Change, ObjectRef, ObjectState, Tombstone
from streams.sources.informer.store import ObjectChange, is_older
from tests.kit.changes import CONFIG_MAP, DELETED, decoded, is_inferred, kind_of, name_of
from tests.kit.changes import store as made_store

A7 = decoded("a", "7", uid="u1")


def said(changes: list[ObjectChange]) -> list[tuple[str, str, str, bool]]:
    return [
        (kind_of(one), one.payload.uid, one.payload.version, is_inferred(one)) for one in changes
    ]


@pytest.mark.parametrize(
    ("version", "than", "older"),
    [
        ("9", "10", True),
        ("10", "9", False),
        ("10", "10", False),
        ("10", "11", True),
        ("99999999999999999999", "100000000000000000000", True),
        ("", "1", False),
        ("1", "", False),
        ("a", "b", False),
    ],
)
def test_versions_are_compared_as_decimals_or_not_at_all(
    version: str,
    than: str,
    older: bool,  # noqa: FBT001  a row of a table
) -> None:
    assert is_older(version, than) is older


def test_what_is_new_is_added_then_modified_and_a_repetition_is_nothing() -> None:
    store = made_store()

    assert said(store.observe(A7, initial=True)) == [(Change.ADDED, "u1", "7", False)]
    assert store.observe(A7) == store.observe(replace(A7, version="6")) == []
    assert said(store.observe(replace(A7, version="8"))) == [(Change.MODIFIED, "u1", "8", False)]
    assert (store.version("n/a"), store.uid("n/a"), len(store)) == ("8", "u1", 1)
    assert "n/a" in store
    assert "n/b" not in store


def test_an_object_made_again_under_its_name_is_another_one() -> None:
    store = made_store()
    store.observe(A7)

    news = store.observe(replace(A7, uid="u2", version="9"))

    assert said(news) == [(DELETED, "u1", "7", True), (Change.ADDED, "u2", "9", False)]
    assert news[0].raw == b""
    assert store.observe(replace(A7, version="8")) == []  # the old one, from before it was gone


def test_opaque_versions_are_repetitions_only_if_equal() -> None:
    store = made_store()
    store.observe(replace(A7, version="b"))

    assert store.observe(replace(A7, version="b")) == []
    assert said(store.observe(replace(A7, version="a"))) == [(Change.MODIFIED, "u1", "a", False)]


def test_a_deletion_is_a_change_once_with_the_last_state() -> None:
    store = made_store()
    store.observe(A7)

    assert store.remove(replace(A7, version="6")) == []
    assert said(store.remove(replace(A7, version="8"))) == [(DELETED, "u1", "8", False)]
    assert store.remove(replace(A7, version="8")) == []
    assert len(store) == 0


def test_the_deletion_of_an_unseen_incarnation_removes_the_known_one_too() -> None:
    store = made_store()
    store.observe(A7)

    assert said(store.remove(replace(A7, uid="u2", version="9"))) == [
        (DELETED, "u1", "7", True),
        (DELETED, "u2", "9", False),
    ]


def test_what_a_list_lacks_is_gone_unless_it_is_newer_than_the_list() -> None:
    store = made_store()
    store.observe(A7)
    store.observe(replace(A7, key="n/b", name="b", uid="u2", version="12"))
    store.observe(replace(A7, key="n/c", name="c", uid="u3", version="5"))

    assert said(list(store.retain({"n/c"}, at_version="10"))) == [(DELETED, "u1", "7", True)]
    assert set(store.keys()) == {"n/b", "n/c"}


def test_after_the_versions_started_over_every_state_is_a_change() -> None:
    store = made_store()
    store.observe(A7)
    store.observe(replace(A7, key="n/b", name="b"))
    store.forget_versions()

    assert said(store.observe(replace(A7, version="3"))) == [(Change.MODIFIED, "u1", "3", False)]
    assert [name_of(one) for one in store.retain({"n/a"}, at_version="3")] == ["b"]


def test_a_tombstone_is_an_object_by_name() -> None:
    change = made_store().tombstone("/node", uid="u")

    assert (change.key, change.subject) == ("/node", ObjectRef("v1", "ConfigMap", "", "node"))
    assert change.payload == Tombstone(CONFIG_MAP, "u", "", final_state_unknown=True)
    assert (change.raw, change.head) == (b"", None)


def test_bytes_that_cannot_be_decoded_have_no_key_and_no_subject() -> None:
    change = made_store().unreadable(b"torn")

    assert (change.key, change.subject, change.raw, change.head) == ("", None, b"torn", None)
    assert change.payload == ObjectState(CONFIG_MAP, Change.MODIFIED, "", "")


def test_what_a_list_lacks_leaves_the_store_one_by_one_as_it_is_taken() -> None:
    store = made_store()
    for name in "abc":
        store.observe(replace(A7, key=f"n/{name}", name=name))
    removals = store.retain(set(), at_version="10")

    assert name_of(next(removals)) == "a"
    assert set(store.keys()) == {"n/b", "n/c"}
    store.observe(replace(A7, key="n/b", name="b", version="11"))  # read beside the watch meanwhile
    assert [name_of(one) for one in removals] == ["c"]
    assert set(store.keys()) == {"n/b"}


def test_an_object_takes_under_300_bytes() -> None:
    objects = 20_000
    tracemalloc.start()
    store = made_store()
    for n in range(objects):
        name, uid = f"some-deployment-7d4b9c6f5-{n:05}", f"{n:08}-6f5c-4d2e-9a1b-0c1d2e3f4a5b"
        store.observe(decoded(name, uid=uid))
    each = tracemalloc.get_traced_memory()[0] / objects
    tracemalloc.stop()

    print(f"{each:.0f} bytes an object")
    assert each < 300
