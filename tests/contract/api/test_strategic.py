"""Strategic merge patches, on the embedded server and on a genuine one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.api import Api
from tests.contract.api.things import Fields, apply, owners

STRATEGIC = "application/strategic-merge-patch+json"


def deployment(*environment: str) -> Fields:
    labels = {"app": "a"}
    container = {"name": "c", "image": "i", "ports": [{"containerPort": 80, "protocol": "TCP"}]}
    container["env"] = [{"name": name, "value": "v"} for name in environment]
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    fields: Fields = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
    return fields | {"metadata": {"name": "one", "labels": labels}}


@pytest.fixture
def deployments(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


def named(name: str, **more: str) -> Fields:
    return {"name": name, **more}


ORDERS: list[tuple[Fields, str]] = [
    ({"env": [named("c")]}, "cab"),
    ({"env": [named("b"), named("c")]}, "abc"),
    ({"env": [named("c"), named("a")]}, "cab"),
    ({"env": [named("b"), named("a")]}, "ba"),
    ({"env": [{"name": "a", "$patch": "delete"}, named("c")]}, "cb"),
    ({"$setElementOrder/env": [named("b"), named("c")], "env": [named("c")]}, "abc"),
    ({"$setElementOrder/env": [named(one) for one in "cba"], "env": [named("c")]}, "cba"),
    ({"env": [{"$patch": "replace"}, named("z")]}, "z"),
]


def test_elements_go_where_the_server_puts_them(api: Api, deployments: str) -> None:
    api.need("POST", deployments, body=deployment("a", "b"))

    for container, names in ORDERS:
        template = {"spec": {"containers": [{"name": "c"} | container]}}
        patched = api.need(
            "PATCH",
            f"{deployments}/one?dryRun=All",
            body={"spec": {"template": template}},
            content_type=STRATEGIC,
        )
        (after,) = patched["spec"]["template"]["spec"]["containers"]
        assert "".join(one["name"] for one in after["env"]) == names, container
        assert after["image"] == "i"


@pytest.mark.parametrize(
    ("patch", "data"),
    [
        ({"data": {"b": "2", "a": None}}, {"b": "2"}),
        ({"data": {"$patch": "replace", "z": "1"}}, {"z": "1"}),
        ({"data": {"$patch": "delete"}}, None),
        ({"data": {"$retainKeys": ["b"], "b": "1"}}, {"b": "1"}),
    ],
)
def test_maps_are_merged(api: Api, namespace: str, patch: Fields, data: Any) -> None:
    where = f"/api/v1/namespaces/{namespace}/configmaps"
    api.need("POST", where, body={"metadata": {"name": "one"}, "data": {"a": "1"}})

    patched = api.need("PATCH", f"{where}/one", body=patch, content_type=STRATEGIC)

    assert patched.get("data") == data


def test_custom_resources_have_no_strategic_patch(api: Api, ours: str) -> None:
    where = f"/apis/zen.kube-zen.io/v1/namespaces/{ours}/observations/none"

    assert api.request("PATCH", where, body={}, content_type=STRATEGIC).status == 415


def test_a_deployment_is_owned_container_by_container(api: Api, deployments: str) -> None:
    made = apply(api, f"{deployments}/one", deployment("E"), manager="a")

    assert made.status == 201
    port = 'k:{"containerPort":80,"protocol":"TCP"}'
    container: Fields = {
        ".": {},
        "f:env": {'k:{"name":"E"}': {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {},
        "f:name": {},
        "f:ports": {port: {".": {}, "f:containerPort": {}, "f:protocol": {}}},
    }
    assert owners(made.json())["a Apply"] == {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:app": {}}},
                "f:spec": {"f:containers": {'k:{"name":"c"}': container}},
            },
        },
    }
