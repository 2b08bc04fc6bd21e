"""Filter: settle what the rules reject, by the name of the rule that rejects it."""

from __future__ import annotations

from operators.flow.delivery import Delivery, Operator, stage
from operators.model.event import RemovalReason
from operators.model.observation import Classified, Observation, Removal
from operators.model.outcome import Outcome
from operators.model.state import ObservationState
from operators.rules.lists import RuleSet

FilterInput = Classified | Observation | Removal


class Filter:
    """Applies a rule set; a subject that is no longer wanted, and has an open Observation, becomes a removal."""

    def __init__(self, rules: RuleSet, state: ObservationState) -> None:
        self._evaluations = rules.evaluations
        self._state = state

    def decide(self, value: Classified | Removal) -> Classified | Removal | Outcome:
        """Filter what is classified."""
        if isinstance(value, Removal):
            return value
        rejected = self._rejection(value)
        return value if rejected is None else rejected

    def decide_described(self, value: Observation | Removal) -> Observation | Removal | Outcome:
        """Filter what is described already (``processing.order: dedup_first``)."""
        if isinstance(value, Removal):
            return value
        rejected = self._rejection(value.classified)
        return value if rejected is None else rejected

    def _rejection(self, classified: Classified) -> Removal | Outcome | None:
        for evaluate in self._evaluations:
            rejected = evaluate(classified)
            if rejected is not None:
                return self._rejected(classified, rejected)
        classified.head = None  # no later operator reads it
        return None

    def _rejected(self, classified: Classified, rejected: Outcome) -> Removal | Outcome:
        identity = classified.identity
        is_subject = classified.evidence is None and not classified.is_occurrence
        if identity is None or not is_subject or not self._state.is_open(identity):
            return rejected
        return Removal(
            identity,
            classified.namespace,
            classified.subject,
            RemovalReason.FILTERED,
            rule=rejected.reason,
        )


def filter_observations(
    rules: RuleSet, state: ObservationState
) -> Operator[Delivery[Classified | Removal], Delivery[Classified | Removal]]:
    """Pass what is wanted, settle what is not as ``filtered``, and have resolved what is no longer wanted.

    ::

        --a----b----a'----x-->      a' is a in a state that is not wanted, b is not wanted at all, x is a removal
        filter_observations(rules, state)
        --a---------a'r---x-->      b ends filtered; a'r is the removal of a, whose Observation is open

    A removal passes. A Kubernetes Event or an occurrence resolves nothing. Holds nothing; a rule that raises fails its
    event.
    """
    return stage("filter", Filter(rules, state).decide, detail_for=_detail)


def filter_described(
    rules: RuleSet, state: ObservationState
) -> Operator[Delivery[Observation | Removal], Delivery[Observation | Removal]]:
    """Filter after deduplication (``processing.order: dedup_first``); otherwise as ``filter_observations``."""
    return stage("filter", Filter(rules, state).decide_described, detail_for=_detail)


_PASSED: dict[str, object] = {"filter.verdict": "pass"}


def _detail(verdict: FilterInput | Outcome) -> dict[str, object]:
    if isinstance(verdict, Outcome):
        return {"filter.rule": verdict.reason, "filter.verdict": "reject"}
    if isinstance(verdict, Removal) and verdict.rule:
        return {"filter.rule": verdict.rule, "filter.verdict": "reject"}
    return _PASSED
