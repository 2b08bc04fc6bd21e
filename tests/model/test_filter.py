"""The filter against its contract read aloud: whatever the document and the event, the same rule decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from reactivex.subject import Subject as RxSubject

import operators.filter
from operators.filter import Filter, Rules, keep
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import Body, Departure
from operators.model.index import Index, Known
from operators.model.observation import Observation, Subject, Tally
from operators.model.outcome import Ending, Outcome
from tests.kit.heads import head_of
from tests.kit.machines import reach

EXAMPLES, MUTANT_EXAMPLES = 1000, 1000
FLOOR = 5
T0 = "2026-11-26T05:00:00Z"
reached: Counter[str] = Counter()

LEVELS = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
WORDS = ("a", "B", "b", "c")
NAMES = st.sampled_from([(), ("a",), ("B", "b"), ("a", "B"), ("c", "b"), ("x",)])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "enabled": st.sampled_from([True, True, True, False]),
    "min_severity": st.sampled_from([None, *LEVELS]),
    "include_severity": st.lists(st.sampled_from(LEVELS), max_size=2),
    "min_priority": st.sampled_from([None, 0, 0.4, 0.5, 1]),
    "include_event_types": NAMES,
    "exclude_event_types": NAMES,
    "include_namespaces": NAMES,
    "exclude_namespaces": NAMES,
    "include_kinds": NAMES,
    "exclude_kinds": NAMES,
    "ignore_kinds": NAMES,
    "include_categories": NAMES,
    "exclude_categories": NAMES,
    "exclude_rules": NAMES,
}
GROUPS = (
    *(("min_severity", "include_severity"), ("min_priority", "enabled"), ("exclude_rules",)),
    *(("include_event_types", "exclude_event_types"), ("include_namespaces", "exclude_namespaces")),
    *(("include_kinds", "exclude_kinds", "ignore_kinds"), tuple(FIELDS)),
    ("include_categories", "exclude_categories"),
)
SPECS = st.sampled_from(GROUPS).flatmap(
    lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names})
)
NAMED = ("a",), ("B",), ("c",), ("a", "b"), ("A", "c"), ("c", "b"), ()
BODIES: tuple[Body, ...] = (
    {},
    *({"rule": names[0]} for names in NAMED if names),
    *({"results": [{"rule": name} for name in names]} for names in NAMED),
    {"rule": "c", "results": [{"rule": "a"}]},
)
HEADS = (None, *map(head_of, BODIES[1:]))


@st.composite
def observations(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Observation:
    word, namespace = st.sampled_from(WORDS), st.sampled_from(("", *WORDS))
    return Observation(
        name="x",
        namespace=draw(word),
        source="s",
        category=draw(word),
        severity=draw(st.sampled_from(["critical", "high", "medium", "low", "info"])),
        event_type=draw(word),
        title="",
        subject=Subject("v1", draw(word), draw(namespace), "n"),
        priority=draw(st.sampled_from([0.0, 0.39, 0.4, 0.5, 0.9, 1.0])),
        head=draw(st.sampled_from(HEADS)),
        gone=draw(st.sampled_from([None, None, None, Departure.DELETED])),
        tally=draw(st.sampled_from([None, None, Tally("e", 1, T0)])),
    )


def same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def verdict(spec: Filter, it: Observation) -> str:  # noqa: C901, PLR0911, PLR0912  one paragraph a rule, as in the contract
    """The rule that is against it, by zen-watcher.md's table from top to bottom; empty if none is."""
    if not spec.enabled:
        return ""
    order = ("info", "low", "medium", "high", "critical")
    levels = {"UNKNOWN": "info"} | {level: level.lower() for level in LEVELS[:4]}
    if spec.include_severity:
        if it.severity not in [levels[level] for level in spec.include_severity]:
            return f"includeSeverity {', '.join(spec.include_severity)}"
    elif spec.min_severity and order.index(it.severity) < order.index(levels[spec.min_severity]):
        return f"minSeverity {spec.min_severity}"
    if spec.min_priority is not None and it.priority < spec.min_priority:
        return f"minPriority {spec.min_priority:g}"
    for said, excluded, included, value in (
        ("EventTypes", spec.exclude_event_types, spec.include_event_types, it.event_type),
        (
            "Namespaces",
            spec.exclude_namespaces,
            spec.include_namespaces,
            it.subject.namespace or it.namespace,
        ),
        ("Kinds", spec.exclude_kinds, spec.include_kinds, it.subject.kind),
        ("Categories", spec.exclude_categories, spec.include_categories, it.category),
    ):
        for name in excluded:
            if same(name, value):
                return f"exclude{said} {name}"
        if said == "Kinds":
            for name in spec.ignore_kinds:
                if same(name, value):
                    return f"ignoreKinds {name}"
        if included and not any(same(name, value) for name in included):
            return f"include{said} {', '.join(included)}"
    body = BODIES[HEADS.index(it.head)]
    rules = [body["rule"]] if "rule" in body else []
    rules = rules or [result["rule"] for result in body.get("results", [])]
    if rules and all(any(same(rule, name) for name in spec.exclude_rules) for rule in rules):
        return next(f"excludeRules {name}" for name in spec.exclude_rules if same(name, rules[0]))
    return ""


def judged(
    spec: Filter, it: Observation, *, known: str
) -> tuple[Outcome | None, Departure | None, str, str]:
    """Through the genuine operator: how it ended, what it became, and the rule on its mark."""
    index, passed = Index(), list[Delivery[Observation]]()
    if known:
        index.put("x", Known("f", T0, T0, resolved=known == "resolved"))
    source: RxSubject[Delivery[Observation]] = RxSubject()
    source.pipe(keep(spec, index)).subscribe(passed.append)
    ticket = Ticket(Ledger(), lambda: 0)
    source.on_next(Delivery(it, ticket))
    assert (ticket.outcome is None) == (len(passed) == 1)
    rule, detail = verdict_of(ticket)
    assert detail == ("reject" if rule else "pass")
    return ticket.outcome, it.gone, it.unwanted_by, rule


def verdict_of(ticket: Ticket) -> tuple[str, str]:
    ((stage, _, detail),) = ticket.marks
    assert stage == "filter"
    assert isinstance(detail, dict)
    said: dict[str, str] = detail  # pyright: ignore[reportUnknownVariableType]  a mark's detail is an object
    return said.get("filter.rule", ""), said["filter.verdict"]


def check(examples: int, *, genuine: bool) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None if not genuine else settings.get_profile("dev").database,
        derandomize=not genuine,
        phases=tuple(Phase) if genuine else (Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(SPECS, observations(), st.sampled_from(["", "open", "resolved"]))
    def prove(fields: dict[str, Any], it: Observation, known: str) -> None:
        spec, gone = Filter(**fields), it.gone
        rule = "" if gone is not None else verdict(spec, it)
        resolves = bool(rule) and known == "open" and it.tally is None
        said = rule.partition(" ")[0] or ("tombstone" if gone else "passes")
        for feature in (said, *(["resolves"] if resolves else [])):
            reached[feature] += 1
            event(feature)

        filtered = Outcome(Ending.FILTERED, rule) if rule and not resolves else None
        became = (Departure.UNWANTED, rule) if resolves else (gone, "")
        assert judged(spec, it, known=known) == (filtered, *became, rule)

    prove()


RULES = (
    *("includeSeverity", "minSeverity", "minPriority", "excludeEventTypes", "includeEventTypes"),
    *("excludeNamespaces", "includeNamespaces", "excludeKinds", "ignoreKinds", "includeKinds"),
    *("excludeCategories", "includeCategories", "excludeRules"),
)


@pytest.mark.timeout(120)
def test_the_filter_does_what_the_contract_says() -> None:
    wanted = (*RULES, "passes", "tombstone", "resolves")
    reach(lambda: check(EXAMPLES, genuine=True), reached, wanted, floor=FLOOR)


def lenient_info(severity: str) -> int:
    """zen-watcher's defect: a level it does not know passes."""
    return {"critical": 5, "high": 4, "medium": 3, "low": 2, "unknown": 1}.get(severity.lower(), 9)


def backwards(spec: Filter) -> Any:
    return reversed(list(GENUINE_RULES(spec)))


def never_open(_index: Index, _name: str) -> bool:
    return False


def any_rule(observation: Observation) -> list[str]:
    return GENUINE_NAMED(observation)[:1]


def own_namespace(observation: Observation) -> str:
    return observation.namespace


def subject_alone(observation: Observation) -> str:
    return observation.subject.namespace


def always_open(_index: Index, _name: str) -> bool:
    return True


def everything(_rules: Rules, _observation: Observation) -> Outcome | None:
    return None


def both_severities(spec: Filter) -> Any:
    yield from GENUINE_SEVERITY(spec)
    yield from GENUINE_SEVERITY(spec.model_copy(update={"include_severity": ()}))


def including_first(spec: Filter) -> Any:
    swapped = {"exclude_kinds": (), "ignore_kinds": ()}
    yield from GENUINE_RULES(spec.model_copy(update=swapped))
    yield from GENUINE_RULES(spec)


def silent(_: object) -> dict[str, str]:
    return {"filter.verdict": "pass"}


GENUINE_RULES = operators.filter._rules  # pyright: ignore[reportPrivateUsage]
GENUINE_SEVERITY = operators.filter._severity  # pyright: ignore[reportPrivateUsage]
GENUINE_NAMED = operators.filter.rules_of
MUTANTS: tuple[tuple[str, Any], ...] = (
    ("operators.filter.rank", lenient_info),
    ("operators.filter._rules", backwards),
    ("operators.filter._rules", including_first),
    ("operators.filter._severity", both_severities),
    ("operators.filter.rules_of", any_rule),
    ("operators.filter._namespace", own_namespace),
    ("operators.filter._namespace", subject_alone),
    ("operators.filter.Rules.against", everything),
    ("operators.model.index.Index.is_open", never_open),
    ("operators.model.index.Index.is_open", always_open),
    ("operators.model.observation.Observation.is_state", True),
    ("operators.filter._note", silent),
)


@pytest.mark.timeout(120)
def test_a_filter_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[str] = []
    for place, mutant in MUTANTS:
        with monkeypatch.context() as patched:
            patched.setattr(place, mutant)
            try:
                check(MUTANT_EXAMPLES, genuine=False)
            except AssertionError:
                continue
            alive.append(f"{place}: {mutant}")
    assert alive == []
