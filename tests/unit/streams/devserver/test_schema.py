"""Structural schemas against what a genuine API server said."""

from __future__ import annotations

import pytest

from streams.config.crd import manifests
from streams.devserver.schema import defaulted, pruned, unknown_fields, violations
from tests.kit.acceptance import INGESTERS, INVALID, OBSERVATIONS, UNKNOWN_FIELD
from tests.kit.acceptance import Case as Contract
from tests.kit.things import CASES, SCHEMA, Case, Fields, thing

DEFINED = {
    (one["spec"]["names"]["kind"], version["name"]): version["schema"]["openAPIV3Schema"]
    for one in manifests()
    for version in one["spec"]["versions"]
}


def stored(spec: object) -> Fields:
    return defaulted(SCHEMA, pruned(SCHEMA, thing(spec)))


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
    wrong = violations(schema, defaulted(schema, pruned(schema, case.manifest)))
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

    pruned(SCHEMA, given)
    defaulted(SCHEMA, given)

    assert given == thing({"need": "x", "bogus": 1, "str": None, "deep": {}})


def test_what_is_preserved_is_not_pruned_at_any_depth() -> None:
    spec = {"need": "x", "free": {"a": [{"b": [[{"c": None}]]}]}}

    assert pruned(SCHEMA, thing(spec)) == thing(spec)


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
