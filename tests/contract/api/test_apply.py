"""Server-side apply, on the embedded server and on a genuine one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.api import Api
from tests.contract.api.things import MERGE, Fields, apply, establish_things, owners, path
from tests.kit.things import thing


@pytest.fixture
def things(api: Api, namespace: str) -> str:
    establish_things(api)
    return path(namespace)


def test_an_apply_creates_and_repeated_changes_nothing(api: Api, things: str) -> None:
    wanted = thing({"need": "x", "set": ["p"]}, name="one")

    made = apply(api, f"{things}/one", wanted, manager="a")
    again = apply(api, f"{things}/one", wanted, manager="a")

    assert (made.status, again.status) == (201, 200)
    first, second = made.json(), again.json()
    assert first["metadata"]["generation"] == 1
    assert owners(first) == {"a Apply": {"f:spec": {"f:need": {}, "f:set": {'v:"p"': {}}}}}
    assert first["spec"]["dflt"] == "d"
    assert second == first


def test_a_conflict_names_every_field_and_owner_until_it_is_forced(api: Api, things: str) -> None:
    where = f"{things}/one"
    apply(api, where, thing({"need": "x", "map": [{"name": "m", "v": 1}]}), manager="a")
    wanted = thing({"need": "y", "map": [{"name": "m", "v": 2}]})

    refused = apply(api, where, wanted, manager="b")

    assert refused.status == 409
    status = refused.json()
    assert status["reason"] == "Conflict"
    assert status["message"] == (
        'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.need\n- .spec.map[name="m"].v'
    )
    assert status["details"]["causes"] == [
        {"reason": "FieldManagerConflict", "message": 'conflict with "a"', "field": field}
        for field in (".spec.need", '.spec.map[name="m"].v')
    ]

    forced = apply(api, where, wanted, manager="b", force=True)

    assert forced.status == 200
    assert forced.json()["metadata"]["generation"] == 2
    assert owners(forced.json())["a Apply"] == {
        "f:spec": {"f:map": {'k:{"name":"m"}': {".": {}, "f:name": {}}}}
    }


def test_what_its_last_owner_drops_is_gone(api: Api, things: str) -> None:
    where = f"{things}/one"
    apply(api, where, thing({"need": "x", "int": 3, "set": ["p", "q"]}), manager="a")
    apply(api, where, thing({"need": "x", "set": ["q", "r"]}), manager="b")

    left = apply(api, where, thing({"need": "x"}), manager="a").json()

    assert left["spec"] == {"need": "x", "dflt": "d", "set": ["q", "r"]}
    gone = apply(api, where, thing({"need": "x"}), manager="b").json()
    assert gone["spec"] == {"need": "x", "dflt": "d"}


def test_a_patch_takes_over_what_it_changes(api: Api, things: str) -> None:
    where = f"{things}/one"
    apply(api, where, thing({"need": "x", "int": 3}), manager="a")
    patch = {"spec": {"int": 4}}

    api.need("PATCH", f"{where}?fieldManager=p", body=patch, content_type=MERGE)
    refused = apply(api, where, thing({"need": "x", "int": 3}), manager="a")

    assert refused.json()["message"] == (
        'Apply failed with 1 conflict: conflict with "p" using example.com/v1: .spec.int'
    )


def test_status_is_applied_through_its_own_endpoint_alone(api: Api, things: str) -> None:
    where = f"{things}/one"
    missing = apply(api, f"{where}/status", thing({}) | {"status": {"ok": True}}, manager="s")
    apply(api, where, thing({"need": "x"}) | {"status": {"ok": False}}, manager="a")

    told = thing({"need": "ignored"}) | {"status": {"ok": True}}
    done = apply(api, f"{where}/status", told, manager="s").json()

    assert missing.status == 404
    assert done["status"] == {"ok": True}
    assert done["spec"]["need"] == "x"
    assert done["metadata"]["generation"] == 1
    assert owners(done) == {
        "a Apply": {"f:spec": {"f:need": {}}},
        "s Apply status": {"f:status": {"f:ok": {}}},
    }


def test_what_cannot_be_applied_is_refused_in_its_own_way(api: Api, things: str) -> None:
    where = f"{things}/one"

    def said(body: Fields, *, manager: str = "a") -> tuple[int, Any, str]:
        answer = apply(api, where, body, manager=manager)
        status = answer.json()
        return answer.status, status.get("reason"), status["message"]

    apply(api, where, thing({"need": "x"}), manager="a")
    assert said(thing({"need": "x", "bogus": 1})) == (
        500,
        None,
        (
            "failed to create typed patch object (/one; example.com/v1, Kind=Thing):"
            " .spec.bogus: field not declared in schema"
        ),
    )
    assert said(thing({"need": "x"}), manager="") == (
        422,
        "Invalid",
        (
            'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for'
            " apply patch"
        ),
    )
    assert said(thing({"need": "x"}, name="other")) == (
        400,
        "BadRequest",
        "the name of the object (other) does not match the name on the URL (one)",
    )
    assert said(thing({"need": "x"}) | {"apiVersion": "example.com/v2"}) == (
        400,
        "BadRequest",
        "invalid object type: example.com/v2, Kind=Thing",
    )
    with_owners = thing({"need": "x"})
    with_owners["metadata"]["managedFields"] = [{}]
    assert said(with_owners) == (400, "BadRequest", "metadata.managedFields must be nil")
    status, reason, message = said(thing({"need": "x", "enum": "zz"}))
    assert (status, reason) == (422, "Invalid")
    assert 'spec.enum: Unsupported value: "zz": supported values: "a", "b"' in message


def test_a_version_makes_an_apply_conditional(api: Api, things: str) -> None:
    where = f"{things}/one"
    first = apply(api, where, thing({"need": "x"}), manager="a").json()
    apply(api, where, thing({"need": "y"}), manager="a")
    stale = thing({"need": "z"})
    stale["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]

    refused = apply(api, where, stale, manager="a")

    assert refused.status == 409
    assert "the object has been modified" in refused.json()["message"]


def test_a_config_map_is_shared_key_by_key(api: Api, namespace: str) -> None:
    where = f"/api/v1/namespaces/{namespace}/configmaps/shared"

    def wanted(data: Fields) -> Fields:
        fields: Fields = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
        return fields | {"metadata": {"name": "shared"}}

    made = apply(api, where, wanted({"a": "1", "b": "2"}), manager="a")
    assert made.status == 201
    assert owners(made.json()) == {"a Apply": {"f:data": {"f:a": {}, "f:b": {}}}}
    refused = apply(api, where, wanted({"a": "2"}), manager="b")
    assert refused.json()["message"] == 'Apply failed with 1 conflict: conflict with "a": .data.a'
    apply(api, where, wanted({"a": "2"}), manager="b", force=True)
    assert apply(api, where, wanted({"b": "3"}), manager="a").json()["data"] == {
        "a": "2",
        "b": "3",
    }
    undeclared = apply(api, where, wanted({"a": "2"}) | {"bogus": 1}, manager="b")
    assert undeclared.status == 500
    assert undeclared.json()["message"] == (
        "failed to create typed patch object (/shared; /v1, Kind=ConfigMap): .bogus: field not"
        " declared in schema"
    )


def test_a_dry_run_applies_nothing(api: Api, things: str) -> None:
    where = f"{things}/one"

    tried = apply(api, where, thing({"need": "x"}), manager="a", query="&dryRun=All")

    assert tried.status == 201
    assert api.request("GET", where).status == 404
