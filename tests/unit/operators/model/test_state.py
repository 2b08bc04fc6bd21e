"""What is known of Observations: kept by confirmed writes, found by object, bounded where it can be read again."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import replace as dataclass_replace
from datetime import datetime, timedelta, timezone
from typing import cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from operators.model.identity import Identity
from operators.model.state import (
    EVICTED_DIGEST_BYTES,
    IN_DOUBT,
    OCCURRENCE_ENTRIES,
    RESOLVED_ENTRIES,
    ObservationState,
    StoredObservation,
    micro_timestamp,
    timestamp,
)
from tests.unit.operators.observed import BACKOFFS, T0, TRACE, WIDGET, stored_of


def widget(name: object, *, part: str = "") -> Identity:
    return replace(WIDGET, name=str(name), part=part)


def state_of(*entries: Identity, bound: int = 2, resolved: bool = False) -> ObservationState:
    state = ObservationState(resolved_entries=bound)
    for entry in entries:
        state.put(entry, stored_of(resolved=resolved))
    return state


def known(state: ObservationState, *identities: Identity) -> list[bool]:
    return [state.get(one) is not None for one in identities]


# Moments.


def test_moments_are_stored_in_utc_with_the_fraction_that_kubernetes_has() -> None:
    moment = datetime(2026, 11, 20, 7, 0, 1, 987654, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(moment) == "2026-11-20T06:00:01Z"
    assert micro_timestamp(moment) == "2026-11-20T06:00:01.987654Z"
    assert micro_timestamp(moment.replace(microsecond=0)) == "2026-11-20T06:00:01.000000Z"


# What is known.


def test_what_was_put_is_known_until_it_is_forgotten() -> None:
    state, stored = ObservationState(), stored_of()

    assert (state.get(WIDGET), state.is_open(WIDGET), len(state)) == (None, False, 0)
    state.put(WIDGET, stored)
    assert state.get(WIDGET) is stored
    assert (state.is_open(WIDGET), len(state)) == (True, 1)
    newer = stored_of("g")
    state.put(WIDGET, newer)
    assert (state.get(WIDGET), len(state)) == (newer, 1)
    state.forget(WIDGET)
    assert (state.get(WIDGET), state.is_open(WIDGET), len(state)) == (None, False, 0)
    state.forget(WIDGET)


@pytest.mark.parametrize(
    ("stored", "is_open"),
    [
        (stored_of(), True),
        (stored_of(resolved=True), False),
        (stored_of(missing=True), False),
        (stored_of(resolved=True, missing=True), False),
    ],
)
def test_what_is_resolved_or_missing_is_not_open(
    stored: StoredObservation, *, is_open: bool
) -> None:
    state = ObservationState()
    state.put(WIDGET, stored)
    assert (stored.is_open, state.is_open(WIDGET), state.has_open("shop/w")) == (is_open,) * 3


@pytest.mark.parametrize(
    ("base", "evidence", "count"),
    [(0, None, 0), (0, {}, 0), (7, {}, 7), (0, {"a": 2, "b": 3}, 5), (7, {"a": 2}, 9)],
)
def test_a_count_is_the_base_and_the_evidence(
    base: int, evidence: dict[str, int] | None, count: int
) -> None:
    assert stored_of(base=base, evidence=evidence).count == count
    assert StoredObservation("f", T0, T0, evidence=evidence).count == count - base


# By object.


def test_the_observations_of_an_object_are_found_by_its_key() -> None:
    parts = [widget("w", part=part) for part in ("", "a", "b")]
    state = state_of(*parts, widget("v"))

    assert state.of_object("shop/w") == tuple(parts)
    assert state.of_object("shop/v") == (widget("v"),)
    assert (state.of_object("shop/x"), state.has_open("shop/x")) == ((), False)
    state.put(parts[0], stored_of("again"))
    assert state.of_object("shop/w") == tuple(parts), "one that is known is not found twice"
    for left in (parts[1:], parts[2:], []):
        state.forget(parts[len(parts) - len(left) - 1])
        assert state.of_object("shop/w") == tuple(left)


def test_an_object_has_an_open_observation_while_one_of_its_parts_does() -> None:
    parts = [widget("w", part=part) for part in "ab"]
    state = state_of(*parts)
    for part, has_open in zip(parts, (True, False), strict=True):
        state.put(part, stored_of(resolved=True))
        assert state.has_open("shop/w") is has_open


def test_kubernetes_events_are_not_found_by_an_object() -> None:
    # Their identity has no name: all Events of a namespace would be one object.
    state = state_of(BACKOFFS)
    assert (state.of_object("shop/"), state.has_open("shop/")) == ((), False)
    state.forget(BACKOFFS)
    assert len(state) == 0


# Eviction.


def test_resolved_ones_beyond_the_bound_are_evicted_in_the_order_of_their_resolving() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, c)
    for one in (b, a):
        state.put(one, stored_of(resolved=True))
    assert (known(state, a, b, c), state.evicted) == ([True] * 3, 0)

    state.put(c, stored_of(resolved=True))

    assert known(state, a, b, c) == [True, False, True]
    assert [state.was_evicted(one) for one in (a, b, c)] == [False, True, False]
    assert (state.evicted, len(state)) == (1, 2)
    assert state.of_object("shop/b") == ()


def test_one_that_is_resolved_again_is_the_newest() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, resolved=True)
    state.put(a, stored_of(resolved=True))
    state.put(c, stored_of(resolved=True))
    assert known(state, a, b, c) == [True, False, True]


def test_open_ones_are_never_evicted_and_do_not_count_against_the_bound() -> None:
    many = [widget(number) for number in range(100)]
    state = state_of(*many, BACKOFFS)
    state.put(widget("r"), stored_of(resolved=True))
    assert (len(state), state.evicted) == (102, 0)


def test_one_that_is_open_again_is_not_evicted() -> None:
    a, b, c, d = map(widget, "abcd")
    state = state_of(a, b, resolved=True)
    state.put(a, stored_of())
    state.put(c, stored_of(resolved=True))
    assert known(state, a, b, c) == [True] * 3
    state.put(d, stored_of(resolved=True))
    assert known(state, a, b, c, d) == [True, False, True, True]


def test_one_that_was_forgotten_leaves_its_place_to_another() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, resolved=True)
    state.forget(a)
    state.put(c, stored_of(resolved=True))
    assert known(state, b, c) == [True, True]
    assert (state.was_evicted(a), state.evicted) == (False, 0), "it was deleted, not evicted"


def test_the_bounds_are_those_that_the_memory_was_measured_with() -> None:
    assert (RESOLVED_ENTRIES, OCCURRENCE_ENTRIES) == (20_000, 100_000)
    state = ObservationState()
    for number in range(RESOLVED_ENTRIES + 1):
        state.put(widget(number), stored_of(resolved=True))
    assert (len(state), state.evicted) == (RESOLVED_ENTRIES, 1)


def test_an_evicted_one_is_restored_as_it_was_read() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, c, resolved=True)
    read = stored_of("as read", resolved=True)

    state.restore_evicted(a, read)

    assert state.get(a) is read
    assert not state.was_evicted(a)
    assert state.was_evicted(b), "what was restored is the newest resolved one"


def test_an_evicted_one_that_does_not_exist_any_more_is_as_if_it_had_never_been() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, c, resolved=True)
    state.restore_evicted(a, None)
    assert (state.get(a), state.was_evicted(a), len(state)) == (None, False, 2)


def test_an_evicted_one_that_was_written_is_evicted_no_longer() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, c, resolved=True)
    state.put(a, stored_of())
    assert not state.was_evicted(a)
    state.forget(a)
    assert not state.was_evicted(a)


# Doubt.


def test_a_known_one_in_doubt_is_open_with_any_content_and_keeps_the_rest() -> None:
    state = state_of(WIDGET, resolved=True)
    before = cast("StoredObservation", state.get(WIDGET))
    expected = dataclass_replace(before, fingerprint=IN_DOUBT, resolved=False)

    state.invalidate(WIDGET, name="other", moment="later", traceparent="other")

    assert state.get(WIDGET) == expected
    assert state.is_open(WIDGET)
    assert IN_DOUBT == "", "no fingerprint is empty"


def test_a_known_one_in_doubt_is_not_evicted() -> None:
    a, b, c = map(widget, "abc")
    state = state_of(a, b, resolved=True)
    state.invalidate(a, name="x", moment=T0)
    state.put(c, stored_of(resolved=True))
    state.put(widget("d"), stored_of(resolved=True))
    assert known(state, a, b, c) == [True, False, True]


def test_an_unknown_one_in_doubt_may_exist_with_what_was_sent() -> None:
    state = ObservationState()

    state.invalidate(WIDGET, name="sent", moment=T0, traceparent=TRACE)

    assert state.get(WIDGET) == StoredObservation(IN_DOUBT, T0, T0, name="sent", traceparent=TRACE)
    assert state.is_open(WIDGET)
    assert state.of_object("shop/w") == (WIDGET,), "a removal must find it"


# Missing.


def test_a_missing_subject_is_forgotten() -> None:
    state = state_of(WIDGET)
    state.mark_missing(WIDGET)
    assert (state.get(WIDGET), len(state)) == (None, 0)
    state.mark_missing(WIDGET)
    assert len(state) == 0


@pytest.mark.parametrize("evidence", [{}, {"a": 3}])
def test_a_missing_kubernetes_event_still_counts(evidence: dict[str, int]) -> None:
    state, stored = ObservationState(), stored_of(base=2, evidence=evidence)
    state.put(BACKOFFS, stored)

    state.mark_missing(BACKOFFS)

    assert state.get(BACKOFFS) is stored
    assert (stored.missing, stored.count) == (True, 2 + sum(evidence.values()))
    assert not state.is_open(BACKOFFS)


# Writes under way.


def test_a_write_is_under_way_until_every_one_has_ended() -> None:
    state, other = ObservationState(), widget("v")
    assert not state.is_writing(WIDGET)
    state.begin_write(WIDGET)
    state.begin_write(WIDGET)
    assert (state.is_writing(WIDGET), state.is_writing(other)) == (True, False)
    state.end_write(WIDGET)
    assert state.is_writing(WIDGET)
    state.end_write(WIDGET)
    assert not state.is_writing(WIDGET)
    assert sizes(state) == {}, "no count of 0 stays"
    with pytest.raises(KeyError):
        state.end_write(WIDGET)


# Growth.


def sizes(state: ObservationState) -> dict[str, int]:
    """How many entries every collection of the state holds that holds any, whatever it is called."""
    held = {name: value for name, value in vars(state).items() if isinstance(value, Sized)}
    return {name: len(value) for name, value in held.items() if len(value)}


def test_resolving_and_opening_again_does_not_grow() -> None:
    bound = 20
    state = ObservationState(resolved_entries=bound)
    objects = [widget(number) for number in range(2 * bound)]
    seen: list[dict[str, int]] = []
    for _ in range(10):
        for one in objects:
            state.begin_write(one)
            if state.was_evicted(one):
                state.restore_evicted(one, stored_of(resolved=True))
            state.put(one, stored_of())
            state.put(one, stored_of(resolved=True))
            state.end_write(one)
            assert len(state) <= bound
        seen.append(sizes(state))

    assert seen == [seen[0]] * 10
    assert seen[0] == {"_stored": bound, "_resolved": bound, "_by_object": bound, "_evicted": bound}


def test_objects_that_come_and_go_leave_a_digest_each_and_nothing_if_they_are_deleted() -> None:
    bound = 20
    state = ObservationState(resolved_entries=bound)
    for number in range(10 * bound):
        state.put(widget(number), stored_of())
        state.put(widget(number), stored_of(resolved=True))
    kept = dict.fromkeys(("_stored", "_resolved", "_by_object"), bound)
    assert sizes(state) == {**kept, "_evicted": 9 * bound}
    evicted: set[bytes] = vars(state)["_evicted"]
    assert {len(digest) for digest in evicted} == {EVICTED_DIGEST_BYTES} == {8}

    for number in range(10 * bound):
        one = widget(number)
        state.forget(one)
        if state.was_evicted(one):
            state.restore_evicted(one, None)
    assert sizes(state) == {}


class PlainState:
    """What is known by two plain collections and a list: slow, and evidently right."""

    def __init__(self, *, bound: int) -> None:
        self.bound = bound
        self.open: set[int] = set()
        self.resolved: list[int] = []
        self.evicted: set[int] = set()

    @property
    def known(self) -> set[int]:
        return self.open | set(self.resolved)

    def forget(self, number: int) -> None:
        self.open.discard(number)
        if number in self.resolved:
            self.resolved.remove(number)

    def put_open(self, number: int) -> None:
        self.forget(number)
        self.evicted.discard(number)
        self.open.add(number)

    def put_resolved(self, number: int) -> None:
        self.forget(number)
        self.evicted.discard(number)
        self.resolved.append(number)
        if len(self.resolved) > self.bound:
            self.evicted.add(self.resolved.pop(0))


NUMBERS = range(6)
IDENTITIES = [widget(number % 3, part=str(number // 3)) for number in NUMBERS]


class Histories(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.state, self.plain = ObservationState(resolved_entries=2), PlainState(bound=2)

    @rule(number=st.sampled_from(NUMBERS))
    def put_open(self, number: int) -> None:
        self.state.put(IDENTITIES[number], stored_of())
        self.plain.put_open(number)

    @rule(number=st.sampled_from(NUMBERS))
    def put_resolved(self, number: int) -> None:
        self.state.put(IDENTITIES[number], stored_of(resolved=True))
        self.plain.put_resolved(number)

    @rule(number=st.sampled_from(NUMBERS))
    def invalidate(self, number: int) -> None:
        self.state.invalidate(IDENTITIES[number], name="x", moment=T0)
        self.plain.put_open(number)

    @rule(number=st.sampled_from(NUMBERS), missing=st.booleans())
    def forget(self, number: int, *, missing: bool) -> None:
        if missing:
            self.state.mark_missing(IDENTITIES[number])
        else:
            self.state.forget(IDENTITIES[number])
        self.plain.forget(number)

    @precondition(lambda self: self.plain.evicted)
    @rule(data=st.data(), exists=st.booleans())
    def restore(self, data: st.DataObject, *, exists: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.plain.evicted)))
        read = stored_of(resolved=True) if exists else None
        self.state.restore_evicted(IDENTITIES[number], read)
        self.plain.evicted.discard(number)
        if exists:
            self.plain.put_resolved(number)

    @invariant()
    def agree(self) -> None:
        state, plain = self.state, self.plain
        assert {n for n in NUMBERS if state.is_open(IDENTITIES[n])} == plain.open
        assert {n for n in NUMBERS if state.get(IDENTITIES[n])} == plain.known
        assert {n for n in NUMBERS if state.was_evicted(IDENTITIES[n])} == plain.evicted
        assert len(state) == len(plain.known)
        for place in range(3):
            found = state.of_object(f"shop/{place}")
            expected = [IDENTITIES[n] for n in plain.known if n % 3 == place]
            assert sorted(found, key=repr) == sorted(expected, key=repr)
            assert state.has_open(f"shop/{place}") is any(n % 3 == place for n in plain.open)


TestHistories = Histories.TestCase
