"""What the cluster already shows ends before it costs a write, by the decision that the sink would make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from reactivex.subject import Subject

from operators.deduplicate import Deduplication, deduplicate_subjects
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import RemovalReason
from operators.model.identity import Identity
from operators.model.observation import Classified, Observation, Removal
from operators.model.outcome import Ending, Outcome
from operators.model.state import ObservationState, StoredObservation
from operators.reconcile import ReconcilePolicy, reconcile
from tests.unit.operators.observed import (
    BACKOFFS,
    TRACE,
    WIDGET,
    counted_event,
    observation_of,
    removal_of,
    stored_of,
)

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
STORED = Outcome(Ending.STORED)


class Walk:
    """Deduplication alone in its pipe, with the sink's decision."""

    def __init__(
        self,
        known: StoredObservation | None = None,
        *,
        identity: Identity = WIDGET,
        passed_seconds: float = 0,
        enabled: bool = True,
        is_wanted: bool = True,
    ) -> None:
        self.state, self.ledger = ObservationState(), Ledger()
        self.asked: list[Classified] = []
        if known is not None:
            self.state.put(identity, known)
        now = NOW + timedelta(seconds=passed_seconds)
        policy = ReconcilePolicy(deduplicates=enabled, refresh_seconds=60)
        self.source: Subject[Delivery[Observation | Removal]] = Subject()
        self.passed: list[Observation | Removal] = []

        def wanted(classified: Classified) -> bool:
            self.asked.append(classified)
            return is_wanted

        self.source.pipe(
            deduplicate_subjects(
                self.state,
                lambda value: reconcile(value, self.state, policy=policy, now=now),
                wanted=wanted,
            )
        ).subscribe(lambda one: self.passed.append(one.value))

    def offer(self, value: Observation | Removal) -> Outcome | None:
        """How the value ends, or None if it passes; then it is the very value that came."""
        ticket = Ticket(self.ledger, lambda: 0)
        before = len(self.passed)
        self.source.on_next(Delivery(value, ticket))
        outcome = ticket.outcome
        assert ticket.marks == [("deduplicate", 0, outcome)]
        if outcome is None:
            assert self.passed[before:] == [value]
            ticket.settle(STORED)
        return outcome


def ending(outcome: Outcome | None) -> tuple[Ending, str] | None:
    return None if outcome is None else (outcome.ending, outcome.reason)


UNCHANGED = Ending.DEDUPLICATED, "unchanged"


def test_what_is_known_ends_and_names_the_observation_that_it_equals() -> None:
    outcome = Walk(stored_of(traceparent=TRACE)).offer(observation_of())
    assert outcome is not None
    assert ending(outcome) == UNCHANGED
    assert (outcome.observation, outcome.observation_uid, outcome.link) == ("x", "x-uid", TRACE)


@pytest.mark.parametrize(
    ("known", "enabled"),
    [
        (None, True),
        (stored_of("g"), True),
        (stored_of(resolved=True), True),
        (stored_of(missing=True), True),
        (stored_of(), False),
    ],
)
def test_what_is_new_passes(known: StoredObservation | None, *, enabled: bool) -> None:
    assert Walk(known, enabled=enabled).offer(observation_of()) is None


@pytest.mark.parametrize(("passed_seconds", "passes"), [(29, False), (30, True)])
def test_a_resync_refreshes_once_a_window(passed_seconds: float, *, passes: bool) -> None:
    walk = Walk(stored_of(), passed_seconds=passed_seconds)
    assert (walk.offer(observation_of(resync=True)) is None) is passes
    assert walk.offer(observation_of()) is not None


@pytest.mark.parametrize("last_seen", ["", "yesterday", "2026-11-20T05:59:59"])
def test_a_resync_refreshes_what_has_no_moment(last_seen: str) -> None:
    walk = Walk(stored_of(last_seen=last_seen))
    assert walk.offer(observation_of(resync=True)) is None
    assert ending(walk.offer(observation_of())) == UNCHANGED


def test_a_counted_event_ends_and_one_that_counts_on_does_not() -> None:
    walk = Walk(stored_of(traceparent=TRACE, evidence={"e": 2}), identity=BACKOFFS)
    outcome = walk.offer(counted_event("e", 2))
    assert outcome is not None
    assert ending(outcome) == (Ending.DEDUPLICATED, "already_counted")
    assert outcome.link == TRACE
    assert walk.offer(counted_event("e", 3)) is None


@pytest.mark.parametrize("known", [None, stored_of(resolved=True), stored_of(missing=True)])
@pytest.mark.parametrize("reason", RemovalReason)
def test_a_removal_with_nothing_to_resolve_is_filtered(
    known: StoredObservation | None, reason: RemovalReason
) -> None:
    assert ending(Walk(known).offer(removal_of(reason))) == (Ending.FILTERED, "nothing to resolve")
    assert Walk(stored_of()).offer(removal_of(reason)) is None


def test_while_a_write_is_under_way_everything_passes_and_the_sink_decides() -> None:
    walk = Walk(stored_of())
    walk.state.begin_write(WIDGET)
    assert walk.offer(observation_of()) is None
    walk.state.put(WIDGET, stored_of(resolved=True))
    assert walk.offer(removal_of()) is None
    walk.state.end_write(WIDGET)
    assert ending(walk.offer(removal_of())) == (Ending.FILTERED, "nothing to resolve")


def test_a_write_of_another_identity_is_none_of_this_one() -> None:
    walk = Walk(stored_of())
    walk.state.begin_write(BACKOFFS)
    assert ending(walk.offer(observation_of())) == UNCHANGED


def test_an_unchanged_state_that_the_filter_behind_rejects_passes() -> None:
    walk = Walk(stored_of(), is_wanted=False)
    observation = observation_of()
    assert walk.offer(observation) is None
    assert walk.asked == [observation.classified]


def test_without_a_filter_behind_an_unchanged_state_ends() -> None:
    state, ledger = ObservationState(), Ledger()
    state.put(WIDGET, stored_of())
    policy, source = ReconcilePolicy(), Subject[Delivery[Observation | Removal]]()
    source.pipe(
        deduplicate_subjects(state, lambda value: reconcile(value, state, policy=policy, now=NOW))
    ).subscribe()
    source.on_next(Delivery(observation_of(), Ticket(ledger, lambda: 0)))
    assert ledger.endings == {UNCHANGED: 1}


def test_the_filter_behind_has_no_say_of_events_and_removals_and_of_what_passes() -> None:
    counted = Walk(stored_of(evidence={"e": 2}), identity=BACKOFFS, is_wanted=False)
    assert ending(counted.offer(counted_event("e", 2))) == (Ending.DEDUPLICATED, "already_counted")
    removed = Walk(is_wanted=False)
    assert ending(removed.offer(removal_of())) == (Ending.FILTERED, "nothing to resolve")
    assert removed.offer(observation_of()) is None
    assert counted.asked == removed.asked == []


def test_a_window_is_a_second_to_a_year() -> None:
    year_seconds = 365 * 24 * 3600
    longest = Deduplication.model_validate({"window_seconds": year_seconds})
    assert longest.window_duration == timedelta(days=365)
    for seconds in (0, year_seconds + 1):
        with pytest.raises(ValueError, match=r"window_?[sS]econds"):
            Deduplication.model_validate({"window_seconds": seconds})


@pytest.mark.parametrize(
    ("spec", "window", "fields"),
    [
        ({}, 60, None),
        ({"window": "24h"}, 86_400, None),
        ({"window_seconds": 5}, 5, None),
        ({"window": "1m", "window_seconds": 5}, 60, None),
        ({"strategy": "key", "fields": ["a"]}, 60, ("a",)),
        ({"strategy": "key"}, 60, None),
        ({"strategy": "hybrid", "fields": ["a"]}, 60, None),
        ({"fields": ["a"]}, 60, None),
    ],
)
def test_what_a_document_says_of_equality(
    spec: dict[str, object], window: int, fields: tuple[str, ...] | None
) -> None:
    deduplication = Deduplication.model_validate(spec)
    assert deduplication.window_duration == timedelta(seconds=window)
    assert deduplication.compared_fields == fields
