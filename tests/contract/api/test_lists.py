"""Lists: pages of one moment, versions, selectors."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.contract.api.requests import (
    Fields,
    config_map,
    event,
    events,
    make,
    maps,
    names,
    observation,
    observations,
    version,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.api import Api
    from tests.contract.api.subject import Subject

FIVE = ("a", "b", "c", "d", "e")


@pytest.fixture(scope="module")
def five(subject: Subject, shared: str) -> str:
    """A namespace with five ConfigMaps: `n` is 1 to 5, and the first also has `first`."""
    for number, name in enumerate(FIVE, start=1):
        labels = {"n": str(number)} | ({"first": "yes"} if number == 1 else {})
        subject.api.need("POST", maps(shared), body=config_map(name, labels=labels))
    return shared


def pages(api: Api, path: str, *, limit: int) -> Iterator[Fields]:
    token = ""
    while True:
        page = api.need("GET", f"{path}?limit={limit}&continue={token}")
        yield page
        token = page["metadata"].get("continue", "")
        if not token:
            return


def test_pages_show_one_moment(api: Api, namespace: str) -> None:
    make(api, namespace, *FIVE)
    reading = pages(api, maps(namespace), limit=2)
    first = next(reading)
    make(api, namespace, "bb")
    api.need("DELETE", maps(namespace, "e"))

    rest = list(reading)

    assert [names(page) for page in (first, *rest)] == [["a", "b"], ["c", "d"], ["e"]]
    assert {version(page) for page in (first, *rest)} == {version(first)}
    remaining = [page["metadata"].get("remainingItemCount") for page in (first, *rest)]
    assert remaining == [3, 1, None]


def test_pages_of_a_selection_do_not_say_how_many_follow(api: Api, five: str) -> None:
    page = api.need("GET", maps(five, query="limit=2&labelSelector=n%20in%20(1,3,5)"))

    assert names(page) == ["a", "c"]
    assert page["metadata"]["continue"]
    assert "remainingItemCount" not in page["metadata"]


def test_any_version_is_answered_whole(api: Api, five: str) -> None:
    assert names(api.need("GET", maps(five, query="limit=2&resourceVersion=0"))) == list(FIVE)


def test_a_list_at_exactly_one_version(api: Api, namespace: str) -> None:
    make(api, namespace, "a", "b")
    at = version(api.need("GET", maps(namespace)))
    make(api, namespace, "c")
    api.need("DELETE", maps(namespace, "a"))

    exact = api.need(
        "GET", maps(namespace, query=f"resourceVersion={at}&resourceVersionMatch=Exact")
    )
    paged = api.need("GET", maps(namespace, query=f"resourceVersion={at}&limit=9"))
    recent = f"resourceVersion={at}&resourceVersionMatch=NotOlderThan"

    assert (names(exact), version(exact)) == (["a", "b"], at)
    assert (names(paged), version(paged)) == (["a", "b"], at)
    assert names(api.need("GET", maps(namespace, query=recent))) == ["b", "c"]


def test_a_forgotten_token_is_answered_with_a_fresh_one(subject: Subject, namespace: str) -> None:
    api = subject.api
    for name in FIVE:
        api.need("POST", events(namespace), body=event(name, namespace))
    token = api.need("GET", events(namespace, "limit=2"))["metadata"]["continue"]
    api.need("POST", events(namespace), body=event("bb", namespace))
    subject.forget()

    lost = api.request("GET", events(namespace, f"limit=2&continue={token}"))
    fresh = lost.json()["metadata"]["continue"]
    rest = api.need("GET", events(namespace, f"continue={fresh}"))

    assert (lost.status, lost.json()["reason"]) == (410, "Expired")
    assert names(rest) == ["bb", "c", "d", "e"]


def test_a_token_allows_no_version_beside_it(api: Api, five: str) -> None:
    token = api.need("GET", maps(five, query="limit=2"))["metadata"]["continue"]

    refused = api.request("GET", maps(five, query=f"continue={token}&resourceVersion=5"))

    assert refused.status == 400
    assert "specifying resource version is not allowed when using continue" in refused.body.decode()


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("n=1", "a"),
        ("n==1", "a"),
        ("n!=1", "bcde"),
        ("n in (1, 3)", "ac"),
        ("n notin (1,3)", "bde"),
        ("n", "abcde"),
        ("first", "a"),
        ("!first", "bcde"),
        ("other!=x", "abcde"),
        ("n>3", "de"),
        ("n<3,!first", "b"),
        ("first=yes,n in (1,2)", "a"),
        ("n in ()", ""),
        (" n = 2 ", "b"),
        ("n=", ""),
    ],
)
def test_labels_select(api: Api, five: str, selector: str, wanted: str) -> None:
    listed = api.need("GET", maps(five, query=f"labelSelector={quote(selector)}"))

    assert "".join(names(listed)) == wanted


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ("n in (", "found '', expected: ',', ')' or identifier"),
        ("n notin (1,2", "found '', expected: ',' or ')'"),
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("n=1,,", "found ',', expected: identifier after ','"),
        ("n=1 2", "found '2', expected: ',' or 'end of string'"),
        ("n!", "found '!', expected: in, notin, =, ==, !=, gt, lt"),
        ("n in 1", "found '1' expected: '('"),
        ("n>a", "for 'Gt', 'Lt' operators, the value must be an integer"),
        ("x/y/z=1", 'Invalid value: "x/y/z": a valid label key must consist of'),
        ("n=-1", 'values[0][n]: Invalid value: "-1": a valid label must be'),
    ],
)
def test_what_is_no_label_selector_is_refused(
    api: Api, five: str, selector: str, said: str
) -> None:
    refused = api.request("GET", maps(five, query=f"labelSelector={quote(selector)}"))

    assert (refused.status, refused.json()["reason"]) == (400, "BadRequest")
    assert said in refused.json()["message"]


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        ("metadata.name=c", "c"),
        ("metadata.name!=c", "abde"),
        ("metadata.name==c,metadata.namespace!=x", "c"),
        ("metadata.name=c,metadata.name=d", ""),
        ("metadata.name=c\\,d", ""),
        (",", "abcde"),
    ],
)
def test_fields_select(api: Api, five: str, selector: str, wanted: str) -> None:
    listed = api.need("GET", maps(five, query=f"fieldSelector={quote(selector)}"))

    assert "".join(names(listed)) == wanted


def test_pods_are_selected_by_node_and_phase(api: Api, namespace: str) -> None:
    pods = f"/api/v1/namespaces/{namespace}/pods"
    container = {"name": "c", "image": "i"}
    for name, more in (("a", {"nodeName": "n1"}), ("b", {})):
        body = {"metadata": {"name": name}, "spec": {"containers": [container], **more}}
        api.need("POST", pods, body=body)

    def selected(selector: str) -> list[str]:
        return names(api.need("GET", f"{pods}?fieldSelector={quote(selector)}"))

    assert selected("spec.nodeName=n1") == ["a"]
    assert selected("spec.nodeName=") == ["b"]
    assert selected("status.phase=Pending") == ["a", "b"]
    assert selected("status.phase!=Pending") == []


def test_all_namespaces_in_one_list(api: Api, namespace: str, five: str) -> None:
    make(api, namespace, "a")

    listed = api.need("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Da")

    places = [one["metadata"]["namespace"] for one in listed["items"]]
    assert {namespace, five} <= set(places)
    assert places == sorted(places)


def test_only_custom_items_say_what_they_are(api: Api, five: str, ours: str) -> None:
    api.need("POST", observations(ours), body=observation("a"))

    plain = api.need("GET", maps(five))
    definitions = api.need("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    custom = api.need("GET", observations(ours))

    assert plain["kind"] == "ConfigMapList"
    assert "kind" not in plain["items"][0]
    assert definitions["kind"] == "CustomResourceDefinitionList"
    assert "kind" not in definitions["items"][0]
    assert custom["kind"] == "ObservationList"
    (item,) = custom["items"]
    assert (item["apiVersion"], item["kind"]) == ("zen.kube-zen.io/v1", "Observation")
