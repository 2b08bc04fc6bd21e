"""The filter settles what is not wanted, and has resolved what is no longer wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from reactivex.subject import Subject

from operators.deduplicate import deduplicate_subjects
from operators.filter import filter_described, filter_observations
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import RemovalReason
from operators.model.observation import Classified, EventEvidence, Observation, Occurrence, Removal
from operators.model.outcome import Ending, Outcome
from operators.model.state import ObservationState
from operators.reconcile import ReconcilePolicy, reconcile
from operators.rules.lists import Filters, RuleSet
from tests.unit.operators.observed import (
    BACKOFF,
    T0,
    WIDGET,
    classified_of,
    observation_of,
    removal_of,
    stored_of,
)

NOW = datetime(2026, 11, 26, 5, tzinfo=UTC)
POLICY = ReconcilePolicy()
Value = Classified | Observation | Removal


class Walk:
    """A filter alone in its pipe, or behind deduplication."""

    def __init__(self, *, dedup_first: bool = False, **rules: Any) -> None:
        self.state, self.ledger = ObservationState(), Ledger()
        self.passed: list[Value] = []
        self.dedup_first = dedup_first
        self.classified: Subject[Delivery[Classified | Removal]] = Subject()
        self.described: Subject[Delivery[Observation | Removal]] = Subject()
        filters = RuleSet(Filters(**rules))
        self.classified.pipe(filter_observations(filters, self.state)).subscribe(self._pass)
        self.described.pipe(
            deduplicate_subjects(self.state, self._decide, wanted=filters.passes),
            filter_described(filters, self.state),
        ).subscribe(self._pass)

    def _decide(self, value: Observation | Removal) -> object:
        return reconcile(value, self.state, policy=POLICY, now=NOW)

    def _pass(self, delivery: Delivery[Any]) -> None:
        self.passed.append(delivery.value)

    def offer(self, value: Observation | Removal) -> tuple[Outcome | None, object]:
        ticket = Ticket(self.ledger, lambda: 0)
        if self.dedup_first:
            self.described.on_next(Delivery(value, ticket))
        else:
            classified = value.classified if isinstance(value, Observation) else value
            self.classified.on_next(Delivery(classified, ticket))
        outcome, detail = ticket.outcome, ticket.marks[-1][2]
        if outcome is None:
            ticket.settle(Outcome(Ending.STORED))
        return outcome, detail

    def know(self, *, resolved: bool = False, missing: bool = False) -> None:
        self.state.put(WIDGET, stored_of(resolved=resolved, missing=missing))


REJECTED: dict[str, object] = {"filter.rule": "minSeverity CRITICAL", "filter.verdict": "reject"}


def unwanted() -> Removal:
    """The removal that the filter makes: of the subject as it is classified."""
    return Removal(
        WIDGET, "shop", classified_of().subject, RemovalReason.FILTERED, "minSeverity CRITICAL"
    )


@pytest.mark.parametrize("dedup_first", [False, True])
def test_what_is_wanted_passes_without_its_head_and_the_mark_records_it(
    *, dedup_first: bool
) -> None:
    walk = Walk(min_severity="LOW", dedup_first=dedup_first)
    observation = observation_of(classified=classified_of(head=object()))

    assert walk.offer(observation) == (None, {"filter.verdict": "pass"})
    (passed,) = walk.passed
    assert passed is (observation if dedup_first else observation.classified)
    assert observation.classified.head is None, "rules alone read it"


@pytest.mark.parametrize("dedup_first", [False, True])
@pytest.mark.parametrize("known", ["unknown", "resolved", "missing"])
def test_what_is_unwanted_and_not_open_is_filtered_by_the_rules_name(
    known: str, *, dedup_first: bool
) -> None:
    walk = Walk(min_severity="CRITICAL", dedup_first=dedup_first)
    if known != "unknown":
        walk.know(resolved=known == "resolved", missing=known == "missing")

    outcome, detail = walk.offer(observation_of())

    assert outcome == Outcome(Ending.FILTERED, "minSeverity CRITICAL")
    assert detail == REJECTED
    assert walk.passed == []


@pytest.mark.parametrize("dedup_first", [False, True])
@pytest.mark.parametrize("fingerprint", ["f", "another"])
def test_what_is_open_and_no_longer_wanted_is_to_be_resolved(
    *, dedup_first: bool, fingerprint: str
) -> None:
    # The same fingerprint is a start with another filter: deduplication before it must not end the state.
    walk = Walk(min_severity="CRITICAL", dedup_first=dedup_first)
    walk.know()

    outcome, detail = walk.offer(observation_of(fingerprint=fingerprint))

    assert (outcome, detail) == (None, REJECTED)
    assert walk.passed == [unwanted()]


def test_deduplication_before_a_filter_that_rejects_nothing_ends_what_is_unchanged() -> None:
    walk = Walk(min_severity="LOW", dedup_first=True)
    walk.know()

    outcome, _ = walk.offer(observation_of())

    assert outcome is not None
    assert outcome.ending is Ending.DEDUPLICATED


@pytest.mark.parametrize("dedup_first", [False, True])
@pytest.mark.parametrize("reason", [RemovalReason.DELETED, RemovalReason.LEFT_SELECTOR])
def test_a_removal_passes_whatever_the_rules_say(
    reason: RemovalReason, *, dedup_first: bool
) -> None:
    walk = Walk(include_kinds=["Node"], dedup_first=dedup_first)
    walk.know()
    removal = removal_of(reason)

    assert walk.offer(removal) == (None, {"filter.verdict": "pass"})

    assert walk.passed == [removal]


@pytest.mark.parametrize("dedup_first", [False, True])
def test_an_unwanted_kubernetes_event_is_filtered_though_its_observation_is_open(
    *, dedup_first: bool
) -> None:
    walk = Walk(min_severity="CRITICAL", dedup_first=dedup_first)
    walk.know()

    outcome, _ = walk.offer(observation_of(evidence=EventEvidence(BACKOFF, "e", 1, T0)))

    assert outcome == Outcome(Ending.FILTERED, "minSeverity CRITICAL")


def test_an_unwanted_occurrence_is_filtered_and_resolves_nothing() -> None:
    walk = Walk(min_severity="CRITICAL")
    walk.know()

    outcome, _ = walk.offer(observation_of(occurrence=Occurrence("u", "1")))

    assert outcome == Outcome(Ending.FILTERED, "minSeverity CRITICAL")
    assert walk.state.is_open(WIDGET)


def test_a_rule_that_raises_fails_its_event_and_not_the_stream() -> None:
    walk = Walk(min_severity="CRITICAL")
    broken = observation_of(classified=classified_of(severity=None))

    outcome, _ = walk.offer(broken)

    assert outcome is not None
    assert (outcome.ending, outcome.reason) == (Ending.FAILED, "filter")
    walk.offer(observation_of(classified=classified_of(severity="critical")))
    assert len(walk.passed) == 1
