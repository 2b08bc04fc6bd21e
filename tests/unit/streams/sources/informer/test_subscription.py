"""What one subscriber was sent, by count, and what it must be sent again."""

from __future__ import annotations

import pytest

from operators.model.outcome import Suspension
from streams.sources.informer.listing import NotDelivered, ReadOrigin
from streams.sources.informer.subscription import (
    RELEASED_AT_ONCE,
    RETRY_EVERY_NS,
    DirtyKeys,
    ReadCounts,
)
from tests.kit.changes import decoded, store


@pytest.mark.parametrize(
    ("origin", "column"),
    [(ReadOrigin.LINE, "lines"), (ReadOrigin.LIST, "list_items"), (ReadOrigin.GET, "gets")],
)
def test_what_is_delivered_is_counted_by_its_origin(origin: ReadOrigin, column: str) -> None:
    counts = ReadCounts()
    counts.count_delivered(store().observe(decoded())[0], origin)

    assert (getattr(counts, column), counts.received, counts.balance) == (1, 1, 0)


def test_an_inferred_removal_has_no_origin() -> None:
    counts = ReadCounts()
    counts.count_delivered(store().tombstone("n/a"), ReadOrigin.LIST)

    assert (counts.synthetic_deletes, counts.list_items, counts.received, counts.balance) == (
        1,
        0,
        1,
        0,
    )


@pytest.mark.parametrize(
    ("reason", "column"),
    [
        (NotDelivered.BOOKMARK, "bookmarks"),
        (NotDelivered.DUPLICATE, "duplicates"),
        (NotDelivered.SERVER_ERROR, "server_errors"),
    ],
)
def test_what_is_not_delivered_is_counted_by_its_reason(reason: NotDelivered, column: str) -> None:
    counts = ReadCounts()
    counts.count_not_delivered(ReadOrigin.LIST, reason, count=3)

    assert (counts.list_items, getattr(counts, column), counts.balance) == (3, 3, 0)


def test_the_balance_shows_a_lost_line() -> None:
    counts = ReadCounts()
    counts.lines += 1

    assert counts.balance == 1


def test_a_timers_reentry_is_counted_apart() -> None:
    counts = ReadCounts()
    counts.count_timer_reentry()

    assert (counts.timer_reentries, counts.received, counts.balance) == (1, 1, 0)
    assert {name for name, count in counts.as_mapping().items() if count} == {"timer", "received"}


def dirty_keys(*known: str) -> DirtyKeys:
    return DirtyKeys(set(known).__contains__)


def test_a_known_object_is_due_and_a_removed_one_is_not() -> None:
    marked = dirty_keys("n/a")
    marked.add("n/a", None)
    marked.add("n/b", None)

    assert (list(marked.due), list(marked.removed), len(marked)) == (["n/a"], ["n/b"], 2)
    marked.clear("n/a")
    marked.clear("n/b")
    assert len(marked) == 0


def test_a_key_waits_until_its_suspension_ends() -> None:
    marked, suspension = dirty_keys("n/a"), Suspension("quota", detail="", retry_at_ns=100)
    marked.add("n/a", suspension)
    marked.add("n/b", suspension, uid="uid-b")

    marked.release(99)
    assert (list(marked.due), len(marked), marked.release_at_ns()) == ([], 2, 100)
    suspension.is_open = False
    assert marked.release_at_ns() == 0
    marked.release(99)
    assert (list(marked.due), marked.removed) == (["n/a"], {"n/b": "uid-b"})
    assert marked.release_at_ns() is None


def test_when_its_time_has_come_one_key_tests_the_suspension() -> None:
    suspension = Suspension("quota", detail="", retry_at_ns=100)
    first, second = dirty_keys("n/a", "n/b"), dirty_keys("n/c")
    for key, marked in (("n/a", first), ("n/b", first), ("n/c", second)):
        marked.add(key, suspension)

    first.release(100)
    second.release(100)

    assert (list(first.due), list(second.due)) == (["n/a"], [])
    assert suspension.retry_at_ns == 100 + RETRY_EVERY_NS
    first.add("n/a", suspension)  # the try failed: the next one is another's turn
    first.release(suspension.retry_at_ns)
    assert list(first.due) == ["n/b"]


def test_under_an_ended_suspension_nothing_waits() -> None:
    marked, suspension = dirty_keys("n/a"), Suspension("quota", detail="", retry_at_ns=0)
    suspension.is_open = False
    marked.add("n/a", suspension)

    assert list(marked.due) == ["n/a"]


def test_a_key_is_in_one_place_only() -> None:
    marked, suspension = dirty_keys("n/a"), Suspension("quota", detail="", retry_at_ns=100)
    marked.add("n/a", None)
    marked.add("n/a", suspension)
    assert (list(marked.due), len(marked)) == ([], 1)
    marked.add("n/a", None)
    assert (list(marked.due), len(marked), marked.release_at_ns()) == (["n/a"], 1, None)
    marked.clear_all()
    assert len(marked) == 0


def test_a_key_that_brought_nothing_is_put_last() -> None:
    marked = dirty_keys("n/a", "n/b")
    marked.add("n/a", None)
    marked.add("n/b", None)
    marked.put_last("n/a")
    marked.put_last("n/c")

    assert list(marked.due) == ["n/b", "n/a"]


def test_a_removal_that_brought_nothing_is_put_last_and_keeps_its_uid() -> None:
    marked = dirty_keys()
    marked.add("n/a", None, uid="uid-a")
    marked.add("n/b", None, uid="uid-b")
    marked.put_last("n/a")

    assert list(marked.removed.items()) == [("n/b", "uid-b"), ("n/a", "uid-a")]


def test_so_many_keys_are_released_at_once() -> None:
    keys = [f"n/{number}" for number in range(2 * RELEASED_AT_ONCE + 1)]
    marked = dirty_keys(*keys)
    first, second = (Suspension(name, detail="", retry_at_ns=10**18) for name in "ab")
    for number, key in enumerate(keys):
        marked.add(key, first if number % 2 else second)
    first.is_open = second.is_open = False

    released = list[tuple[int, bool]]()
    for _ in range(3):
        has_more = marked.release(0)
        released.append((len(marked.due), has_more))

    assert RELEASED_AT_ONCE == 1000
    assert released == [(1000, True), (2000, True), (2001, False)]
