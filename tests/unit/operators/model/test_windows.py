from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operators.model.observation import Occurrence, Window
from operators.model.state import ObservationState

T0 = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def window(key: str, start: float = 0, length: float = 60, *, name: str = "") -> Window:
    return Window(key, name or f"{key}-{start:g}", at(start), at(start + length))


def event(uid: str = "u", version: str = "1", *, listed: bool = False) -> Occurrence:
    return Occurrence(uid, version, listed)


@pytest.mark.parametrize(
    ("seconds", "contained"),
    [(0, True), (59.999999, True), (60, False), (-60, True), (-60.000001, False)],
)
def test_a_window_contains_its_start_to_its_end_whatever_a_clock_did(
    seconds: float, *, contained: bool
) -> None:
    assert window("k").contains(at(seconds)) is contained


def test_a_window_without_length_contains_nothing() -> None:
    assert not window("k", length=0).contains(at(0))


def test_a_window_is_found_by_its_key_while_it_lasts() -> None:
    state = ObservationState()
    first = window("k")
    state.commit_window(first, event(), moment=at(1))
    assert state.window("k", at(59)) is first
    assert state.window("k", at(60)) is None
    assert state.window("other", at(1)) is None


def test_the_next_window_of_a_key_takes_the_place_of_the_one_before() -> None:
    state = ObservationState()
    for start in (0, 60):
        state.commit_window(window("k", start), event(), moment=at(start))
    assert [one.name for one in state.windows] == ["k-60"]
    assert len(state) == 1


def test_windows_that_are_over_are_removed_and_are_no_loss() -> None:
    state = ObservationState()
    for start, key in enumerate("abc"):
        state.commit_window(window(key, start), event(key), moment=at(start))
    state.sweep(at(61))
    assert [one.key for one in state.windows] == ["c"]
    assert state.evicted == 0
    state.sweep(at(62))
    assert (len(state), state.evicted) == (0, 0)


def test_beyond_the_bound_the_oldest_is_evicted_and_counted() -> None:
    state = ObservationState(occurrence_entries=2)
    for start, key in enumerate("abc"):
        state.commit_window(window(key, start), event("one"), moment=at(start))
    assert [one.key for one in state.windows] == ["b", "c"]
    assert state.evicted == 1
    state.commit_window(window("d", 100), event("one"), moment=at(100))
    assert [one.key for one in state.windows] == ["c", "d"]
    assert state.evicted == 1, "what is over is no loss"


def test_counted_events_are_bounded_too() -> None:
    state = ObservationState(occurrence_entries=2)
    for uid in "abc":
        state.count_in(event(uid), window("k"))
    assert state.counted_in(event("a"), "k") is None
    assert state.counted_in(event("b"), "k") is not None
    assert state.evicted == 1


def test_one_that_was_counted_again_is_the_newest() -> None:
    state = ObservationState(occurrence_entries=2)
    for uid in "abac":
        state.count_in(event(uid), window("k"))
    assert [state.counted_in(event(uid), "k") is not None for uid in "abc"] == [True, False, True]


def test_the_same_version_of_the_same_object_was_counted() -> None:
    state, one = ObservationState(), window("k")
    state.count_in(event("u", "5"), one)
    assert state.counted_in(event("u", "5"), "whatever the key") is one
    assert state.counted_in(event("u", "6"), "k") is None
    assert state.counted_in(event("v", "5"), "k") is None


def test_a_list_that_shows_what_was_counted_last_reports_nothing() -> None:
    state = ObservationState()
    state.count_in(event("u", "5"), window("k"))
    assert state.counted_in(event("u", "6", listed=True), "k") is not None
    assert state.counted_in(event("u", "6", listed=True), "other") is None
    assert state.counted_in(event("made again", "6", listed=True), "k") is None


def test_an_event_without_an_id_was_never_counted() -> None:
    state = ObservationState()
    state.count_in(event("", ""), window("k"))
    assert state.counted_in(event("", ""), "k") is None


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_a_restored_state_has_the_newest_in_any_order(order: tuple[int, ...]) -> None:
    stored = [
        (window("a", -100), event("u", "1")),
        (window("a", 0, name="newer"), event("u", "2")),
        (window("b", -200), event("v", "3")),
    ]
    state = ObservationState()
    for place in order:
        state.restore_window(*stored[place], moment=at(1))
    assert [one.name for one in state.windows] == ["newer"]
    assert state.counted_in(event("u", "2"), "a") is not None
    assert state.counted_in(event("u", "1"), "a") is None
    assert state.counted_in(event("v", "3"), "b") is not None, "counted, though its window is over"


def test_of_two_restored_windows_of_a_key_the_later_one_stays() -> None:
    for order in ((0, 1), (1, 0)):
        state = ObservationState()
        stored = [window("a", 0), window("a", 30)]
        for place in order:
            state.restore_window(stored[place], event(str(place)), moment=at(40))
        assert [one.name for one in state.windows] == ["a-30"]


def test_a_window_opened_anew_is_the_newest() -> None:
    state = ObservationState(occurrence_entries=2)
    for key, start in (("a", 0), ("b", 1), ("a", 2), ("c", 3)):
        state.commit_window(window(key, start), event("one"), moment=at(start))
    assert [one.name for one in state.windows] == ["a-2", "c-3"]


def counted(state: ObservationState, number: int) -> list[str]:
    """Which of the objects u0, u1, .. are remembered."""
    uids = [f"u{n}" for n in range(number)]
    return [uid for uid in uids if state.counted_in(event(uid), "") is not None]


def test_ten_times_the_bound_of_occurrences_does_not_grow() -> None:
    bound = 20
    state = ObservationState(occurrence_entries=bound)
    for number in range(10 * bound):
        state.sweep(at(number / 10))
        state.commit_window(
            window(f"k{number}", number / 10), event(f"u{number}"), moment=at(number / 10)
        )
        assert len(list(state.windows)) <= bound
        assert len(counted(state, 10 * bound)) <= bound
    assert state.evicted == 2 * 9 * bound, "each window was not over, and each event was another's"
    state.sweep(at(1000))
    assert len(state) == 0
    assert counted(state, 10 * bound) == [f"u{n}" for n in range(9 * bound, 10 * bound)]
