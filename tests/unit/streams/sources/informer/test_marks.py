from __future__ import annotations

from operators.model.outcome import Hold
from streams.sources.informer.marks import TRY_EVERY_NS, Marks


def marks(*known: str) -> Marks:
    return Marks(set(known).__contains__)


def test_a_known_object_is_due_and_a_departed_one_gone() -> None:
    marked = marks("n/a")
    marked.add("n/a", None)
    marked.add("n/b", None)

    assert (list(marked.due), list(marked.gone), len(marked)) == (["n/a"], ["n/b"], 2)
    marked.clear("n/a")
    marked.clear("n/b")
    assert len(marked) == 0


def test_under_an_open_hold_it_waits_until_the_hold_closes() -> None:
    marked, hold = marks("n/a"), Hold("quota", detail="", try_at_ns=100)
    marked.add("n/a", hold)
    marked.add("n/b", hold, uid="uid-b")

    marked.release(99)
    assert (list(marked.due), len(marked), marked.release_at_ns()) == ([], 2, 100)
    hold.open = False
    assert marked.release_at_ns() == 0
    marked.release(99)
    assert (list(marked.due), marked.gone) == (["n/a"], {"n/b": "uid-b"})
    assert marked.release_at_ns() is None


def test_when_its_moment_comes_one_of_all_who_wait_tries() -> None:
    hold = Hold("quota", detail="", try_at_ns=100)
    first, second = marks("n/a", "n/b"), marks("n/c")
    for key, marked in (("n/a", first), ("n/b", first), ("n/c", second)):
        marked.add(key, hold)

    first.release(100)
    second.release(100)

    assert (list(first.due), list(second.due)) == (["n/a"], [])
    assert hold.try_at_ns == 100 + TRY_EVERY_NS
    first.add("n/a", hold)  # the try failed: the next one is another's turn
    first.release(hold.try_at_ns)
    assert list(first.due) == ["n/b"]


def test_a_hold_that_is_closed_parks_nothing() -> None:
    marked, hold = marks("n/a"), Hold("quota", detail="", try_at_ns=0)
    hold.open = False
    marked.add("n/a", hold)

    assert list(marked.due) == ["n/a"]


def test_a_mark_is_in_one_place_only() -> None:
    marked, hold = marks("n/a"), Hold("quota", detail="", try_at_ns=100)
    marked.add("n/a", None)
    marked.add("n/a", hold)
    assert (list(marked.due), len(marked)) == ([], 1)
    marked.add("n/a", None)
    assert (list(marked.due), len(marked), marked.release_at_ns()) == (["n/a"], 1, None)
    marked.clear_all()
    assert len(marked) == 0


def test_who_brought_nothing_goes_behind_the_others() -> None:
    marked = marks("n/a", "n/b")
    marked.add("n/a", None)
    marked.add("n/b", None)
    marked.put_last("n/a")
    marked.put_last("n/c")

    assert list(marked.due) == ["n/b", "n/a"]


def test_a_departure_that_brought_nothing_goes_behind_the_others_and_keeps_its_uid() -> None:
    marked = marks()
    marked.add("n/a", None, uid="uid-a")
    marked.add("n/b", None, uid="uid-b")
    marked.put_last("n/a")

    assert list(marked.gone.items()) == [("n/b", "uid-b"), ("n/a", "uid-a")]
