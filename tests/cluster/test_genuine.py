from __future__ import annotations

from http.client import HTTPException
from signal import Signals
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.cluster.namespaces import ContentLeftError
from tests.cluster.parts import PARTS
from tests.cluster.processes import CommandFailedError, wait_until

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def config_maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def test_the_server_is_of_the_pinned_version(cluster: Cluster) -> None:
    versions = msgspec.json.decode(cluster.kubectl("version", "--output=json"))

    assert versions["serverVersion"]["gitVersion"] == f"v{PARTS['kube-apiserver'].version}"
    assert versions["clientVersion"]["gitVersion"] == f"v{PARTS['kubectl'].version}"


def test_server_side_apply_knows_who_owns_a_field(cluster: Cluster, namespace: str) -> None:
    apply = ("apply", "--server-side", "--namespace", namespace, "--filename=-")
    written = msgspec.json.encode(config_map("owned", colour="red")).decode()
    cluster.kubectl(*apply, "--field-manager=one", input=written)

    with pytest.raises(CommandFailedError, match=r'conflict with "one": \.data\.colour'):
        cluster.kubectl(*apply, "--field-manager=two", input=written.replace("red", "blue"))


def test_every_request_is_audited_with_its_code(cluster: Cluster, namespace: str) -> None:
    api = cluster.api()
    created = api.request("POST", config_maps(namespace), body=config_map("seen"))
    twice = api.request("POST", config_maps(namespace), body=config_map("seen"))

    for answer, code in ((created, 201), (twice, 409)):
        event = cluster.wait_audit(lambda it, of=answer: it["auditID"] == of.headers["audit-id"])
        assert (event["stage"], event["verb"]) == ("ResponseComplete", "create")
        assert event["user"]["username"] == "admin"
        assert event["objectRef"]["name"] == "seen"
        assert event["responseStatus"]["code"] == answer.status == code


def test_rights_are_given_by_rbac_alone(cluster: Cluster, namespace: str) -> None:
    streams, path = cluster.api("streams"), config_maps(namespace)
    assert cluster.api("viewer").request("GET", path).status == 403
    assert cluster.request("GET", path, token="none").status == 401  # noqa: S106 - opens nothing
    assert streams.request("GET", path).status == 403

    may = ("--namespace", namespace, "create")
    cluster.kubectl(*may, "role", "reader", "--verb=list", "--resource=configmaps")
    cluster.kubectl(*may, "rolebinding", "reader", "--role=reader", "--user=streams")

    wait_until(lambda: streams.request("GET", path).status == 200, seconds=10, what="the role")
    assert cluster.kubectl("get", "configmaps", "-n", namespace, user="streams") == ""


def test_a_watch_from_before_a_compaction_is_told_410_in_the_stream(fresh_cluster: Cluster) -> None:
    api = fresh_cluster.api()
    events = "/api/v1/namespaces/default/events"
    for name in ("one", "two"):
        body = {"metadata": {"name": name}, "involvedObject": {"namespace": "default"}}
        before = api.need("POST", events, body=body)["metadata"]["resourceVersion"]
    token = api.need("GET", f"{events}?limit=1")["metadata"]["continue"]

    newest = fresh_cluster.compact()

    watch = f"{events}?watch=1&timeoutSeconds=5&resourceVersion={before}"
    told = api.request("GET", watch)
    assert told.status == 200
    assert (told.json()["type"], told.json()["object"]["reason"]) == ("ERROR", "Expired")
    assert told.json()["object"]["code"] == 410
    assert newest > int(before)
    assert api.request("GET", f"{events}?limit=1&continue={token}").status == 410


@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGKILL])
def test_a_restarted_server_has_its_data_and_its_address(
    fresh_cluster: Cluster, number: Signals
) -> None:
    url, api = fresh_cluster.url, fresh_cluster.api()
    kept = api.need("POST", config_maps("default"), body=config_map("kept", colour="red"))
    api.need("POST", config_maps("default"), body=config_map("later"))

    fresh_cluster.stop_apiserver(number=number)
    with pytest.raises((OSError, HTTPException)):
        api.request("GET", "/readyz")
    fresh_cluster.start_apiserver()

    assert fresh_cluster.url == url
    assert api.need("GET", f"{config_maps('default')}/kept")["data"] == {"colour": "red"}
    version = kept["metadata"]["resourceVersion"]
    watch = f"{config_maps('default')}?watch=1&timeoutSeconds=5&resourceVersion={version}"
    assert api.need("GET", watch)["object"]["code"] == 410
    creates = [event for event in fresh_cluster.audit() if event["verb"] == "create"]
    assert any(event["objectRef"].get("name") == "kept" for event in creates)


@pytest.mark.usefixtures("crds")
def test_a_quota_holds_from_the_moment_it_is_set(cluster: Cluster, namespace: str) -> None:
    path = f"/apis/zen.kube-zen.io/v1/namespaces/{namespace}/observations"
    spec = dict.fromkeys(("source", "category", "severity", "eventType"), "vulnerability")

    def observe(name: str) -> tuple[int, bytes]:
        body = {
            "apiVersion": "zen.kube-zen.io/v1",
            "kind": "Observation",
            "metadata": {"name": name},
            "spec": spec | {"category": "security", "severity": "low"},
        }
        answer = cluster.request("POST", path, body=body)
        return answer.status, answer.body

    limited = "count/observations.zen.kube-zen.io"
    cluster.set_quota(namespace, limited, hard=1)
    assert observe("first")[0] == 201
    code, said = observe("second")
    assert code == 403
    assert f"exceeded quota: tests, requested: {limited}=1, used: {limited}=1".encode() in said

    cluster.set_quota(namespace, limited, hard=9, used=1)
    assert observe("second")[0] == 201
    cluster.set_quota(namespace, limited, hard=9, used=9)
    assert observe("third")[0] == 403


def test_a_terminating_namespace_says_so_until_it_is_finalized(
    cluster: Cluster, namespace: str
) -> None:
    api, path = cluster.api(), config_maps(namespace)
    api.need("POST", path, body=config_map("inside"))
    api.need("DELETE", f"/api/v1/namespaces/{namespace}")

    refused = api.request("POST", path, body=config_map("late"))
    assert refused.status == 403
    assert refused.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    assert api.request("GET", f"{path}/inside").status == 200

    cluster.finalize_namespace(namespace)
    assert api.request("GET", f"/api/v1/namespaces/{namespace}").status == 404
    assert api.request("GET", f"{path}/inside").status == 404
    assert api.request("POST", path, body=config_map("late")).status == 404


def test_a_namespace_waits_for_the_finalizers_within(cluster: Cluster, namespace: str) -> None:
    api, path = cluster.api(), config_maps(namespace)
    held = config_map("held")
    held["metadata"]["finalizers"] = ["tests.zen.kube-zen.io/hold"]
    api.need("POST", path, body=held)

    with pytest.raises(ContentLeftError, match="held has finalizers"):
        cluster.finalize_namespace(namespace)

    merge = "application/merge-patch+json"
    freed = {"metadata": {"finalizers": None}}
    api.need("PATCH", f"{path}/held", body=freed, content_type=merge)
    cluster.finalize_namespace(namespace)
    assert api.request("GET", f"/api/v1/namespaces/{namespace}").status == 404
