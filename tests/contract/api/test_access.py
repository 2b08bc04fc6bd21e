"""Who asks, and what they may; what the server tells of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.cluster.processes import wait_until
from tests.contract.api.requests import maps
from tests.contract.api.things import establish

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.contract.api.subject import Subject

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
BUILT_IN = {
    "v1": {"configmaps", "events", "namespaces", "nodes", "pods", "pods/log", "pods/status"},
    "apps/v1": {"daemonsets", "deployments", "deployments/status", "replicasets", "statefulsets"},
    "batch/v1": {"cronjobs", "jobs"},
    "coordination.k8s.io/v1": {"leases"},
    "events.k8s.io/v1": {"events"},
    "policy/v1": {"poddisruptionbudgets"},
    "rbac.authorization.k8s.io/v1": {"clusterroles", "roles", "rolebindings"},
    "apiextensions.k8s.io/v1": {"customresourcedefinitions"},
    "authorization.k8s.io/v1": {"selfsubjectaccessreviews"},
    "zen.kube-zen.io/v1": {"observations", "observations/status", "ingesters"},
    "zen.kube-zen.io/v1alpha1": {"observations", "observations/status", "ingesters"},
}


def test_a_request_without_a_token_is_refused(api: Api, namespace: str) -> None:
    refused = api.request("GET", maps(namespace), token="nobody's")  # noqa: S106 - opens nothing

    assert (refused.status, refused.json()["reason"]) == (401, "Unauthorized")
    assert refused.json()["message"] == "Unauthorized"


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("GET", "configmaps", 'configmaps is forbidden: User "viewer" cannot list resource'),
        ("GET", "configmaps?watch=1", "cannot watch resource"),
        ("GET", "configmaps/x", 'configmaps "x" is forbidden: User "viewer" cannot get resource'),
        ("POST", "configmaps", "cannot create resource"),
        ("DELETE", "configmaps", "cannot deletecollection resource"),
        ("PATCH", "configmaps/x", "cannot patch resource"),
        ("GET", "pods/x/log", 'cannot get resource "pods/log" in API group ""'),
        ("PUT", "pods/x/status", 'cannot update resource "pods/status" in API group ""'),
    ],
)
def test_a_user_without_rights_is_refused_by_name(
    subject: Subject, namespace: str, method: str, path: str, said: str
) -> None:
    where = f"/api/v1/namespaces/{namespace}/{path}"
    refused = subject.viewer.request(method, where, body=None if method == "GET" else {})

    assert (refused.status, refused.json()["reason"]) == (403, "Forbidden")
    assert said in refused.json()["message"]
    assert f'in the namespace "{namespace}"' in refused.json()["message"]


def test_at_the_scope_of_the_cluster(subject: Subject) -> None:
    said = {
        path: subject.viewer.request("GET", path).json()["message"]
        for path in ("/api/v1/nodes", "/apis/apps/v1/deployments", "/metrics")
    }

    assert said == {
        "/api/v1/nodes": 'nodes is forbidden: User "viewer" cannot list resource "nodes" in API group ""'
        " at the cluster scope",
        "/apis/apps/v1/deployments": 'deployments.apps is forbidden: User "viewer" cannot list resource'
        ' "deployments" in API group "apps" at the cluster scope',
        "/metrics": 'forbidden: User "viewer" cannot get path "/metrics"',
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}},
        {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}},
    ],
)
def test_everybody_may_ask_what_they_may(subject: Subject, spec: dict[str, Any]) -> None:
    allowed = [
        api.need("POST", REVIEWS, body={"spec": spec})["status"]["allowed"]
        for api in (subject.api, subject.viewer)
    ]

    assert allowed == [True, False]


def test_a_review_has_one_kind_of_attributes(api: Api) -> None:
    refused = api.request("POST", REVIEWS, body={"spec": {}})

    assert (refused.status, refused.json()["reason"]) == (422, "Invalid")


def test_the_version_and_the_health(subject: Subject) -> None:
    version = subject.viewer.need("GET", "/version")

    assert (version["major"], version["minor"]) == ("1", "37")
    assert version["gitVersion"].startswith("v1.37.")
    for path in ("/livez", "/readyz", "/healthz"):
        assert subject.api.request("GET", path).body == b"ok"


def test_the_id_of_a_request_comes_back(api: Api) -> None:
    answer = api.request("GET", "/version", audit_id="an-id-of-mine")

    assert answer.headers["audit-id"] == "an-id-of-mine"


def test_who_sends_no_id_is_given_one(api: Api) -> None:
    one, other = (api.request("GET", "/version").headers["audit-id"] for _ in range(2))

    assert one
    assert other
    assert one != other


@pytest.mark.parametrize("group_version", BUILT_IN)
@pytest.mark.usefixtures("definitions")
def test_a_group_lists_its_resources(api: Api, group_version: str) -> None:
    root = "/apis" if "/" in group_version else "/api"
    listed = api.need("GET", f"{root}/{group_version}")

    assert listed["groupVersion"] == group_version
    found = {one["name"]: one for one in listed["resources"]}
    assert BUILT_IN[group_version] <= set(found)
    for one in found.values():
        assert {"kind", "namespaced", "singularName", "verbs"} <= set(one)


@pytest.mark.usefixtures("definitions")
def test_a_resource_lists_its_verbs_and_names(api: Api) -> None:
    listed = api.need("GET", "/apis/zen.kube-zen.io/v1")
    found = {one["name"]: one for one in listed["resources"]}

    observations = found["observations"]
    assert observations["shortNames"] == ["obs", "obsv"]
    assert observations["namespaced"] is True
    assert set(observations["verbs"]) == {
        *("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    }
    assert found["observations/status"]["verbs"] == ["get", "patch", "update"]


@pytest.mark.usefixtures("definitions")
def test_groups_prefer_a_version(api: Api) -> None:
    groups = {one["name"]: one for one in api.need("GET", "/apis")["groups"]}

    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    assert api.need("GET", "/apis/zen.kube-zen.io") == {
        "kind": "APIGroup",
        "apiVersion": "v1",
        **groups["zen.kube-zen.io"],
    }
    assert [one["version"] for one in groups["zen.kube-zen.io"]["versions"]] == ["v1", "v1alpha1"]
    assert api.need("GET", "/api")["versions"] == ["v1"]


@pytest.mark.usefixtures("definitions")
def test_all_of_it_in_one_answer(api: Api) -> None:
    for root, group, resource in (
        ("/api", None, "pods"),
        ("/apis", "zen.kube-zen.io", "ingesters"),
    ):
        answer = api.request("GET", root, accept=AGGREGATED)
        assert answer.headers["content-type"] == AGGREGATED
        items = msgspec.json.decode(answer.body)["items"]
        (found,) = [one for one in items if one["metadata"].get("name") == group]
        resources = {one["resource"]: one for one in found["versions"][0]["resources"]}
        assert resources[resource]["scope"] == "Namespaced"
        assert "list" in resources[resource]["verbs"]
        assert {"status"} <= {one["subresource"] for one in resources[resource]["subresources"]}


def test_a_definition_is_served_and_then_no_more(api: Api) -> None:
    crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    name = "shortliveds.example.org"
    names = {"plural": "shortliveds", "singular": "shortlived", "kind": "Shortlived"}
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "example.org", "scope": "Cluster", "names": names, "versions": [version]}
    where = "/apis/example.org/v1/shortliveds"
    assert api.request("GET", where).status == 404

    establish(
        api,
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": name},
            "spec": spec,
        },
    )
    conditions = api.need("GET", f"{crds}/{name}")["status"]["conditions"]
    one = {"apiVersion": "example.org/v1", "kind": "Shortlived", "metadata": {"name": "a"}}
    made = api.need("POST", where, body=one)
    api.need("DELETE", f"{crds}/{name}")

    assert {it["type"]: it["status"] for it in conditions}["Established"] == "True"
    assert "namespace" not in made["metadata"]
    wait_until(
        lambda: api.request("GET", where).status == 404,
        seconds=30,
        what="the resource to be served no more",
    )
