"""The list rules of zen-watcher's documents: their order, their names, and what each reads."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from operators.decoders.generic import GenericHead
from operators.model.event import ObjectRef
from operators.model.observation import Classified
from operators.model.outcome import Ending
from operators.rules.lists import (
    OWN_RULE,
    RESULT_RULES,
    RULE_NAME_CHARACTERS,
    Filters,
    RuleSet,
    rules_of,
)
from operators.rules.paths import Head, Path, Projection
from tests.unit.operators.observed import classified_of


def classified(*, namespace: str = "shop", kind: str = "Pod", **fields: Any) -> Classified:
    given: dict[str, Any] = {
        "subject": ObjectRef("v1", kind, namespace, "n"),
        "namespace": "of-the-ingester",
        "head": GenericHead(),
    }
    return classified_of(**given | fields)


def head_of(body: object, *, head: type[Head] = GenericHead) -> Head:
    """The head of an object as the rules that exclude rules need it."""
    return Projection(head, {OWN_RULE, RESULT_RULES}).decode(msgspec.json.encode(body))


def rejection(one: Classified, **rules: Any) -> str:
    filters = RuleSet(Filters(**rules))
    rejected = filters.rejection(one)
    assert rejected is None or rejected.ending is Ending.FILTERED
    assert filters.passes(one) is (rejected is None)
    return "" if rejected is None else rejected.reason


def test_without_rules_everything_is_wanted() -> None:
    assert rejection(classified()) == ""
    assert rejection(classified(severity="info", priority=0.0, namespace=""), enabled=True) == ""


def test_disabled_wants_everything() -> None:
    assert rejection(classified(), enabled=False, include_kinds=["Node"]) == ""


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
    found = {one: rejection(classified(severity=one), min_severity=level) for one in SEVERITIES}

    rejected = f"minSeverity {level}"
    assert found == {one: "" if one in wanted else rejected for one in SEVERITIES}


def test_included_severities_decide_alone() -> None:
    rules = {"min_severity": "CRITICAL", "include_severity": ["LOW", "UNKNOWN"]}

    assert rejection(classified(severity="low"), **rules) == ""
    assert rejection(classified(severity="info"), **rules) == ""
    assert rejection(classified(severity="critical"), **rules) == "includeSeverity LOW, UNKNOWN"


def test_a_lowest_priority() -> None:
    assert rejection(classified(priority=0.5), min_priority=0.5) == ""
    assert rejection(classified(priority=0.49), min_priority=0.5) == "minPriority 0.5"
    with pytest.raises(ValidationError):
        Filters(min_priority=1.1)


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
    assert rejection(classified(), **rules) == rule


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
    assert rejection(classified(), **rules) == ""


def test_what_has_no_namespace_is_where_its_observation_is() -> None:
    node = classified(kind="Node", subject=ObjectRef("v1", "Node", "", "n"))

    assert rejection(node, exclude_namespaces=["of-the-ingester"]) != ""
    assert rejection(node, exclude_namespaces=["shop"]) == ""


def test_the_rules_apply_in_zen_watchers_order_and_exclusion_before_inclusion() -> None:
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
    one = classified(head=head_of({"rule": "R"}))
    order = [
        *("minSeverity", "minPriority", "excludeEventTypes", "includeEventTypes"),
        *("excludeNamespaces", "includeNamespaces", "excludeKinds", "ignoreKinds", "includeKinds"),
        *("excludeCategories", "includeCategories", "excludeRules"),
    ]
    assert [rule.name for rule in RuleSet(Filters(**rules)).rules] == order
    found: list[str] = []
    for field in tuple(rules):
        found.append(rejection(one, **rules).partition(" ")[0])
        del rules[field]

    assert found == order


@pytest.mark.parametrize("head", [GenericHead, Head])
@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"rule": "A"}, "excludeRules a"),
        ({"rule": "c"}, ""),
        ({"rule": 5}, ""),
        ({"results": [{"rule": "b"}, {"rule": "A"}]}, "excludeRules b"),
        ({"results": [{"rule": "a"}, {"rule": "c"}]}, ""),
        ({"results": [{"rule": 5}, "a", None]}, ""),
        ({"results": [{"rule": 5}, {"rule": "a"}]}, "excludeRules a"),
        ({"results": {"rule": "a"}}, ""),
        ({"rule": "c", "results": [{"rule": "a"}]}, ""),
        ({"rule": 5, "results": [{"rule": "a"}]}, "excludeRules a"),
        ({}, ""),
    ],
)
def test_an_object_is_unwanted_when_all_the_rules_it_names_are(
    body: dict[str, Any], rule: str, head: type[Head]
) -> None:
    found = classified(head=head_of(body, head=head))
    assert rejection(found, exclude_rules=["a", "b"]) == rule


def test_what_has_no_head_names_no_rule() -> None:
    assert rules_of(classified(head=None)) == []
    assert rejection(classified(head=None), exclude_rules=["a"]) == ""


def test_a_long_list_is_named_in_bounds() -> None:
    found = rejection(classified(), include_kinds=[f"Kind{n}" for n in range(1000)])

    assert found.startswith("includeKinds Kind0, Kind1,")
    assert len(found) == RULE_NAME_CHARACTERS


ALL: dict[str, Any] = {
    "min_severity": "LOW",
    "min_priority": 0.1,
    **{
        f"{way}_{what}": ["a"]
        for way in ("include", "exclude")
        for what in ("namespaces", "event_types", "kinds", "categories")
    },
    "ignore_kinds": ["a"],
}


@pytest.mark.parametrize(
    ("rules", "reads"),
    [
        ({}, set[Path]()),
        (ALL, set[Path]()),
        ({"include_severity": ["LOW"]}, set[Path]()),
        ({"exclude_rules": ["a"]}, {("rule",), ("results", "*", "rule")}),
        (ALL | {"exclude_rules": ["a"]}, {("rule",), ("results", "*", "rule")}),
        ({"exclude_rules": ["a"], "enabled": False}, set[Path]()),
        ({"exclude_rules": []}, set[Path]()),
    ],
)
def test_a_rule_set_reads_what_any_of_its_rules_reads(
    rules: dict[str, Any], reads: set[Path]
) -> None:
    filters = RuleSet(Filters(**rules))
    assert filters.reads == reads
    assert filters.reads == {path for rule in filters.rules for path in rule.reads}


def test_a_document_that_reads_nothing_makes_no_second_type_of_head() -> None:
    head = Projection(GenericHead, RuleSet(Filters(**ALL)).reads).decode(b"{}")
    assert type(head) is GenericHead
