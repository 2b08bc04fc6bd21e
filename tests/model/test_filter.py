"""The filter against its contract read aloud: whatever the document and the event, the same rule decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from reactivex.subject import Subject as RxSubject

import operators.filter
import operators.rules.lists
from operators.filter import filter_described, filter_observations
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import Body, ObjectRef, RemovalReason
from operators.model.identity import EventIdentity, Identity, IngesterKey
from operators.model.observation import Classified, EventEvidence, Observation, Removal
from operators.model.outcome import Ending, Outcome
from operators.model.state import ObservationState, StoredObservation
from operators.rules.lists import Filters, RuleSet
from tests.kit.heads import head_of
from tests.kit.machines import reach
from tests.kit.raw_events import object_event

EXAMPLES, MUTANT_EXAMPLES = 1000, 4000
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
    *(("min_severity", "include_severity"), ("min_priority", "enabled")),
    *(("exclude_rules",), ("exclude_rules",), ("exclude_rules", "min_priority")),
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
IDENTITY = Identity(IngesterKey("n", "i"), "", "", "things", "n", "x")
EVIDENCE = EventEvidence(EventIdentity("u", "BackOff", "Warning", "kubelet"), "e", 1, T0)
REMOVAL = Removal(IDENTITY, "n", ObjectRef("v1", "a", "a", "n"), RemovalReason.DELETED)
EVENT = object_event("x")


@st.composite
def values(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Classified | Removal:
    if draw(st.sampled_from([False, False, False, False, False, False, True])):
        return REMOVAL
    word, namespace = st.sampled_from(WORDS), st.sampled_from(("", *WORDS))
    return Classified(
        EVENT,
        ObjectRef("v1", draw(word), draw(namespace), "n"),
        severity=draw(st.sampled_from(["critical", "high", "medium", "low", "info"])),
        category=draw(word),
        event_type=draw(word),
        priority=draw(st.sampled_from([0.0, 0.39, 0.4, 0.5, 0.9, 1.0])),
        evidence=draw(st.sampled_from([None, None, EVIDENCE])),
        identity=IDENTITY,
        namespace=draw(word),
        source="s",
        is_occurrence=draw(st.sampled_from([False, False, True])),
        head=draw(st.sampled_from(HEADS)),
    )


def same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def verdict(spec: Filters, it: Classified) -> str:  # noqa: C901, PLR0911, PLR0912  one paragraph a rule, as in the contract
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
    spec: Filters, it: Classified | Removal, *, known: str, described: bool
) -> tuple[Outcome | None, object, str]:
    """Through the genuine operators: how it ended, what passed on, and the rule on its mark."""
    state, passed = ObservationState(), list[Delivery[Any]]()
    if known:
        state.put(IDENTITY, StoredObservation("f", T0, T0, resolved=known == "resolved"))
    rules, source = RuleSet(spec), RxSubject[Delivery[Any]]()
    operator = filter_described if described else filter_observations
    source.pipe(operator(rules, state)).subscribe(passed.append)
    ticket = Ticket(Ledger(), lambda: 0)
    value = it
    if described and isinstance(it, Classified):
        value = Observation(it, IDENTITY, it.namespace, "", "f", {})
    source.on_next(Delivery(value, ticket))
    assert (ticket.outcome is None) == (len(passed) == 1)
    rule, detail = verdict_of(ticket)
    assert detail == ("reject" if rule else "pass")
    went = passed[0].value if passed else None
    if went is value:
        went = it
    assert isinstance(it, Removal) or went is not it or it.head is None, "a head kept in memory"
    return ticket.outcome, went, rule


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
    @given(SPECS, values(), st.sampled_from(["", "open", "resolved"]), st.booleans())
    def prove(
        fields: dict[str, Any],
        it: Classified | Removal,
        known: str,
        described: bool,  # noqa: FBT001  as hypothesis gives it
    ) -> None:
        spec = Filters(**fields)
        rule = "" if isinstance(it, Removal) else verdict(spec, it)
        is_subject = isinstance(it, Removal) or not (it.evidence or it.is_occurrence)
        resolves = bool(rule) and known == "open" and is_subject
        said = rule.partition(" ")[0] or ("removal" if isinstance(it, Removal) else "passes")
        kept = [] if is_subject or not rule or known != "open" else ["nothing to resolve of it"]
        for feature in (said, *(["resolves"] if resolves else kept)):
            reached[feature] += 1
            event(feature)

        filtered = Outcome(Ending.FILTERED, rule) if rule and not resolves else None
        went: object = None if filtered is not None else it
        if resolves and isinstance(it, Classified):
            reason = RemovalReason.FILTERED
            went = Removal(IDENTITY, it.namespace, it.subject, reason, rule=rule)
        assert judged(spec, it, known=known, described=described) == (filtered, went, rule)

    prove()


RULES = (
    *("includeSeverity", "minSeverity", "minPriority", "excludeEventTypes", "includeEventTypes"),
    *("excludeNamespaces", "includeNamespaces", "excludeKinds", "ignoreKinds", "includeKinds"),
    *("excludeCategories", "includeCategories", "excludeRules"),
)


@pytest.mark.timeout(120)
def test_the_filter_does_what_the_contract_says() -> None:
    wanted = (*RULES, "passes", "removal", "resolves", "nothing to resolve of it")
    reach(lambda: check(EXAMPLES, genuine=True), reached, wanted, floor=FLOOR)


def lenient_info(severity: str) -> int:
    """zen-watcher's defect: a level it does not know passes."""
    return {"critical": 5, "high": 4, "medium": 3, "low": 2, "unknown": 1}.get(severity.lower(), 9)


def backwards(spec: Filters) -> Any:
    return reversed(list(GENUINE_RULES(spec)))


def never_open(_state: ObservationState, _identity: Identity) -> bool:
    return False


def any_rule(classified: Classified) -> list[str]:
    return GENUINE_NAMED(classified)[:1]


def own_namespace(classified: Classified) -> str:
    return classified.namespace


def subject_alone(classified: Classified) -> str:
    return classified.subject.namespace


def always_open(_state: ObservationState, _identity: Identity) -> bool:
    return True


def everything(_spec: Filters) -> Any:
    """No rule at all."""
    return ()


class Resolving(operators.filter.Filter):
    """Takes occurrences, or Kubernetes Events, for subjects."""

    occurrences = True

    def _rejection(self, classified: Classified) -> Removal | Outcome | None:
        changed = copy(classified)
        if self.occurrences:
            changed.is_occurrence = False
        else:
            changed.evidence = None
        rejected = super()._rejection(changed)
        classified.head = changed.head
        return rejected


class ResolvingEvents(Resolving):
    occurrences = False


class Keeping(operators.filter.Filter):
    """Keeps the head of what passes in memory."""

    def _rejection(self, classified: Classified) -> Removal | Outcome | None:
        return super()._rejection(copy(classified))


class Nameless(operators.filter.Filter):
    """Resolves without naming the rule."""

    def _rejection(self, classified: Classified) -> Removal | Outcome | None:
        rejected = super()._rejection(classified)
        if isinstance(rejected, Removal):
            rejected.rule = ""
        return rejected


def both_severities(spec: Filters) -> Any:
    yield from GENUINE_SEVERITY(spec)
    yield from GENUINE_SEVERITY(spec.model_copy(update={"include_severity": ()}))


def including_first(spec: Filters) -> Any:
    swapped = {"exclude_kinds": (), "ignore_kinds": ()}
    yield from GENUINE_RULES(spec.model_copy(update=swapped))
    yield from GENUINE_RULES(spec)


def silent(_: object) -> dict[str, str]:
    return {"filter.verdict": "pass"}


GENUINE_RULES = operators.rules.lists._rules  # pyright: ignore[reportPrivateUsage]
GENUINE_SEVERITY = operators.rules.lists._severity  # pyright: ignore[reportPrivateUsage]
GENUINE_NAMED = operators.rules.lists.rules_of
MUTANTS: tuple[tuple[str, Any], ...] = (
    ("operators.rules.lists.rank", lenient_info),
    ("operators.rules.lists._rules", backwards),
    ("operators.rules.lists._rules", including_first),
    ("operators.rules.lists._severity", both_severities),
    ("operators.rules.lists.rules_of", any_rule),
    ("operators.rules.lists._namespace", own_namespace),
    ("operators.rules.lists._namespace", subject_alone),
    ("operators.rules.lists._rules", everything),
    ("operators.model.state.ObservationState.is_open", never_open),
    ("operators.model.state.ObservationState.is_open", always_open),
    ("operators.filter.Filter", Resolving),
    ("operators.filter.Filter", ResolvingEvents),
    ("operators.filter.Filter", Keeping),
    ("operators.filter.Filter", Nameless),
    ("operators.filter._detail", silent),
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
