"""Watches: where they begin, what they tell, how they end."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.contract.api.requests import (
    MERGE,
    config_map,
    event,
    events,
    make,
    maps,
    told,
    version,
    watched,
)

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.contract.api.subject import Subject

INITIAL = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
END = {"k8s.io/initial-events-end": "true"}


def label(api: Api, namespace: str, name: str, value: str | None) -> None:
    body = {"metadata": {"labels": {"on": value}}}
    api.need("PATCH", maps(namespace, name), body=body, content_type=MERGE)


@pytest.mark.parametrize("query", ["", "resourceVersion=0"])
def test_without_a_version_all_there_is_comes_first(api: Api, namespace: str, query: str) -> None:
    made = make(api, namespace, "a", "b")

    lines = watched(api, maps(namespace, query=query))

    assert told(lines) == [("ADDED", "a"), ("ADDED", "b")]
    assert [it["object"] for it in lines] == made


def test_from_a_version_only_what_is_newer_comes(api: Api, namespace: str) -> None:
    make(api, namespace, "a", "b")
    at = version(api.need("GET", maps(namespace)))
    make(api, namespace, "c")
    label(api, namespace, "a", "yes")
    api.need("DELETE", maps(namespace, "b"))

    lines = watched(api, maps(namespace, query=f"resourceVersion={at}"))

    assert told(lines) == [("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]
    versions = [int(version(it["object"])) for it in lines]
    assert versions == sorted(versions)
    assert versions[0] > int(at)


def test_a_watch_resumes_behind_each_line(api: Api, namespace: str) -> None:
    at = version(api.need("GET", maps(namespace)))
    make(api, namespace, "a", "b", "c")
    lines = watched(api, maps(namespace, query=f"resourceVersion={at}"))

    assert told(lines) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]
    for number, line in enumerate(lines, start=1):
        rest = watched(api, maps(namespace, query=f"resourceVersion={version(line['object'])}"))
        assert rest == lines[number:]


def test_a_write_without_a_change_is_no_event(api: Api, namespace: str) -> None:
    (made,) = make(api, namespace, "a", colour="red")
    api.need("PUT", maps(namespace, "a"), body=config_map("a", colour="red"))

    assert watched(api, maps(namespace, query=f"resourceVersion={version(made)}")) == []


def test_entering_and_leaving_a_selection(api: Api, namespace: str) -> None:
    make(api, namespace, "a", "b")
    at = version(api.need("GET", maps(namespace)))
    for value in ("yes", "no", "yes"):
        label(api, namespace, "a", value)
    label(api, namespace, "b", "no")
    api.need("DELETE", maps(namespace, "a"))

    lines = watched(api, maps(namespace, query=f"resourceVersion={at}&labelSelector=on%3Dyes"))

    assert told(lines) == [("ADDED", "a"), ("DELETED", "a")] * 2
    left = lines[1]["object"]["metadata"]
    assert left["labels"] == {"on": "yes"}
    assert int(left["resourceVersion"]) > int(version(lines[0]["object"]))


def test_one_object_is_watched_by_its_name(api: Api, namespace: str) -> None:
    at = version(api.need("GET", maps(namespace)))
    make(api, namespace, "a", "b")

    selector = quote("metadata.name=b")
    lines = watched(api, maps(namespace, query=f"resourceVersion={at}&fieldSelector={selector}"))

    assert told(lines) == [("ADDED", "b")]


def test_other_namespaces_are_not_watched(api: Api, namespace: str, shared: str) -> None:
    at = version(api.need("GET", maps(namespace)))
    make(api, shared, "elsewhere")
    make(api, namespace, "here")

    lines = watched(api, maps(namespace, query=f"resourceVersion={at}"))

    assert told(lines) == [("ADDED", "here")]


def test_a_held_object_is_marked_then_gone(api: Api, namespace: str) -> None:
    held = config_map("a")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    made = api.need("POST", maps(namespace), body=held)
    api.need("DELETE", maps(namespace, "a"))
    freed = {"metadata": {"finalizers": None}}
    api.need("PATCH", maps(namespace, "a"), body=freed, content_type=MERGE)

    lines = watched(api, maps(namespace, query=f"resourceVersion={version(made)}"))

    assert told(lines) == [("MODIFIED", "a"), ("DELETED", "a")]
    assert int(version(lines[1]["object"])) > int(version(lines[0]["object"]))
    assert all(it["object"]["metadata"]["deletionTimestamp"] for it in lines)


@pytest.mark.parametrize("spelling", ["true", "True", "1"])
def test_a_watch_is_requested_in_several_spellings(api: Api, namespace: str, spelling: str) -> None:
    make(api, namespace, "a")
    answer = api.request("GET", maps(namespace, query=f"watch={spelling}&timeoutSeconds=1"))

    assert answer.body.startswith(b'{"type":"ADDED"')
    assert answer.headers["content-type"] == "application/json"


def test_the_initial_events_end_with_a_bookmark(api: Api, namespace: str) -> None:
    make(api, namespace, "a")

    *lines, last = watched(api, maps(namespace, query=INITIAL))

    assert told(lines) == [("ADDED", "a")]
    assert last["type"] == "BOOKMARK"
    assert last["object"]["metadata"]["annotations"] == END
    assert int(version(last["object"])) >= int(version(lines[0]["object"]))
    assert (last["object"]["kind"], last["object"]["apiVersion"]) == ("ConfigMap", "v1")


def test_initial_events_may_be_left_out(api: Api, namespace: str) -> None:
    make(api, namespace, "a")
    query = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan"

    assert watched(api, maps(namespace, query=query)) == []


def test_a_bookmark_comes_before_the_end(subject: Subject, namespace: str) -> None:
    """A genuine server promises none, and sends some at leisure."""
    api = subject.api
    make(api, namespace, "a")
    at = version(api.need("GET", maps(namespace)))

    query = f"resourceVersion={at}&allowWatchBookmarks=true"
    lines = watched(api, maps(namespace, query=query), seconds=3)

    assert {it["type"] for it in lines} <= {"BOOKMARK"}
    assert lines or subject.name == "genuine"
    assert all(int(version(it["object"])) >= int(at) for it in lines)


def test_an_expired_version_is_an_error_event(subject: Subject, namespace: str) -> None:
    api = subject.api
    at = version(api.need("GET", events(namespace)))
    api.need("POST", events(namespace), body=event("a", namespace))
    subject.forget()

    (line,) = watched(api, events(namespace, f"resourceVersion={at}"))

    assert line["type"] == "ERROR"
    error = line["object"]
    assert (error["kind"], error["code"], error["reason"]) == ("Status", 410, "Expired")


def test_changes_after_the_compacted_version_are_watched(subject: Subject, namespace: str) -> None:
    api = subject.api
    api.need("POST", events(namespace), body=event("a", namespace))
    subject.forget()
    at = version(api.need("GET", events(namespace)))
    api.need("POST", events(namespace), body=event("b", namespace))

    lines = watched(api, events(namespace, f"resourceVersion={at}"))

    assert told(lines) == [("ADDED", "b")]


def test_only_the_metadata_is_watched(api: Api, namespace: str) -> None:
    make(api, namespace, "a", colour="red")
    accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"

    answer = api.request("GET", maps(namespace, query="watch=1&timeoutSeconds=1"), accept=accept)

    assert b'"kind":"PartialObjectMetadata"' in answer.body
    assert b"colour" in answer.body  # who owns it is metadata
    assert b'"red"' not in answer.body
