from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operators.model.observation import Occurrence, Window
from operators.model.windows import Windows

T0 = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def window(key: str, start: float = 0, length: float = 60, *, name: str = "") -> Window:
    return Window(key, name or f"{key}-{start:g}", at(start), at(start + length))


def event(uid: str = "u", version: str = "1", *, listed: bool = False) -> Occurrence:
    return Occurrence(uid, version, listed)


@pytest.mark.parametrize(
    ("seconds", "held"),
    [(0, True), (59.999999, True), (60, False), (-60, True), (-60.000001, False)],
)
def test_a_window_holds_from_its_start_to_its_end_whatever_a_clock_did(
    seconds: float, *, held: bool
) -> None:
    assert window("k").holds(at(seconds)) is held


def test_a_window_without_length_holds_nothing() -> None:
    assert not window("k", length=0).holds(at(0))


def test_a_window_is_found_by_its_key_while_it_lasts() -> None:
    windows = Windows()
    first = window("k")
    windows.commit(first, event(), moment=at(1))
    assert windows.at("k", at(59)) is first
    assert windows.at("k", at(60)) is None
    assert windows.at("other", at(1)) is None


def test_the_next_window_of_a_key_takes_the_place_of_the_one_before() -> None:
    windows = Windows()
    for start in (0, 60):
        windows.commit(window("k", start), event(), moment=at(start))
    assert [one.name for one in windows] == ["k-60"]


def test_what_is_over_goes_and_is_no_loss() -> None:
    windows = Windows()
    for start, key in enumerate("abc"):
        windows.commit(window(key, start), event(key), moment=at(start))
    windows.sweep(at(61))
    assert [one.key for one in windows] == ["c"]
    assert windows.evicted == 0


def test_beyond_the_bound_the_oldest_goes_and_is_counted() -> None:
    windows = Windows(entries=2)
    for start, key in enumerate("abc"):
        windows.commit(window(key, start), event("one"), moment=at(start))
    assert [one.key for one in windows] == ["b", "c"]
    assert windows.evicted == 1
    windows.commit(window("d", 100), event("one"), moment=at(100))
    assert [one.key for one in windows] == ["c", "d"]
    assert windows.evicted == 1, "what is over is no loss"


def test_told_events_are_bounded_too() -> None:
    windows = Windows(entries=2)
    for uid in "abc":
        windows.tell(event(uid), window("k"))
    assert windows.told(event("a"), "k") is None
    assert windows.told(event("b"), "k") is not None
    assert windows.evicted == 1


def test_the_same_version_of_the_same_object_was_told() -> None:
    windows = Windows()
    windows.tell(event("u", "5"), window("k"))
    assert windows.told(event("u", "5"), "whatever the key") is not None
    assert windows.told(event("u", "6"), "k") is None
    assert windows.told(event("v", "5"), "k") is None


def test_a_list_that_shows_what_was_told_last_says_nothing() -> None:
    windows = Windows()
    windows.tell(event("u", "5"), window("k"))
    assert windows.told(event("u", "6", listed=True), "k") is not None
    assert windows.told(event("u", "6", listed=True), "other") is None
    assert windows.told(event("made again", "6", listed=True), "k") is None


def test_what_has_no_name_of_its_own_was_never_told() -> None:
    windows = Windows()
    windows.tell(event("", ""), window("k"))
    assert windows.told(event("", ""), "k") is None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_rebuild_takes_the_newest_in_any_order(order: tuple[int, ...]) -> None:
    stored = [
        (window("a", -100), event("u", "1")),
        (window("a", 0, name="newer"), event("u", "2")),
        (window("b", -200), event("v", "3")),
    ]
    windows = Windows()
    for place in order:
        windows.restore(*stored[place], moment=at(1))
    assert [one.name for one in windows] == ["newer"]
    assert windows.told(event("u", "2"), "a") is not None
    assert windows.told(event("u", "1"), "a") is None
    assert windows.told(event("v", "3"), "b") is not None, "told, though its window is over"


def test_a_window_opened_anew_is_the_newest() -> None:
    windows = Windows(entries=2)
    for key, start in (("a", 0), ("b", 1), ("a", 2), ("c", 3)):
        windows.commit(window(key, start), event("one"), moment=at(start))
    assert [one.name for one in windows] == ["a-2", "c-3"]
