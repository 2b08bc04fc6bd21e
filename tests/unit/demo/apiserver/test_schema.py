"""Structural schemas against what a genuine API server said."""

from __future__ import annotations

from typing import cast

import pytest

from demo.apiserver.constraints import has_format
from demo.apiserver.schema import apply_defaults, prune, unknown_fields, violations
from demo.apiserver.validation import aggregate_message, required
from streams.config.crd import manifests
from tests.kit.acceptance import INGESTERS, INVALID, OBSERVATIONS, UNKNOWN_FIELD
from tests.kit.acceptance import Case as Contract
from tests.kit.things import CASES, SCHEMA, Case, Fields, thing

DEFINED = {
    (one["spec"]["names"]["kind"], version["name"]): version["schema"]["openAPIV3Schema"]
    for one in manifests()
    for version in one["spec"]["versions"]
}


def stored(spec: object) -> Fields:
    return apply_defaults(SCHEMA, prune(SCHEMA, thing(spec)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.spec))
def test_an_object_is_refused_or_stored_as_on_a_cluster(case: Case) -> None:
    kept = stored(case.spec)

    found = {(one.field, one.reason, one.message) for one in violations(SCHEMA, kept)}
    assert found == set(case.causes)
    if not case.causes:
        assert kept.get("spec") == case.stored


@pytest.mark.parametrize("case", [*OBSERVATIONS, *INGESTERS], ids=lambda case: case.name)
def test_our_own_definitions_judge_as_on_a_cluster(case: Contract) -> None:
    kind, version = case.manifest["kind"], case.manifest["apiVersion"].rpartition("/")[2]
    schema = DEFINED[kind, version]

    unknown = unknown_fields(schema, case.manifest)
    wrong = violations(schema, apply_defaults(schema, prune(schema, case.manifest)))
    if case.ours == UNKNOWN_FIELD:
        assert unknown
    else:
        assert not unknown
        assert bool(wrong) == (case.ours == INVALID)


def test_unknown_fields_are_named_by_their_paths() -> None:
    spec = {"any": [{"k": "v", "z": {"y": 2}}], "bogus": 1, "deep": {"a": {"q": 1}}, "need": "x"}
    given: Fields = thing(spec) | {"extra": 3}
    given["metadata"]["colour"] = "red"

    assert unknown_fields(SCHEMA, given) == [
        'unknown field "extra"',
        'unknown field "metadata.colour"',
        'unknown field "spec.any[0].z"',
        'unknown field "spec.bogus"',
        'unknown field "spec.deep.a.q"',
    ]


def test_pruning_and_defaulting_leave_what_they_were_given() -> None:
    given = thing({"need": "x", "bogus": 1, "str": None, "deep": {}})

    prune(SCHEMA, given)
    apply_defaults(SCHEMA, given)

    assert given == thing({"need": "x", "bogus": 1, "str": None, "deep": {}})


def test_what_is_preserved_is_not_pruned_at_any_depth() -> None:
    spec = {"need": "x", "free": {"a": [{"b": [[{"c": None}]]}]}}

    assert prune(SCHEMA, thing(spec)) == thing(spec)


def test_a_wrong_value_that_was_there_before_is_let_be() -> None:
    before = stored({"need": "x", "int": 99, "map": [{"name": "a", "v": "no number"}]})
    after = stored(
        {"need": "y", "int": 99, "map": [{"name": "b"}, {"name": "a", "v": "no number"}]}
    )

    assert violations(SCHEMA, before)
    assert violations(SCHEMA, after, old=before) == []


def test_a_wrong_value_that_changes_is_refused() -> None:
    before, after = stored({"need": "x", "int": 99}), stored({"need": "x", "int": 98})

    assert [one.field for one in violations(SCHEMA, after, old=before)] == ["spec.int"]


def test_a_transition_is_judged_only_where_there_was_a_value() -> None:
    first, second = stored({"need": "x", "trans": "a"}), stored({"need": "x", "trans": "b"})

    assert violations(SCHEMA, first) == []
    assert violations(SCHEMA, first, old=stored({"need": "x"})) == []
    assert violations(SCHEMA, first, old=first) == []
    (cause,) = violations(SCHEMA, second, old=first)
    assert (cause.field, cause.message) == ("spec.trans", 'Invalid value: "b": immutable')


def test_a_rule_is_let_be_where_nothing_changed() -> None:
    before = stored({"need": "x", "rule": 1})
    other = stored({"need": "y", "rule": 1})
    worse = stored({"need": "y", "rule": 2})

    assert violations(SCHEMA, other, old=before) == []
    assert [one.field for one in violations(SCHEMA, worse, old=before)] == ["spec.rule"]


def ruled(rule: str, **properties: Fields) -> Fields:
    return {
        "type": "object",
        "properties": properties,
        "x-kubernetes-validations": [{"rule": rule}],
    }


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("self.a__dash__b == 1", "a-b"),
        ("self.a__dot__b == 1", "a.b"),
        ("self.a__slash__b == 1", "a/b"),
        ("self.a__underscores__b == 1", "a__b"),
        ("self.__namespace__ == 1", "namespace"),
    ],
)
def test_a_rule_names_a_field_as_cel_can(rule: str, name: str) -> None:
    schema = ruled(rule, **{name: {"type": "integer"}})

    assert violations(schema, {name: 1}) == []
    (cause,) = violations(schema, {name: 2})
    assert cause.message == f"Invalid value: failed rule: {rule}"


def test_a_null_among_the_values_of_a_map_becomes_their_default() -> None:
    values: Fields = {"type": "string", "default": "d"}
    schema: Fields = {
        "type": "object",
        "properties": {"spec": {"type": "object", "additionalProperties": values}},
    }

    assert apply_defaults(schema, prune(schema, thing({"a": None})))["spec"] == {"a": "d"}


def test_true_is_not_one_and_null_is_nothing_to_an_enumeration() -> None:
    schema: Fields = {"enum": [1, None], "nullable": True}

    assert violations(schema, cast("Fields", 1)) == []
    for value in (True, None):
        (cause,) = violations(schema, cast("Fields", value))
        assert cause.reason == "FieldValueNotSupported"


def test_one_cause_is_reported_once() -> None:
    cause = required("spec.a")

    assert aggregate_message([cause, cause]) == "spec.a: Required value"
    assert aggregate_message([cause, required("spec.b")]) == (
        "[spec.a: Required value, spec.b: Required value]"
    )


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("date-time", "2024-02-29T23:59:59.5+01:00", "2024-01-01T24:00:00Z"),
        ("date-time", "2024-01-01t00:00:00z", "2023-02-29T00:00:00Z"),
        ("date", "2024-02-29", "2024-2-9"),
        ("duration", "1h30m", "1 fortnight"),
        ("duration", "22 ns", "h"),
        ("uuid", "12345678-1234-1234-1234-1234567890AB", "12345678-1234"),
        ("uuid4", "12345678-1234-4234-8234-1234567890ab", "12345678-1234-1234-8234-1234567890ab"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "01:23:45:67:89:ab", "01:23:45:67:89"),
        ("hostname", "a-b.example", "-a.example"),
        ("uri", "https://example.com/a", "example.com"),
        ("email", "a@b.example", "a.example"),
        ("byte", "aGk=", "aGk"),
        ("of-no-renown", "anything", None),
    ],
)
def test_a_format_holds_or_not(form: str, good: str, bad: str | None) -> None:
    assert has_format(form, good)
    assert bad is None or not has_format(form, bad)
