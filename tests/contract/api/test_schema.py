"""Structural schemas, on the embedded server and on a genuine one."""

from __future__ import annotations

import pytest

from tests.cluster.api import Api
from tests.contract.api.things import CRDS, MERGE, establish_things, path, told
from tests.kit.definitions import DEFINITIONS
from tests.kit.things import CASES, thing


@pytest.fixture
def things(api: Api, namespace: str) -> str:
    establish_things(api)
    return path(namespace)


def test_every_object_is_judged_as_it_was(api: Api, things: str) -> None:
    for case in CASES:
        answer = api.request("POST", f"{things}?dryRun=All", body=thing(case.spec))

        if case.causes:
            assert answer.status == 422, case
            assert told(answer) == set(case.causes)
            assert answer.json()["details"]["kind"] == "Thing"
        else:
            assert answer.status == 201, case
            assert answer.json().get("spec") == case.stored


def test_every_definition_is_judged_as_it_was(api: Api) -> None:
    for case in DEFINITIONS:
        answer = api.request("POST", f"{CRDS}?dryRun=All", body=case.definition)

        assert answer.status == (422 if case.causes else 201), case.name
        if case.causes:
            assert told(answer) == set(case.causes)


def test_unknown_fields_are_refused_warned_of_or_ignored(api: Api, things: str) -> None:
    given = thing({"need": "x", "any": [{"k": "v", "z": {"y": 2}}], "bogus": 1}) | {"extra": 3}
    unknown = ["extra", "spec.any[0].z", "spec.bogus"]

    strict = api.request("POST", f"{things}?dryRun=All&fieldValidation=Strict", body=given)
    warned = api.request("POST", f"{things}?dryRun=All", body=given)
    ignored = api.request("POST", f"{things}?dryRun=All&fieldValidation=Ignore", body=given)

    listed = ", ".join(f'unknown field "{name}"' for name in unknown)
    assert (strict.status, strict.json()["reason"]) == (400, "BadRequest")
    assert strict.json()["message"] == (
        'Thing in version "v1" cannot be handled as a Thing: strict decoding error: ' + listed
    )
    said = ", ".join(f'299 - "unknown field \\"{name}\\""' for name in unknown)
    assert warned.headers["warning"] == said
    assert "warning" not in ignored.headers
    for answer in (warned, ignored):
        assert answer.json()["spec"] == {"need": "x", "any": [{"k": "v"}], "dflt": "d"}
        assert "extra" not in answer.json()


def test_generation_counts_what_is_wanted_and_not_what_is_reported(api: Api, things: str) -> None:
    made = api.need("POST", things, body=thing({"need": "x"}) | {"status": {"lost": True}})
    where = f"{things}/one"

    def patched(patch: object, *, endpoint: str = where) -> tuple[int, object]:
        after = api.need("PATCH", endpoint, body=patch, content_type=MERGE)
        return after["metadata"]["generation"], after.get("status")

    assert "status" not in made
    assert made["metadata"]["generation"] == 1
    assert patched({"metadata": {"labels": {"a": "b"}}}) == (1, None)
    assert patched({"spec": {"int": 2}}) == (2, None)
    assert patched({"spec": {"int": 2}}) == (2, None)
    assert patched({"status": {"lost": True}}) == (2, None)
    reported = {"spec": {"int": 9}, "status": {"kept": True}}
    assert patched(reported, endpoint=f"{where}/status") == (2, {"kept": True})
    assert api.need("GET", where)["spec"]["int"] == 2
    stored = api.need("GET", where)
    del stored["status"]
    assert api.need("PUT", where, body=stored)["status"] == {"kept": True}


def test_a_wrong_value_that_was_there_is_let_be_until_it_changes(api: Api, things: str) -> None:
    api.need("POST", things, body=thing({"need": "x", "trans": "a"}))
    where = f"{things}/one"

    changed = api.request("PATCH", where, body={"spec": {"trans": "b"}}, content_type=MERGE)
    same = api.request("PATCH", where, body={"spec": {"int": 3}}, content_type=MERGE)

    assert told(changed) == {("spec.trans", "FieldValueInvalid", 'Invalid value: "b": immutable')}
    assert same.status == 200


def test_both_versions_show_one_object(api: Api, ours: str) -> None:
    one = f"/apis/zen.kube-zen.io/v1alpha1/namespaces/{ours}/observations"
    other = f"/apis/zen.kube-zen.io/v1/namespaces/{ours}/observations"
    spec = {
        "source": "trivy",
        "category": "security",
        "severity": "high",
        "eventType": "vulnerability",
        "detectedAt": "2026-11-24T10:00:00Z",
    }
    given = {
        "apiVersion": "zen.kube-zen.io/v1",
        "kind": "Observation",
        "metadata": {"name": "both"},
        "spec": spec,
    }

    made = api.need("POST", other, body=given)
    seen = api.need("GET", f"{one}/both")

    assert made["apiVersion"] == "zen.kube-zen.io/v1"
    assert seen["apiVersion"] == "zen.kube-zen.io/v1alpha1"
    assert {**seen, "apiVersion": "", "metadata": ""} == {**made, "apiVersion": "", "metadata": ""}
    for field in ("uid", "resourceVersion", "generation", "creationTimestamp"):
        assert seen["metadata"][field] == made["metadata"][field]
    wrong = api.request("POST", one, body=given)
    assert wrong.status == 400
