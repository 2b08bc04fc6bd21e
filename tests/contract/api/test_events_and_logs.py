"""Events in both their groups, and the logs of pods."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.contract.api.requests import Fields, event, events, names, version, watched

if TYPE_CHECKING:
    from tests.cluster.api import Api

OLD: Fields = {
    "message": "m",
    "type": "Warning",
    "source": {"component": "kubelet", "host": "n1"},
    "firstTimestamp": "2026-11-20T06:02:11Z",
    "lastTimestamp": "2026-11-20T06:14:40Z",
    "count": 3,
}


def newer(namespace: str) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{namespace}/events"


def pods(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


def new_event(name: str, namespace: str) -> Fields:
    return {
        "metadata": {"name": name},
        "regarding": {"kind": "Pod", "namespace": namespace, "name": "x"},
        "reason": "R",
        "action": "Do",
        "note": "n",
        "type": "Normal",
        "eventTime": "2026-11-20T06:02:11.000000Z",
        "reportingController": "example.com/c",
        "reportingInstance": "i",
    }


def test_an_old_event_in_the_newer_group(api: Api, namespace: str) -> None:
    made = api.need("POST", events(namespace), body=event("e", namespace, **OLD))

    shown = api.need("GET", f"{newer(namespace)}/e")

    assert (made["eventTime"], made["reportingComponent"], made["reportingInstance"]) == (
        None,
        "",
        "",
    )
    assert version(shown) == version(made)
    assert shown["apiVersion"] == "events.k8s.io/v1"
    assert (shown["regarding"], shown["note"]) == (made["involvedObject"], "m")
    assert shown["deprecatedSource"] == OLD["source"]
    assert (shown["deprecatedCount"], shown["deprecatedLastTimestamp"]) == (3, OLD["lastTimestamp"])
    assert not {"involvedObject", "message", "count", "source"} & set(shown)


def test_a_new_event_in_the_older_group(api: Api, namespace: str) -> None:
    body = new_event("e", namespace)
    body["eventTime"] = _recent(api, namespace)
    api.need("POST", newer(namespace), body=body)

    shown = api.need("GET", f"{events(namespace)}/e")

    assert (shown["involvedObject"], shown["message"]) == (body["regarding"], "n")
    assert (shown["source"], shown["firstTimestamp"]) == ({}, None)
    assert shown["reportingComponent"] == "example.com/c"
    assert names(api.need("GET", events(namespace))) == ["e"]


def _recent(api: Api, namespace: str) -> str:
    """A time of now, as events have it: to the microsecond, by the server's clock."""
    place = api.need("GET", f"/api/v1/namespaces/{namespace}")
    return place["metadata"]["creationTimestamp"].replace("Z", ".000000Z")


def test_the_newer_group_wants_a_time(api: Api, namespace: str) -> None:
    body = new_event("e", namespace)
    del body["eventTime"]

    refused = api.request("POST", newer(namespace), body=body)

    assert (refused.status, refused.json()["reason"]) == (422, "Invalid")
    assert "eventTime: Required value" in refused.json()["message"]


def test_an_event_lives_where_its_object_does(api: Api, namespace: str) -> None:
    refused = api.request("POST", events(namespace), body=event("e", "elsewhere"))

    assert refused.status == 422
    assert "does not match event.namespace" in refused.json()["message"]


@pytest.mark.parametrize(
    ("of", "selector", "found"),
    [
        ("old", "reason=R", True),
        ("old", "involvedObject.name=x,type=Warning", True),
        ("old", "involvedObject.kind=Node", False),
        ("old", "source=kubelet", True),
        ("old", "type!=Warning", False),
        ("new", "regarding.name=x", True),
        ("new", "reason=Other", False),
    ],
)
def test_events_are_selected_by_what_they_are_about(
    api: Api, namespace: str, of: str, selector: str, *, found: bool
) -> None:
    api.need("POST", events(namespace), body=event("e", namespace, **OLD))
    path = events(namespace) if of == "old" else newer(namespace)

    listed = api.need("GET", f"{path}?fieldSelector={quote(selector)}")

    assert names(listed) == (["e"] if found else [])


def test_both_groups_watch_one_store(api: Api, namespace: str) -> None:
    at = version(api.need("GET", events(namespace)))
    api.need("POST", events(namespace), body=event("e", namespace, **OLD))

    (old,) = watched(api, events(namespace, f"resourceVersion={at}"))
    (new,) = watched(api, f"{newer(namespace)}?resourceVersion={at}")

    assert version(old["object"]) == version(new["object"])
    assert (old["object"]["message"], new["object"]["note"]) == ("m", "m")


@pytest.fixture
def pod(api: Api, namespace: str) -> str:
    containers = [{"name": "one", "image": "i"}, {"name": "two", "image": "i"}]
    body = {"metadata": {"name": "p"}, "spec": {"containers": containers}}
    made = api.need("POST", pods(namespace), body=body)
    assert made["status"]["phase"] == "Pending"
    return f"{pods(namespace)}/p"


def test_the_log_of_which_container(api: Api, pod: str) -> None:
    unsaid = api.request("GET", f"{pod}/log")
    wrong = api.request("GET", f"{pod}/log?container=x")

    assert (unsaid.status, wrong.status) == (400, 400)
    said = "a container name must be specified for pod p, choose one of: [one two]"
    assert unsaid.json()["message"] == said
    assert wrong.json()["message"] == "container x is not valid for pod p"


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", 422, "sinceSeconds: Invalid value: 0: must be greater than 0"),
        ("sinceTime=abc", 400, 'parsing time "abc"'),
    ],
)
def test_invalid_log_options_are_refused(
    api: Api, pod: str, query: str, status: int, said: str
) -> None:
    refused = api.request("GET", f"{pod}/log?container=one&{query}")

    assert refused.status == status
    assert said in refused.json()["message"]


def test_there_is_no_log_without_a_pod(api: Api, namespace: str) -> None:
    refused = api.request("GET", f"{pods(namespace)}/none/log")

    assert (refused.status, refused.json()["message"]) == (404, 'pods "none" not found')
