"""Objects: made, read, changed, deleted; what the server fills in, keeps and counts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.contract.api.requests import (
    MERGE,
    Fields,
    config_map,
    make,
    maps,
    names,
    observation,
    observations,
    version,
)

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.contract.api.subject import Subject

HELD = {"finalizers": ["example.com/hold"]}


def test_a_new_object_gets_what_the_server_gives(api: Api, namespace: str) -> None:
    given = config_map("a", colour="red")
    given["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}

    answer = api.request("POST", maps(namespace), body=given)

    made = answer.json()["metadata"]
    assert answer.status == 201
    assert (made["name"], made["namespace"]) == ("a", namespace)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made["uid"])
    assert re.fullmatch(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["creationTimestamp"])
    assert not made["creationTimestamp"].startswith("2001")
    assert int(made["resourceVersion"]) > 0
    assert made["managedFields"][0]["operation"] == "Update"


def test_a_name_is_made_of_its_beginning(api: Api, namespace: str) -> None:
    body = {"metadata": {"generateName": "made-"}}
    made = [api.need("POST", maps(namespace), body=body)["metadata"]["name"] for _ in range(3)]

    assert len(set(made)) == 3
    assert all(re.fullmatch(r"made-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in made)


def test_a_dry_run_responds_and_stores_nothing(api: Api, namespace: str) -> None:
    (there,) = make(api, namespace, "there", colour="red")

    made = api.request("POST", maps(namespace, query="dryRun=All"), body=config_map("a"))
    changed = api.need(
        "PATCH",
        maps(namespace, "there", "dryRun=All"),
        body={"data": {"colour": "blue"}},
        content_type=MERGE,
    )
    deleted = api.request("DELETE", maps(namespace, "there", "dryRun=All"))

    assert made.status == 201
    assert "resourceVersion" not in made.json()["metadata"]
    assert changed["data"] == {"colour": "blue"}
    assert deleted.json()["status"] == "Success"
    assert api.need("GET", maps(namespace, "there")) == there
    assert names(api.need("GET", maps(namespace))) == ["there"]


def test_an_update_that_changes_nothing_keeps_the_version(api: Api, namespace: str) -> None:
    (first,) = make(api, namespace, "a", colour="red")

    again = api.need("PUT", maps(namespace, "a"), body=config_map("a", colour="red"))
    patched = api.need("PATCH", maps(namespace, "a"), body={}, content_type=MERGE)
    changed = api.need("PUT", maps(namespace, "a"), body=config_map("a", colour="blue"))

    assert version(again) == version(patched) == version(first)
    assert int(version(changed)) > int(version(first))
    kept = ("uid", "creationTimestamp")
    assert all(changed["metadata"][at] == first["metadata"][at] for at in kept)


def test_versions_rise_over_all_kinds(api: Api, ours: str) -> None:
    (first,) = make(api, ours, "a")
    second = api.need("POST", observations(ours), body=observation("a"))
    (third,) = make(api, ours, "b")

    assert int(version(first)) < int(version(second)) < int(version(third))


def test_a_delete_returns_what_was_deleted(api: Api, namespace: str) -> None:
    (made,) = make(api, namespace, "a")

    said = api.need("DELETE", maps(namespace, "a"))

    assert said["status"] == "Success"
    assert said["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
    assert api.request("GET", maps(namespace, "a")).status == 404


@pytest.mark.parametrize("what", ["uid", "resourceVersion"])
def test_a_delete_may_name_what_it_means(api: Api, namespace: str, what: str) -> None:
    (made,) = make(api, namespace, "a")

    def delete(value: str) -> int:
        body = {"preconditions": {what: value}}
        return api.request("DELETE", maps(namespace, "a"), body=body).status

    assert [delete("12345"), delete(made["metadata"][what])] == [409, 200]


def test_finalizers_hold_an_object(api: Api, namespace: str) -> None:
    held = config_map("a")
    held["metadata"] |= HELD
    made = api.need("POST", maps(namespace), body=held)

    marked = api.need("DELETE", maps(namespace, "a"))
    again = api.need("DELETE", maps(namespace, "a"))
    more = {"metadata": {"finalizers": [*HELD["finalizers"], "example.com/more"]}}
    refused = api.request("PATCH", maps(namespace, "a"), body=more, content_type=MERGE)
    freed = {"metadata": {"finalizers": None}}
    last = api.need("PATCH", maps(namespace, "a"), body=freed, content_type=MERGE)

    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    assert int(version(marked)) > int(version(made))
    assert version(again) == version(marked)
    assert refused.status == 422
    assert "no new finalizers can be added if the object is being deleted" in refused.body.decode()
    assert version(last) == version(marked)
    assert api.request("GET", maps(namespace, "a")).status == 404


def test_a_collection_is_deleted_by_its_labels(api: Api, namespace: str) -> None:
    make(api, namespace, "a", "b", labels={"go": "yes"})
    make(api, namespace, "c", labels={"go": "no"})

    gone = api.need("DELETE", maps(namespace, query="labelSelector=go%3Dyes"))

    assert (gone["kind"], names(gone)) == ("ConfigMapList", ["a", "b"])
    assert names(api.need("GET", maps(namespace))) == ["c"]


def test_a_custom_object_counts_the_changes_of_what_is_wanted(api: Api, ours: str) -> None:
    where = observations(ours, "a")
    made = api.need("POST", observations(ours), body=observation("a") | {"status": {"x": 1}})
    spec = {"spec": {"severity": "low"}, "status": {"x": 1}}
    changed = api.need("PATCH", where, body=spec, content_type=MERGE)
    labelled = {"metadata": {"labels": {"a": "b"}}}
    touched = api.need("PATCH", where, body=labelled, content_type=MERGE)
    status = {"spec": {"severity": "critical"}, "status": {"x": 1}}
    reported = api.need("PATCH", f"{where}/status", body=status, content_type=MERGE)

    found = [one["metadata"]["generation"] for one in (made, changed, touched, reported)]
    assert found == [1, 2, 2, 2]
    assert [one.get("status") for one in (made, changed, touched)] == [None, None, None]
    assert (reported["spec"]["severity"], reported["status"]) == ("low", {"x": 1})


def test_both_versions_show_one_object(api: Api, ours: str) -> None:
    made = api.need("POST", observations(ours), body=observation("a"))

    older = api.need("GET", observations(ours, "a", of="v1alpha1"))
    listed = api.need("GET", observations(ours, of="v1alpha1"))

    assert older["apiVersion"] == "zen.kube-zen.io/v1alpha1"
    assert {**older, "apiVersion": made["apiVersion"]} == made
    assert [one["apiVersion"] for one in listed["items"]] == [older["apiVersion"]]


def test_a_json_patch_that_does_not_fit_is_refused(api: Api, namespace: str) -> None:
    make(api, namespace, "a", colour="red")

    def patch(operation: Fields) -> int:
        where, how = maps(namespace, "a"), "application/json-patch+json"
        return api.request("PATCH", where, body=[operation], content_type=how).status

    assert patch({"op": "test", "path": "/data/colour", "value": "blue"}) == 422
    assert patch({"op": "replace", "path": "/data/colour", "value": "blue"}) == 200
    assert api.need("GET", maps(namespace, "a"))["data"] == {"colour": "blue"}


def test_a_namespace_that_ends_takes_nothing_new(subject: Subject, namespace: str) -> None:
    api, path = subject.api, f"/api/v1/namespaces/{namespace}"
    held = config_map("held")
    held["metadata"] |= HELD
    api.need("POST", maps(namespace), body=held)

    ending = api.need("DELETE", path)
    refused = api.request("POST", maps(namespace), body=config_map("late"))

    assert (ending["kind"], ending["status"]) == ("Namespace", {"phase": "Terminating"})
    assert ending["metadata"]["deletionTimestamp"]
    assert (refused.status, refused.json()["reason"]) == (403, "Forbidden")
    (cause,) = refused.json()["details"]["causes"]
    assert cause["reason"] == "NamespaceTerminating"
    freed = {"metadata": {"finalizers": None}}
    answer = api.request("PATCH", maps(namespace, "held"), body=freed, content_type=MERGE)
    assert answer.status == 200, answer.body
    # The embedded server empties an ending namespace as a namespace controller does; beside the
    # genuine one there is none.
    left = api.request("GET", maps(namespace, "held")).status
    assert left == {"embedded": 404, "genuine": 200}[subject.name]


def test_an_object_as_yaml(api: Api, namespace: str) -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: '2026-01-01'}\n"

    api.need("POST", maps(namespace), body=body, content_type="application/yaml")
    read = api.request("GET", maps(namespace, "a"), accept="application/yaml")

    assert read.headers["content-type"] == "application/yaml"
    assert b"\nkind: ConfigMap\n" in read.body
    assert api.need("GET", maps(namespace, "a"))["data"] == {"day": "2026-01-01"}


def test_what_is_too_large_is_refused(api: Api, namespace: str) -> None:
    whole = api.request("POST", maps(namespace), body=config_map("a", text="x" * (1 << 20)))
    body = api.request("POST", maps(namespace), body=b" " * (3 * (1 << 20) + 1))

    assert whole.status == 201
    assert (body.status, body.json()["reason"]) == (413, "RequestEntityTooLarge")
