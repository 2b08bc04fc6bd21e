"""List rules: the filter rules of zen-watcher's documents, in the order in which zen-watcher evaluates them.

Severity, priority, event type, namespace, kind, category, rule. Names are compared without regard to case; an empty
list excludes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pydantic import Field
from pydantic.alias_generators import to_camel

from operators.model.observation import Classified
from operators.model.outcome import Ending, Outcome
from operators.model.severity import Level, rank
from operators.model.spec import Fraction, Many, Spec
from operators.rules.paths import EACH, Path, read

Names = tuple[str, ...]

RULE_NAME_CHARACTERS = 120
"""How much of a rule names it: the name is a metric's label, and lists may be long."""

OWN_RULE: Path = ("rule",)
RESULT_RULES: Path = ("results", EACH, "rule")
"""Where an object names its rule; where a policy report names those of its results."""


class Filters(Spec):
    """Which events become Observations: every rule must accept an event. Names are compared without case."""

    enabled: bool = Field(
        default=True, description="Whether the rules apply; with false every event is accepted."
    )
    expression: str | None = Field(
        default=None, description="Expression that is true for accepted events."
    )
    min_severity: Level | None = Field(
        default=None,
        description="Lowest severity that is accepted; ignored where includeSeverity is set.",
        examples=["HIGH"],
    )
    include_severity: Many[Level] = Field(
        default=(),
        description="Severities that are accepted; all if empty.",
        examples=[["CRITICAL", "HIGH"]],
    )
    min_priority: Fraction | None = Field(
        default=None, description="Lowest priority that is accepted, from 0 to 1.", examples=[0.5]
    )
    include_namespaces: Many[str] = Field(
        default=(),
        description="Namespaces that are accepted; all if empty.",
        examples=[["shop", "payment"]],
    )
    exclude_namespaces: Many[str] = Field(
        default=(),
        description="Namespaces that are rejected, also where they are included.",
        examples=[["kube-system"]],
    )
    include_event_types: Many[str] = Field(
        default=(),
        description="Event types that are accepted; all if empty.",
        examples=[["vulnerability"]],
    )
    exclude_event_types: Many[str] = Field(
        default=(),
        description="Event types that are rejected, also where they are included.",
        examples=[["policy_violation"]],
    )
    include_kinds: Many[str] = Field(
        default=(), description="Kinds that are accepted; all if empty.", examples=[["Pod"]]
    )
    exclude_kinds: Many[str] = Field(
        default=(),
        description="Kinds that are rejected, also where they are included.",
        examples=[["Job"]],
    )
    ignore_kinds: Many[str] = Field(
        default=(), description="Alternative spelling of excludeKinds; both apply."
    )
    include_categories: Many[str] = Field(
        default=(),
        description="Categories that are accepted; all if empty.",
        examples=[["security"]],
    )
    exclude_categories: Many[str] = Field(
        default=(),
        description="Categories that are rejected, also where they are included.",
        examples=[["cost"]],
    )
    exclude_rules: Many[str] = Field(
        default=(),
        description="Rules of the source (a policy, a check) whose events are rejected. An object"
        " with several rules is rejected where all of them are listed.",
        examples=[["require-labels"]],
    )


class Rule(Protocol):
    """One rule of a filter."""

    @property
    def name(self) -> str:
        """The document's field that holds the rule."""
        ...

    @property
    def reads(self) -> frozenset[Path]:
        """The paths that the rule reads of the object, beside what classification yields."""
        ...

    def evaluate(self, classified: Classified, /) -> Outcome | None:
        """Return how an event ends that the rule rejects; None if it passes."""
        ...


@dataclass(frozen=True, slots=True)
class ListRule:
    """A rule that is a comparison with a list or a level."""

    name: str
    evaluate: Callable[[Classified], Outcome | None]
    reads: frozenset[Path] = frozenset()


class RuleSet:
    """The rules of one document, prepared once; the first that rejects an event decides."""

    def __init__(self, spec: Filters) -> None:
        self.rules: tuple[Rule, ...] = tuple(_rules(spec)) if spec.enabled else ()
        self.reads: frozenset[Path] = frozenset().union(*(rule.reads for rule in self.rules))
        """The paths that any rule reads of an object."""
        self.evaluations = tuple(rule.evaluate for rule in self.rules)
        """The rules' evaluations in order; the first that returns an outcome decides."""

    def rejection(self, classified: Classified) -> Outcome | None:
        """Return how an event ends that a rule rejects, with the rule as written for a reason; None if all pass."""
        for evaluate in self.evaluations:
            rejected = evaluate(classified)
            if rejected is not None:
                return rejected
        return None

    def passes(self, classified: Classified) -> bool:
        """Whether no rule rejects the event."""
        return self.rejection(classified) is None


def _rules(spec: Filters) -> Iterator[Rule]:
    yield from _severity(spec)
    if spec.min_priority is not None:
        yield _at_least(spec.min_priority)
    for excluded, included, value_of in (
        (("exclude_event_types",), "include_event_types", _event_type),
        (("exclude_namespaces",), "include_namespaces", _namespace),
        (("exclude_kinds", "ignore_kinds"), "include_kinds", _kind),
        (("exclude_categories",), "include_categories", _category),
    ):
        for field in excluded:
            yield from _exclude(field, getattr(spec, field), value_of)
        yield from _include(included, getattr(spec, included), value_of)
    if spec.exclude_rules:
        yield _exclude_rules(spec.exclude_rules)


def _severity(spec: Filters) -> Iterator[Rule]:
    if spec.include_severity:
        ranks = {rank(level) for level in spec.include_severity}
        other = _rejected("includeSeverity", *spec.include_severity)
        yield ListRule("includeSeverity", lambda it: None if rank(it.severity) in ranks else other)
    elif spec.min_severity is not None:
        least = rank(spec.min_severity)
        below = _rejected("minSeverity", spec.min_severity)
        yield ListRule("minSeverity", lambda it: None if rank(it.severity) >= least else below)


def _at_least(priority: float) -> Rule:
    below = _rejected("minPriority", f"{priority:g}")
    return ListRule("minPriority", lambda it: None if it.priority >= priority else below)


def _exclude(field: str, names: Names, value_of: Callable[[Classified], str]) -> Iterator[Rule]:
    if names:
        rejected = _each(field, names)
        yield ListRule(to_camel(field), lambda it: rejected.get(value_of(it).casefold()))


def _include(field: str, names: Names, value_of: Callable[[Classified], str]) -> Iterator[Rule]:
    if names:
        wanted = {name.casefold() for name in names}
        rejected = _rejected(to_camel(field), *names)
        yield ListRule(
            to_camel(field), lambda it: None if value_of(it).casefold() in wanted else rejected
        )


def _exclude_rules(names: Names) -> Rule:
    """An object that names several rules is rejected when every one of them is excluded."""
    rejected = _each("exclude_rules", names)

    def evaluate(classified: Classified) -> Outcome | None:
        found = [rejected.get(name.casefold()) for name in rules_of(classified)]
        return found[0] if found and all(found) else None

    return ListRule("excludeRules", evaluate, frozenset({OWN_RULE, RESULT_RULES}))


def rules_of(classified: Classified) -> list[str]:
    """The rules that an object names: its own ``rule``, else those of a policy report's ``results``."""
    head = classified.head
    for path in (OWN_RULE, RESULT_RULES):
        named = [rule for rule in read(head, path) if isinstance(rule, str)]
        if named:
            return named
    return []


def _each(field: str, names: Names) -> dict[str, Outcome]:
    """A rejection for every name; of two that differ in case alone the first names the rule."""
    spelling = to_camel(field)
    return {name.casefold(): _rejected(spelling, name) for name in reversed(names)}


def _rejected(field: str, *names: str) -> Outcome:
    name = f"{field} {', '.join(names)}"
    if len(name) > RULE_NAME_CHARACTERS:
        name = name[: RULE_NAME_CHARACTERS - 1] + "…"
    return Outcome(Ending.FILTERED, name)


def _event_type(classified: Classified) -> str:
    return classified.event_type


def _namespace(classified: Classified) -> str:
    """The subject's; for what has none, the Observation's own, as in zen-watcher."""
    return classified.subject.namespace or classified.namespace


def _kind(classified: Classified) -> str:
    return classified.subject.kind


def _category(classified: Classified) -> str:
    return classified.category
