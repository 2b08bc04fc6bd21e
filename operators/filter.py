"""Filter: what its document does not want ends here, by the name of the rule that says so.

The rules and their order are zen-watcher's: severity, priority, event type, namespace, kind, category, rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from operators.flow.delivery import Delivery, Operator
from operators.flow.stage import stage
from operators.model.event import Departure
from operators.model.index import Index
from operators.model.observation import Observation
from operators.model.outcome import Ending, Outcome
from operators.model.severity import Level, rank

Rule = Callable[[Observation], Outcome | None]
Names = tuple[str, ...]

NAME_CHARACTERS = 120
"""How much of a rule names it; its name is a metric's label, and lists may be long."""


class Filter(BaseModel):
    """Which Observations are wanted; names are compared without their case, and an empty list says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    min_severity: Level | None = None
    include_severity: tuple[Level, ...] = ()
    """Decides alone: ``min_severity`` says nothing beside it."""
    min_priority: float | None = Field(default=None, ge=0, le=1)
    include_event_types: Names = ()
    exclude_event_types: Names = ()
    include_namespaces: Names = ()
    exclude_namespaces: Names = ()
    include_kinds: Names = ()
    exclude_kinds: Names = ()
    ignore_kinds: Names = ()
    """Another spelling of ``exclude_kinds``; both count."""
    include_categories: Names = ()
    exclude_categories: Names = ()
    exclude_rules: Names = ()


class Rules:
    """The rules of one document, prepared once; the first that does not want an Observation decides."""

    def __init__(self, spec: Filter) -> None:
        self._rules = tuple(_rules(spec)) if spec.enabled else ()

    def against(self, observation: Observation) -> Outcome | None:
        """How an Observation ends that a rule does not want, the rule as it is written being the reason."""
        for rule in self._rules:
            rejected = rule(observation)
            if rejected is not None:
                return rejected
        return None

    def want(self, observation: Observation) -> bool:
        """Whether no rule is against it."""
        return self.against(observation) is None


def keep(spec: Filter, index: Index) -> Operator[Delivery[Observation], Delivery[Observation]]:
    """Let pass what is wanted, end what is not as ``filtered``, and have resolved what is wanted no longer.

    ::

        --a----b----a'----x-->      a' is a in a state that is not wanted, b is not wanted at all, x is a tombstone
        keep(spec, index)
        --a---------a'r---x-->      b ends filtered; a'r says that a's open Observation is to be resolved

    A tombstone passes. A state that is not wanted becomes the departure of its subject where ``index`` knows of an
    unresolved Observation; a Kubernetes Event has none. Holds nothing; a rule that raises fails its event.
    """
    rules = Rules(spec)

    def decide(observation: Observation) -> Observation | Outcome:
        if observation.gone is not None:
            return observation
        rejected = rules.against(observation)
        if rejected is None:
            observation.head = None
            return observation
        if not observation.is_state or not index.is_open(observation.name):
            return rejected
        observation.depart(Departure.UNWANTED, unwanted_by=rejected.reason)
        return observation

    return stage("filter", decide, note=_note)


_PASSED: dict[str, object] = {"filter.verdict": "pass"}


def _note(verdict: Observation | Outcome) -> dict[str, object]:
    rule = verdict.reason if isinstance(verdict, Outcome) else verdict.unwanted_by
    return {"filter.rule": rule, "filter.verdict": "reject"} if rule else _PASSED


def _rules(spec: Filter) -> Iterator[Rule]:
    yield from _severity(spec)
    if spec.min_priority is not None:
        yield _at_least(spec.min_priority)
    for excluded, included, read in (
        (("exclude_event_types",), "include_event_types", _event_type),
        (("exclude_namespaces",), "include_namespaces", _namespace),
        (("exclude_kinds", "ignore_kinds"), "include_kinds", _kind),
        (("exclude_categories",), "include_categories", _category),
    ):
        for field in excluded:
            yield from _exclude(field, getattr(spec, field), read)
        yield from _include(included, getattr(spec, included), read)
    if spec.exclude_rules:
        yield _exclude_rules(spec.exclude_rules)


def _severity(spec: Filter) -> Iterator[Rule]:
    if spec.include_severity:
        ranks = {rank(level) for level in spec.include_severity}
        alone = _rejected("includeSeverity", *spec.include_severity)
        yield lambda it: None if rank(it.severity) in ranks else alone
    elif spec.min_severity is not None:
        least = rank(spec.min_severity)
        below = _rejected("minSeverity", spec.min_severity)
        yield lambda it: None if rank(it.severity) >= least else below


def _at_least(priority: float) -> Rule:
    below = _rejected("minPriority", f"{priority:g}")
    return lambda it: None if it.priority >= priority else below


def _exclude(field: str, names: Names, read: Callable[[Observation], str]) -> Iterator[Rule]:
    if names:
        rejected = _each(field, names)
        yield lambda it: rejected.get(read(it).casefold())


def _include(field: str, names: Names, read: Callable[[Observation], str]) -> Iterator[Rule]:
    if names:
        wanted = {name.casefold() for name in names}
        rejected = _rejected(to_camel(field), *names)
        yield lambda it: None if read(it).casefold() in wanted else rejected


def _exclude_rules(names: Names) -> Rule:
    """An object that speaks for several rules is unwanted when every one of them is."""
    rejected = _each("exclude_rules", names)

    def rule(observation: Observation) -> Outcome | None:
        said = [rejected.get(name.casefold()) for name in rules_of(observation)]
        return said[0] if said and all(said) else None

    return rule


def rules_of(observation: Observation) -> list[str]:
    """The rules an object names: its own ``rule``, else those of a policy report's ``results``."""
    head = observation.head
    if head is None:
        return []
    if isinstance(head.rule, str):
        return [head.rule]
    try:
        results: object = msgspec.json.decode(head.results)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # none, or unreadable
        return []
    entries = cast("list[object]", results) if isinstance(results, list) else []
    named = (cast("dict[str, Any]", each).get("rule") for each in entries if isinstance(each, dict))
    return [rule for rule in named if isinstance(rule, str)]


def _each(field: str, names: Names) -> dict[str, Outcome]:
    """A rejection for every name; of two that differ in case alone the first names the rule."""
    said = to_camel(field)
    return {name.casefold(): _rejected(said, name) for name in reversed(names)}


def _rejected(field: str, *names: str) -> Outcome:
    name = f"{field} {', '.join(names)}"
    if len(name) > NAME_CHARACTERS:
        name = name[: NAME_CHARACTERS - 1] + "…"
    return Outcome(Ending.FILTERED, name)


def _event_type(observation: Observation) -> str:
    return observation.event_type


def _namespace(observation: Observation) -> str:
    """The subject's; for what has none, the Observation's own, as in zen-watcher."""
    return observation.subject.namespace or observation.namespace


def _kind(observation: Observation) -> str:
    return observation.subject.kind


def _category(observation: Observation) -> str:
    return observation.category
