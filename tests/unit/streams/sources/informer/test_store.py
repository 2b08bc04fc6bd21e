from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from operators.model.event import Change
from streams.sources.informer.decode import Found
from streams.sources.informer.notice import Notice
from streams.sources.informer.store import Store, is_older, tombstone

A7 = Found("n", "a", "u1", "7", is_terminating=False, raw=b"{}")


def said(notices: list[Notice]) -> list[tuple[Change, str, str, bool]]:
    return [(one.change, one.uid, one.version, one.final_state_unknown) for one in notices]


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
    store = Store()

    assert said(store.observe(A7, initial=True)) == [(Change.ADDED, "u1", "7", False)]
    assert store.observe(A7) == store.observe(replace(A7, version="6")) == []
    assert said(store.observe(replace(A7, version="8"))) == [(Change.MODIFIED, "u1", "8", False)]
    assert (store.version("n/a"), store.uid("n/a"), len(store)) == ("8", "u1", 1)
    assert "n/a" in store
    assert "n/b" not in store


def test_an_object_made_again_under_its_name_is_another_one() -> None:
    store = Store()
    store.observe(A7)

    news = store.observe(replace(A7, uid="u2", version="9"))

    assert said(news) == [(Change.DELETED, "u1", "7", True), (Change.ADDED, "u2", "9", False)]
    assert news[0].raw == b""
    assert store.observe(replace(A7, version="8")) == []  # the old one, from before it was gone


def test_opaque_versions_are_repetitions_only_if_equal() -> None:
    store = Store()
    store.observe(replace(A7, version="b"))

    assert store.observe(replace(A7, version="b")) == []
    assert said(store.observe(replace(A7, version="a"))) == [(Change.MODIFIED, "u1", "a", False)]


def test_a_deletion_is_told_once_with_the_last_state() -> None:
    store = Store()
    store.observe(A7)

    assert store.remove(replace(A7, version="6")) == []
    assert said(store.remove(replace(A7, version="8"))) == [(Change.DELETED, "u1", "8", False)]
    assert store.remove(replace(A7, version="8")) == []
    assert len(store) == 0


def test_the_deletion_of_an_incarnation_nobody_saw_ends_the_known_one_too() -> None:
    store = Store()
    store.observe(A7)

    assert said(store.remove(replace(A7, uid="u2", version="9"))) == [
        (Change.DELETED, "u1", "7", True),
        (Change.DELETED, "u2", "9", False),
    ]


def test_what_a_list_lacks_is_gone_unless_it_is_newer_than_the_list() -> None:
    store = Store()
    store.observe(A7)
    store.observe(replace(A7, name="b", uid="u2", version="12"))
    store.observe(replace(A7, name="c", uid="u3", version="5"))

    assert said(store.retain({"n/c"}, at_version="10")) == [(Change.DELETED, "u1", "7", True)]
    assert set(store.keys()) == {"n/b", "n/c"}


def test_after_the_versions_began_anew_every_state_is_news() -> None:
    store = Store()
    store.observe(A7)
    store.observe(replace(A7, name="b"))
    store.forget_versions()

    assert said(store.observe(replace(A7, version="3"))) == [(Change.MODIFIED, "u1", "3", False)]
    assert [one.name for one in store.retain({"n/a"}, at_version="3")] == ["b"]


def test_a_tombstone_is_an_object_by_name() -> None:
    notice = tombstone("/node", uid="u")

    assert (notice.key, notice.namespace, notice.name) == ("/node", "", "node")
    assert notice.final_state_unknown


def test_an_object_takes_under_300_bytes() -> None:
    objects = 20_000
    found = [
        replace(
            A7, name=f"some-deployment-7d4b9c6f5-{n:05}", uid=f"{n:08}-6f5c-4d2e-9a1b-0c1d2e3f4a5b"
        )
        for n in range(objects)
    ]
    tracemalloc.start()
    store = Store()
    for one in found:
        store.observe(one)
    each = tracemalloc.get_traced_memory()[0] / objects
    tracemalloc.stop()

    print(f"{each:.0f} bytes an object")
    assert each < 300
