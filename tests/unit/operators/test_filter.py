from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError
from reactivex.subject import Subject as RxSubject

from operators.deduplicate import Dedup, dedup
from operators.filter import NAME_CHARACTERS, Filter, Rules, keep
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import Body, Departure, Head
from operators.model.index import Index, Known
from operators.model.observation import Observation, Subject, Tally
from operators.model.outcome import Ending, Outcome
from tests.kit.heads import head_of

T0 = "2026-11-26T05:00:00Z"


def observation(*, namespace: str = "shop", kind: str = "Pod", **fields: Any) -> Observation:
    given: dict[str, Any] = {
        "name": "x",
        "namespace": "of-the-ingester",
        "source": "s",
        "category": "security",
        "severity": "high",
        "event_type": "custom_event",
        "title": "",
        "subject": Subject("v1", kind, namespace, "n"),
        "fingerprint": "f",
        "details": {},
    }
    return Observation(**given | fields)


def against(one: Observation, **rules: Any) -> str:
    rejected = Rules(Filter(**rules)).against(one)
    assert rejected is None or rejected.ending is Ending.FILTERED
    return "" if rejected is None else rejected.reason


def test_without_rules_everything_is_wanted() -> None:
    assert against(observation()) == ""
    assert against(observation(severity="info", priority=0.0, namespace=""), enabled=True) == ""


def test_disabled_wants_everything() -> None:
    assert against(observation(), enabled=False, include_kinds=["Node"]) == ""


SEVERITIES = ["info", "low", "medium", "high", "critical"]


@pytest.mark.parametrize(
    ("level", "wanted"),
    [
        ("CRITICAL", SEVERITIES[4:]),
        ("HIGH", SEVERITIES[3:]),
        ("MEDIUM", SEVERITIES[2:]),
        ("LOW", SEVERITIES[1:]),
        ("UNKNOWN", SEVERITIES),
    ],
)
def test_a_lowest_severity(level: str, wanted: list[str]) -> None:
    said = {each: against(observation(severity=each), min_severity=level) for each in SEVERITIES}

    rejected = f"minSeverity {level}"
    assert said == {each: "" if each in wanted else rejected for each in SEVERITIES}


def test_included_severities_decide_alone() -> None:
    rules = {"min_severity": "CRITICAL", "include_severity": ["LOW", "UNKNOWN"]}

    assert against(observation(severity="low"), **rules) == ""
    assert against(observation(severity="info"), **rules) == ""
    assert against(observation(severity="critical"), **rules) == "includeSeverity LOW, UNKNOWN"


def test_a_lowest_priority() -> None:
    assert against(observation(priority=0.5), min_priority=0.5) == ""
    assert against(observation(priority=0.49), min_priority=0.5) == "minPriority 0.5"
    with pytest.raises(ValidationError):
        Filter(min_priority=1.1)


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ({"exclude_namespaces": ["kube-system", "SHOP"]}, "excludeNamespaces SHOP"),
        ({"include_namespaces": ["a", "b"]}, "includeNamespaces a, b"),
        ({"exclude_kinds": ["pod"]}, "excludeKinds pod"),
        ({"ignore_kinds": ["pOd"]}, "ignoreKinds pOd"),
        ({"include_kinds": ["Node"]}, "includeKinds Node"),
        ({"exclude_event_types": ["Custom_Event"]}, "excludeEventTypes Custom_Event"),
        ({"include_event_types": ["oom"]}, "includeEventTypes oom"),
        ({"exclude_categories": ["SECURITY"]}, "excludeCategories SECURITY"),
        ({"include_categories": ["cost"]}, "includeCategories cost"),
    ],
)
def test_a_rule_is_named_as_it_is_written(rules: dict[str, Any], rule: str) -> None:
    assert against(observation(), **rules) == rule


@pytest.mark.parametrize(
    "rules",
    [
        {"include_namespaces": ["Shop"], "exclude_namespaces": ["shop*", "sho"]},
        {"include_kinds": ["POD"], "exclude_kinds": ["Pods"], "ignore_kinds": ["P"]},
        {"include_event_types": ["CUSTOM_EVENT"], "exclude_event_types": [".*"]},
        {"include_categories": ["Security"], "exclude_categories": [""]},
    ],
)
def test_names_are_compared_whole_and_without_their_case(rules: dict[str, Any]) -> None:
    assert against(observation(), **rules) == ""


def test_what_has_no_namespace_is_where_its_observation_is() -> None:
    node = observation(namespace="", kind="Node")

    assert against(node, exclude_namespaces=["of-the-ingester"]) != ""
    assert against(node, exclude_namespaces=["shop"]) == ""


def test_the_rules_speak_in_zen_watchers_order_and_exclusion_before_inclusion() -> None:
    rules: dict[str, Any] = {
        "min_severity": "CRITICAL",
        "min_priority": 0.9,
        "exclude_event_types": ["custom_event"],
        "include_event_types": ["a"],
        "exclude_namespaces": ["shop"],
        "include_namespaces": ["a"],
        "exclude_kinds": ["Pod"],
        "ignore_kinds": ["Pod"],
        "include_kinds": ["a"],
        "exclude_categories": ["security"],
        "include_categories": ["a"],
        "exclude_rules": ["r"],
    }
    one = observation(head=Head(rule="R"))
    said: list[str] = []
    for field in tuple(rules):
        said.append(against(one, **rules).partition(" ")[0])
        del rules[field]

    assert said == [
        *("minSeverity", "minPriority", "excludeEventTypes", "includeEventTypes"),
        *("excludeNamespaces", "includeNamespaces", "excludeKinds", "ignoreKinds", "includeKinds"),
        *("excludeCategories", "includeCategories", "excludeRules"),
    ]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"rule": "A"}, "excludeRules a"),
        ({"rule": "c"}, ""),
        ({"rule": 5}, ""),
        ({"results": [{"rule": "b"}, {"rule": "A"}]}, "excludeRules b"),
        ({"results": [{"rule": "a"}, {"rule": "c"}]}, ""),
        ({"results": [{"rule": 5}, "a", None]}, ""),
        ({"results": {"rule": "a"}}, ""),
        ({"rule": "c", "results": [{"rule": "a"}]}, ""),
        (None, ""),
    ],
)
def test_an_object_is_unwanted_when_all_the_rules_it_names_are(body: Body, rule: str) -> None:
    assert against(observation(head=head_of(body)), exclude_rules=["a", "b"]) == rule


def test_a_long_list_is_named_in_bounds() -> None:
    said = against(observation(), include_kinds=[f"Kind{n}" for n in range(1000)])

    assert said.startswith("includeKinds Kind0, Kind1,")
    assert len(said) == NAME_CHARACTERS


class Walk:
    """A filter alone in its pipe."""

    def __init__(self, *, dedup_first: bool = False, **rules: Any) -> None:
        self.index, self.ledger = Index(), Ledger()
        self.passed: list[Delivery[Observation]] = []
        self.source: RxSubject[Delivery[Observation]] = RxSubject()
        spec = Filter(**rules)
        before = dedup(Dedup(), self.index, now=_never, wanted=Rules(spec).want)
        source = self.source.pipe(before) if dedup_first else self.source
        source.pipe(keep(spec, self.index)).subscribe(self.passed.append)

    def offer(self, one: Observation) -> tuple[Outcome | None, object]:
        ticket = Ticket(self.ledger, lambda: 0)
        self.source.on_next(Delivery(one, ticket))
        return ticket.outcome, ticket.marks[-1][2]

    def know(self, *, resolved: bool = False) -> None:
        self.index.put("x", Known("f", T0, T0, resolved=resolved))


def _never() -> Any:
    raise AssertionError("nobody asks for the time of day")


REJECTED: dict[str, object] = {"filter.rule": "minSeverity CRITICAL", "filter.verdict": "reject"}


def test_what_is_wanted_passes_and_the_mark_says_so() -> None:
    walk = Walk(min_severity="LOW")

    assert walk.offer(observation()) == (None, {"filter.verdict": "pass"})
    assert walk.passed[0].value == observation()


@pytest.mark.parametrize("resolved", [True, False])
def test_what_is_unwanted_and_not_open_is_filtered_by_the_rules_name(*, resolved: bool) -> None:
    walk = Walk(min_severity="CRITICAL")
    if resolved:
        walk.know(resolved=True)

    outcome, detail = walk.offer(observation())

    assert outcome == Outcome(Ending.FILTERED, "minSeverity CRITICAL")
    assert detail == REJECTED
    assert walk.passed == []


@pytest.mark.parametrize("dedup_first", [False, True])
@pytest.mark.parametrize("fingerprint", ["f", "another"])
def test_what_is_open_and_wanted_no_longer_is_to_be_resolved(
    *, dedup_first: bool, fingerprint: str
) -> None:
    # The same fingerprint is a start with another filter: deduplication before it must not end the state.
    walk = Walk(min_severity="CRITICAL", dedup_first=dedup_first)
    walk.know()

    outcome, detail = walk.offer(observation(fingerprint=fingerprint))

    assert (outcome, detail) == (None, REJECTED)
    (passed,) = walk.passed
    assert passed.value.gone is Departure.UNWANTED
    assert passed.value.unwanted_by == "minSeverity CRITICAL"
    assert passed.value.details is None


def test_deduplication_before_a_filter_that_is_content_ends_what_is_unchanged() -> None:
    walk = Walk(min_severity="LOW", dedup_first=True)
    walk.know()

    outcome, _ = walk.offer(observation())

    assert outcome is not None
    assert outcome.ending is Ending.DEDUPLICATED


def test_a_tombstone_passes_whatever_the_rules_say() -> None:
    walk = Walk(include_kinds=["Node"])
    walk.know()

    walk.offer(observation(gone=Departure.DELETED, details=None))

    assert walk.passed[0].value.gone is Departure.DELETED
    assert walk.passed[0].value.unwanted_by == ""


def test_an_unwanted_kubernetes_event_is_filtered_though_its_observation_is_open() -> None:
    walk = Walk(min_severity="CRITICAL")
    walk.know()

    outcome, _ = walk.offer(observation(tally=Tally("e", 1, T0)))

    assert outcome == Outcome(Ending.FILTERED, "minSeverity CRITICAL")
