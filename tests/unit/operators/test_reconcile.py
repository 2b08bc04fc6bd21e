"""What one Observation or removal changes in the cluster, by what is known of it: the whole table, then the details."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace as dataclass_replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from operators.model.event import RemovalReason
from operators.model.identity import OccurrenceIdentity, observation_name
from operators.model.observation import EventEvidence, Observation, Occurrence, Removal, Window
from operators.model.outcome import Ending, Outcome
from operators.model.state import IN_DOUBT, ObservationState, StoredObservation
from operators.reconcile import (
    EVIDENCE_NAMES,
    NOTHING_TO_RESOLVE,
    Delete,
    MergeEvidence,
    ReadStored,
    ReconcilePolicy,
    Resolve,
    Upsert,
    reconcile,
    with_evidence,
)
from tests.unit.operators.observed import (
    BACKOFF,
    BACKOFFS,
    T0,
    TRACE,
    WIDGET,
    classified_of,
    counted_event,
    observation_of,
    removal_of,
    stored_of,
)

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
STAMP = "2026-11-20T06:00:00Z"
BEFORE_T0, AFTER_T0 = "2026-11-20T05:59:29Z", "2026-11-20T05:59:31Z"
DEFAULT = ReconcilePolicy()

Value = Observation | Removal


def occurred() -> Observation:
    occurrence = Occurrence("u", "1")
    occurrence.window = Window("f", "w-window", NOW, NOW + timedelta(seconds=60))
    identity = replace(WIDGET, occurrence=OccurrenceIdentity("f", occurrence.opened))
    return observation_of(identity, occurrence=occurrence)


def state_with(value: Value, stored: StoredObservation | None) -> ObservationState:
    state = ObservationState(resolved_entries=1)
    if stored is not None:
        state.put(value.identity, stored)
    return state


# The table: a value, what is stored of its identity, and the policy.

VALUES: dict[str, Callable[[], Value]] = {
    "state": observation_of,
    "resync": lambda: observation_of(resync=True),
    "newest event": lambda: counted_event("pod.1", 3, AFTER_T0),
    "older event": lambda: counted_event("pod.1", 3, BEFORE_T0),
    "occurrence": occurred,
    "deleted": lambda: removal_of(RemovalReason.DELETED),
    "left selector": lambda: removal_of(RemovalReason.LEFT_SELECTOR),
    "filtered": lambda: removal_of(RemovalReason.FILTERED, rule="minSeverity HIGH"),
}
POLICIES = {
    "default": DEFAULT,
    "without deduplication": ReconcilePolicy(deduplicates=False),
    "deletes": ReconcilePolicy(deletes=True),
    "refresh is due": ReconcilePolicy(refresh_seconds=30),
}
STORED = ("nothing", "equal", "different", "resolved", "missing", "evicted")


def known_of(value: Value, stored: str) -> StoredObservation | None:
    """What is stored: ``equal`` has the same fingerprint, of a Kubernetes Event the same count."""
    is_event = isinstance(value, Observation) and value.classified.evidence is not None
    equal = stored_of(evidence={"pod.1": 3} if is_event else None, newest="pod.0" * is_event)
    if stored == "equal":
        return equal
    if stored == "different":
        return dataclass_replace(
            equal, fingerprint="g", evidence={"pod.1": 2} if is_event else None
        )
    if stored in {"resolved", "missing"}:
        return dataclass_replace(equal, **{stored: True})
    return None


UNCHANGED, COUNTED = "deduplicated unchanged", "deduplicated already_counted"
NOTHING = "filtered nothing to resolve"
TABLE = {  # nothing, equal, different, resolved, missing, evicted
    "state": ("Upsert", UNCHANGED, "Upsert", "Upsert", "Upsert", "ReadStored"),
    "resync": ("Upsert", UNCHANGED, "Upsert", "Upsert", "Upsert", "ReadStored"),
    "newest event": ("Upsert", COUNTED, "Upsert", "Upsert", "Upsert", "ReadStored"),
    "older event": ("Upsert", COUNTED, "MergeEvidence", "MergeEvidence", "Upsert", "ReadStored"),
    "occurrence": ("Upsert",) * 6,
    "deleted": (NOTHING, "Resolve", "Resolve", NOTHING, NOTHING, NOTHING),
    "left selector": (NOTHING, "Resolve", "Resolve", NOTHING, NOTHING, NOTHING),
    "filtered": (NOTHING, "Resolve", "Resolve", NOTHING, NOTHING, NOTHING),
}
BY_POLICY = {
    ("state", "equal", "without deduplication"): "Upsert",
    ("resync", "equal", "without deduplication"): "Upsert",
    ("resync", "equal", "refresh is due"): "Upsert",
    ("deleted", "equal", "deletes"): "Delete",
    ("deleted", "different", "deletes"): "Delete",
    ("left selector", "equal", "deletes"): "Delete",
    ("left selector", "different", "deletes"): "Delete",
}
"""Every other policy decides as the default does."""


def test_every_row_of_the_table_is_one_of_its_parts() -> None:
    assert set(TABLE) == set(VALUES)
    assert {len(row) for row in TABLE.values()} == {len(STORED)}
    parts = set(VALUES), set(STORED), set(POLICIES)
    assert all(part in known for key in BY_POLICY for part, known in zip(key, parts, strict=True))


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("kind", VALUES)
def test_what_is_to_be_written(kind: str, stored: str, policy: str) -> None:
    value = VALUES[kind]()
    state = state_with(value, known_of(value, stored))
    if stored == "evicted":
        state.put(value.identity, stored_of(resolved=True))
        state.put(replace(WIDGET, name="another"), stored_of(resolved=True))
        assert state.was_evicted(value.identity)
    before = deepcopy(state.get(value.identity))
    size, evicted = len(state), state.was_evicted(value.identity)

    decision = reconcile(value, state, policy=POLICIES[policy], now=NOW)

    expected = BY_POLICY.get((kind, stored, policy), TABLE[kind][STORED.index(stored)])
    if isinstance(decision, Outcome):
        assert f"{decision.ending} {decision.reason}" == expected
    else:
        assert type(decision).__name__ == expected
        assert decision.identity == value.identity
    # It is pure: the state is changed by confirmed writes alone.
    assert state.get(value.identity) == before
    assert (len(state), state.was_evicted(value.identity)) == (size, evicted)


# Subjects.


def upserted(value: Value, stored: StoredObservation | None = None) -> StoredObservation:
    decision = reconcile(value, state_with(value, stored), policy=DEFAULT, now=NOW)
    assert isinstance(decision, Upsert)
    assert decision.observation is value
    assert decision.name == decision.after.name
    return decision.after


def test_a_new_subject_is_first_and_last_seen_now_and_is_named_by_its_object() -> None:
    name = observation_name(WIDGET, readable="w")
    assert upserted(observation_of()) == StoredObservation("f", STAMP, STAMP, name=name)


@pytest.mark.parametrize("was", [{}, {"resolved": True}, {"missing": True}])
def test_a_known_subject_keeps_what_its_creation_decided(was: dict[str, Any]) -> None:
    after = upserted(observation_of(), stored_of("g", traceparent=TRACE, **was))
    assert after == StoredObservation(
        *("f", T0, STAMP), name="x", uid="x-uid", traceparent=TRACE, resolved=False, missing=False
    )


def test_a_state_in_doubt_is_written_again() -> None:
    stored = stored_of(IN_DOUBT)
    assert upserted(observation_of(), stored).fingerprint == "f"


def test_a_duplicate_names_the_observation_and_links_to_its_trace() -> None:
    state = state_with(observation_of(), stored_of(traceparent=TRACE))
    outcome = reconcile(observation_of(), state, policy=DEFAULT, now=NOW)
    assert outcome == Outcome(
        *(Ending.DEDUPLICATED, "unchanged"), observation="x", observation_uid="x-uid", link=TRACE
    )


@pytest.mark.parametrize(
    ("last_seen", "moment", "is_due"),
    [
        (T0, "2026-11-20T06:00:29.999999+00:00", False),
        (T0, "2026-11-20T06:00:30+00:00", True),
        (T0, "2026-11-20T06:00:30.000001+00:00", True),
        (T0, "2026-11-20T05:00:00+00:00", False),
        ("2026-11-20T07:59:30+02:00", "2026-11-20T06:00:29.999999+00:00", False),
        ("2026-11-20T07:59:30+02:00", "2026-11-20T06:00:30+00:00", True),
        ("", STAMP, True),
        ("yesterday", STAMP, True),
        ("2026-11-20T05:59:59", STAMP, True),
    ],
)
def test_a_resync_refreshes_from_the_end_of_the_window_on(
    last_seen: str, moment: str, *, is_due: bool
) -> None:
    now = datetime.fromisoformat(moment)
    policy = ReconcilePolicy(refresh_seconds=60)
    state = state_with(observation_of(), stored_of(last_seen=last_seen))
    resynced = reconcile(observation_of(resync=True), state, policy=policy, now=now)
    assert isinstance(resynced, Upsert) is is_due
    # Only what was read again on purpose refreshes.
    assert isinstance(reconcile(observation_of(), state, policy=policy, now=now), Outcome)


def test_what_was_evicted_is_read_by_its_name() -> None:
    state = state_with(observation_of(), stored_of(resolved=True))
    state.put(replace(WIDGET, name="another"), stored_of(resolved=True))
    value = observation_of()
    assert reconcile(value, state, policy=DEFAULT, now=NOW) == ReadStored(
        WIDGET, value, observation_name(WIDGET, readable="w")
    )


def test_a_policy_that_chooses_nothing_refreshes_after_a_minute() -> None:
    state, resynced = state_with(observation_of(), stored_of()), observation_of(resync=True)
    for moment, kind in (("2026-11-20T06:00:29.9Z", Outcome), ("2026-11-20T06:00:30Z", Upsert)):
        now = datetime.fromisoformat(moment)
        assert isinstance(reconcile(resynced, state, policy=DEFAULT, now=now), kind)


# Removals.


@pytest.mark.parametrize("reason", RemovalReason)
@pytest.mark.parametrize("rule", ["", "minSeverity HIGH"])
def test_a_resolved_observation_says_when_and_why(reason: RemovalReason, rule: str) -> None:
    removal = removal_of(reason, rule=rule)
    decision = reconcile(removal, state_with(removal, stored_of()), policy=DEFAULT, now=NOW)
    assert decision == Resolve(WIDGET, removal, "x", STAMP)
    assert isinstance(decision, Resolve)
    assert decision.reason == (rule or reason.value)


def test_a_deleted_observation_is_deleted_by_its_name() -> None:
    removal = removal_of()
    policy = ReconcilePolicy(deletes=True)
    decision = reconcile(removal, state_with(removal, stored_of()), policy=policy, now=NOW)
    assert decision == Delete(WIDGET, removal, "x")


def test_a_removal_of_what_is_in_doubt_is_carried_out() -> None:
    state, removal = ObservationState(), removal_of()
    state.invalidate(WIDGET, name="sent", moment=T0)
    assert reconcile(removal, state, policy=DEFAULT, now=NOW) == Resolve(
        WIDGET, removal, "sent", STAMP
    )


def test_nothing_to_resolve_is_filtered() -> None:
    assert (NOTHING_TO_RESOLVE.ending, NOTHING_TO_RESOLVE.observation) == (Ending.FILTERED, "")


# Occurrences.


def test_an_occurrence_was_seen_once_when_its_window_opened_and_has_its_name() -> None:
    observation = occurred()
    later = NOW + timedelta(hours=1)
    decision = reconcile(observation, ObservationState(), policy=DEFAULT, now=later)
    after = StoredObservation("f", STAMP, STAMP, name="w-window")
    assert decision == Upsert(observation.identity, observation, after)


def test_an_occurrence_without_a_window_is_a_defect() -> None:
    observation = observation_of(occurrence=Occurrence("u", "1"))
    with pytest.raises(TypeError, match="window"):
        reconcile(observation, ObservationState(), policy=DEFAULT, now=NOW)


# Kubernetes Events.


def known_events(
    evidence: dict[str, int], *, newest: str = "pod.5", base: int = 0
) -> StoredObservation:
    return stored_of(evidence=evidence, newest=newest, base=base, traceparent=TRACE)


def test_a_new_event_is_named_by_the_involved_object_and_seen_when_it_happened() -> None:
    name = observation_name(BACKOFFS, readable="pod")
    assert upserted(counted_event("pod.1", 3, AFTER_T0)) == StoredObservation(
        *("f", STAMP, AFTER_T0), name=name, evidence={"pod.1": 3}, newest="pod.1"
    )


def test_an_event_without_a_time_is_seen_now() -> None:
    assert upserted(counted_event("pod.1", 3, "")).last_seen == STAMP


def test_an_involved_object_in_another_namespace_does_not_change_the_name() -> None:
    # Events of cluster-scoped objects live in the namespace "default", their subject in none.
    classified = classified_of(BACKOFFS)
    classified.subject = replace(classified.subject, namespace="", name="Node 1")
    after = upserted(counted_event(classified=classified))
    assert after.name == observation_name(BACKOFFS, readable="Node 1")
    assert after.name.startswith("node-1-")


@pytest.mark.parametrize(
    ("name", "last_seen", "is_newest"),
    [
        ("pod.5", AFTER_T0, True),
        ("pod.5", T0, True),
        ("pod.6", T0, True),
        ("pod.4", T0, False),
        ("pod.4", AFTER_T0, True),
        ("pod.6", BEFORE_T0, False),
        ("pod.4", "2026-11-20T05:59:30.000001Z", True),
        ("pod.6", "2026-11-20T05:59:29.999999Z", False),
        ("pod.6", "", False),
    ],
)
def test_the_latest_event_writes_all_and_an_earlier_one_adds_to_the_counts_alone(
    name: str, last_seen: str, *, is_newest: bool
) -> None:
    stored = known_events({"pod.5": 3})
    observation = counted_event(name, 7, last_seen, fingerprint="g")
    evidence = {"pod.5": 3, name: 7}

    decision = reconcile(observation, state_with(observation, stored), policy=DEFAULT, now=NOW)

    assert isinstance(decision, Upsert if is_newest else MergeEvidence)
    assert (decision.observation, decision.name) == (observation, "x")
    expected = dataclass_replace(stored, evidence=evidence)
    if is_newest:
        expected.fingerprint, expected.last_seen, expected.newest = "g", last_seen, name
    assert decision.after == expected
    assert stored.evidence == {"pod.5": 3}


def test_a_fraction_of_a_second_sorts_above_the_whole_one_that_is_stored() -> None:
    stored = stored_of(last_seen="2026-11-20T05:59:30.5Z", evidence={"pod.5": 1}, newest="pod.5")
    for last_seen, is_newest in (("2026-11-20T05:59:30Z", False), ("2026-11-20T05:59:31Z", True)):
        observation = counted_event("pod.9", 1, last_seen)
        decision = reconcile(observation, state_with(observation, stored), policy=DEFAULT, now=NOW)
        assert isinstance(decision, Upsert) is is_newest


@pytest.mark.parametrize("last_seen", [BEFORE_T0, T0, AFTER_T0])
def test_an_event_that_was_counted_ends_whatever_its_time(last_seen: str) -> None:
    observation = counted_event("pod.1", 3, last_seen)
    state = state_with(observation, known_events({"pod.1": 3}))
    assert reconcile(observation, state, policy=DEFAULT, now=NOW) == Outcome(
        *(Ending.DEDUPLICATED, "already_counted"),
        observation="x",
        observation_uid="x-uid",
        link=TRACE,
    )


@pytest.mark.parametrize(
    "observation", [counted_event("pod.1", 4, T0), counted_event("pod.2", 3, T0)]
)
def test_another_count_and_another_name_were_not_counted(observation: Observation) -> None:
    state = state_with(observation, known_events({"pod.1": 3}))
    assert not isinstance(reconcile(observation, state, policy=DEFAULT, now=NOW), Outcome)


@pytest.mark.parametrize("last_seen", [BEFORE_T0, AFTER_T0])
def test_a_missing_observation_is_written_whole_and_its_evidence_still_counts(
    last_seen: str,
) -> None:
    stored = dataclass_replace(known_events({"pod.5": 3}, base=2), missing=True)
    after = upserted(counted_event("pod.1", 1, last_seen), stored)
    assert (after.count, after.missing, after.first_seen) == (6, False, T0)
    assert (after.last_seen, after.newest) == (last_seen, "pod.1")


def test_an_event_of_an_observation_in_doubt_counts_from_nothing() -> None:
    observation = counted_event("pod.1", 3, BEFORE_T0)
    state = ObservationState()
    state.invalidate(BACKOFFS, name="sent", moment=T0)
    decision = reconcile(observation, state, policy=DEFAULT, now=NOW)
    assert isinstance(decision, Upsert)
    assert (decision.after.evidence, decision.after.name) == ({"pod.1": 3}, "sent")


def test_a_lower_count_starts_a_new_run_and_the_former_one_joins_the_base() -> None:
    after = upserted(counted_event("pod.1", 2, AFTER_T0), known_events({"pod.1": 5, "pod.2": 1}))
    assert (after.base, after.evidence, after.count) == (5, {"pod.1": 2, "pod.2": 1}, 8)


# The evidence.


def evidence(name: str, count: int) -> EventEvidence:
    return EventEvidence(BACKOFF, name, count, T0)


def exists(name: str) -> bool:  # noqa: ARG001  every Event does
    return True


def test_a_higher_count_replaces_and_a_lower_one_starts_a_new_run() -> None:
    assert with_evidence(None, evidence("a", 3), exists=exists) == (0, {"a": 3})
    assert with_evidence(stored_of(), evidence("a", 3), exists=exists) == (0, {"a": 3})
    known = stored_of(evidence={"a": 3}, base=1)
    assert with_evidence(known, evidence("a", 5), exists=exists) == (1, {"a": 5})
    assert with_evidence(known, evidence("a", 3), exists=exists) == (1, {"a": 3})
    assert with_evidence(known, evidence("a", 2), exists=exists) == (4, {"a": 2})
    assert with_evidence(known, evidence("b", 2), exists=exists) == (1, {"a": 3, "b": 2})
    assert known.evidence == {"a": 3}


def test_a_first_count_of_nothing_is_no_new_run() -> None:
    assert with_evidence(stored_of(base=1), evidence("a", 0), exists=exists) == (1, {"a": 0})


@pytest.mark.parametrize("timeless", ["p.g", "timeless", "p."])
def test_a_name_that_ends_in_no_hexadecimal_number_is_older_than_any_that_does(
    timeless: str,
) -> None:
    dead = {timeless, "a.1"}
    known = dict.fromkeys([*dead, *(f"q.{n:x}" for n in range(100, 162))], 1)
    _, names = with_evidence(
        stored_of(evidence=known), evidence("r.1", 1), exists=lambda name: name not in dead
    )
    assert known.keys() - names.keys() == {timeless}


def test_without_a_store_every_event_counts_as_existing() -> None:
    stored = stored_of(evidence=FULL, newest="p.0")
    after = upserted(counted_event("p.ff", 1, AFTER_T0), stored)
    assert len(after.evidence or {}) == EVIDENCE_NAMES + 1


FULL = {f"p.{number:x}": number + 1 for number in range(EVIDENCE_NAMES)}


def test_so_many_names_stay_although_none_of_their_events_exists() -> None:
    assert EVIDENCE_NAMES == 64
    base, names = with_evidence(
        stored_of(evidence=FULL), evidence("p.3f", 99), exists=lambda _: False
    )
    assert (base, len(names), names["p.3f"]) == (0, 64, 99)


def test_beyond_so_many_names_only_those_without_an_event_join_the_base() -> None:
    before = stored_of(evidence=FULL)
    base, names = with_evidence(before, evidence("p.ff", 1), exists=lambda name: name != "p.5")
    assert base == 6
    assert "p.5" not in names
    assert base + sum(names.values()) == before.count + 1
    base, names = with_evidence(before, evidence("p.ff", 1), exists=exists)
    assert (base, len(names)) == (0, EVIDENCE_NAMES + 1), "an Event that exists may count on"


def test_the_oldest_join_the_base_first_and_no_more_than_must() -> None:
    # By the time in the name, in hexadecimal nanoseconds: p.a is older than p.10. What has none is the oldest.
    known = {"p.10": 1, "p.a": 2, "other": 4, "p.zz": 8, **{f"q.{n:x}": 1 for n in range(100, 161)}}
    dead = {"p.10", "p.a", "other", "p.zz"}
    assert len(known) == EVIDENCE_NAMES + 1
    joined: list[set[str]] = []
    for more in range(5):
        before = known | {f"r.{number:x}": 1 for number in range(more)}
        base, names = with_evidence(
            stored_of(evidence=before), evidence("s.1", 1), exists=lambda name: name not in dead
        )
        gone = before.keys() - names.keys()
        assert base == sum(known[name] for name in gone)
        joined.append(gone)
    assert joined == [{"other", "p.zz"}, {"other", "p.zz", "p.a"}, dead, dead, dead]


def test_reconcile_asks_for_the_event_in_the_namespace_in_which_it_is() -> None:
    asked: list[tuple[str, str]] = []

    def event_exists(namespace: str, name: str) -> bool:
        asked.append((namespace, name))
        return name != "p.5"

    policy = ReconcilePolicy(event_exists=event_exists)
    for last_seen in (BEFORE_T0, AFTER_T0):
        observation = counted_event("p.ff", 1, last_seen)
        state = state_with(observation, known_events(FULL))
        decision = reconcile(observation, state, policy=policy, now=NOW)
        assert isinstance(decision, (Upsert, MergeEvidence))
        assert decision.after.base == 6
        assert decision.after.evidence is not None
        assert "p.5" not in decision.after.evidence
    assert {namespace for namespace, _ in asked} == {"shop"}
    assert {name for _, name in asked} == {*FULL, "p.ff"}


EVENT_NAMES = st.sampled_from([f"p.{number:x}" for number in range(200)])


@given(
    st.lists(st.tuples(EVENT_NAMES, st.integers(1, 5)), min_size=60, max_size=150),
    st.sets(EVENT_NAMES),
)
def test_no_count_is_lost_and_the_names_are_bounded_by_the_events_that_exist(
    events: list[tuple[str, int]], living: set[str]
) -> None:
    stored, total = stored_of(evidence={}), 0
    for name, count in events:
        remembered = (stored.evidence or {}).get(name, 0)
        base, names = with_evidence(stored, evidence(name, count), exists=lambda one: one in living)
        stored = stored_of(evidence=names, base=base)
        total += count - remembered if count >= remembered else count
        assert stored.count == total
        assert len(names) <= max(EVIDENCE_NAMES, len(living & names.keys()))
