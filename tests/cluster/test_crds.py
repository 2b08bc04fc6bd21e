"""The CustomResourceDefinitions before a genuine API server: it takes them, and answers as the contract says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from streams.config.crd import files, manifests
from tests.cluster.api import Api
from tests.kit.acceptance import (
    CREATED,
    INGESTERS,
    OBSERVATIONS,
    UNKNOWN_FIELD,
    Case,
    ingester,
    manifest,
)
from tests.kit.whole_ingester import WHOLE

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster

STRICT_DRY_RUN = "?dryRun=All&fieldValidation=Strict"
EXAMPLES = Path(__file__).parents[2] / "deploy" / "examples"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NAMES = [one["metadata"]["name"] for one in manifests()]

pytestmark = pytest.mark.usefixtures("crds")


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_is_established_and_structural(cluster: Cluster, name: str) -> None:
    status = cluster.api().need("GET", f"{CRDS}/{name}")["status"]

    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert conditions["Established"] == "True"
    assert conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert status["storedVersions"] == ["v1alpha1"]


@pytest.mark.parametrize("name", NAMES)
def test_the_server_keeps_every_word_of_a_definition(cluster: Cluster, name: str) -> None:
    (sent,) = [one for one in manifests() if one["metadata"]["name"] == name]

    kept = cluster.api().need("GET", f"{CRDS}/{name}")["spec"]
    assert kept == sent["spec"]


def test_kubectl_applies_the_files_from_its_own_side(cluster: Cluster) -> None:
    said = cluster.kubectl(
        *("apply", "--dry-run=server", "--validate=strict", "-f", "-"),
        input="".join(files().values()),
    )

    assert all(name in said for name in NAMES)


@pytest.mark.parametrize("case", [*OBSERVATIONS, *INGESTERS], ids=lambda case: case.name)
def test_the_server_answers_as_the_contract_says(cluster: Cluster, case: Case) -> None:
    answer = cluster.request("POST", f"{case.path}{STRICT_DRY_RUN}", body=case.manifest)

    assert answer.status == case.ours, answer.body.decode()


@pytest.mark.parametrize(
    "case",
    [case for case in (*OBSERVATIONS, *INGESTERS) if case.ours == UNKNOWN_FIELD],
    ids=lambda case: case.name,
)
def test_a_field_nobody_knows_is_pruned_where_the_user_is_not_strict(
    cluster: Cluster, case: Case
) -> None:
    answer = cluster.request("POST", f"{case.path}?dryRun=All", body=case.manifest)

    assert answer.status == CREATED, answer.body.decode()
    spec = answer.json()["spec"]
    assert "colour" not in spec
    assert "uid" not in spec.get("resource", {})


def test_the_server_takes_our_examples(cluster: Cluster) -> None:
    said = cluster.kubectl(*("apply", "--dry-run=server", "--validate=strict", "-f", str(EXAMPLES)))

    assert len(said.splitlines()) >= len(list(EXAMPLES.glob("*.yaml"))) > 0


def test_the_server_knows_every_field_of_the_model(cluster: Cluster) -> None:
    path = "/apis/zen.kube-zen.io/v1/namespaces/default/ingesters"
    sent = WHOLE | {"apiVersion": "zen.kube-zen.io/v1"}

    answer = cluster.request("POST", f"{path}{STRICT_DRY_RUN}", body=sent)

    assert answer.status == CREATED, answer.body.decode()
    assert answer.json()["spec"] == WHOLE["spec"]


def test_the_server_fills_in_the_contracts_defaults(cluster: Cluster) -> None:
    empty: dict[str, Any] = {
        "deduplication": {},
        "filters": {},
        "optimization": {},
        "rateLimit": {},
        "logs": {},
    }
    sent = ingester(
        **empty,
        webhook={"auth": {}, "tls": {}},
        errorHandling={"retry": {}, "dlq": {}, "logging": {}},
    )

    path = "/apis/zen.kube-zen.io/v1alpha1/namespaces/default/ingesters"
    spec = cluster.api().need("POST", f"{path}{STRICT_DRY_RUN}", body=sent)["spec"]

    assert {key: spec[key] for key in (*empty, "webhook", "errorHandling")} == {
        "deduplication": {
            "enabled": True,
            "learningRate": 0.1,
            "minChange": 0.05,
            "strategy": "fingerprint",
        },
        "filters": {"enabled": True},
        "optimization": {"order": "filter_first"},
        "rateLimit": {"enabled": False},
        "logs": {"pollInterval": "1s", "sinceSeconds": 300},
        "webhook": {"bufferSize": 100, "auth": {"type": "none"}, "tls": {"enabled": True}},
        "errorHandling": {
            "strategy": "fail-fast",
            "retry": {"maxAttempts": 3, "backoff": "exponential", "backoffBase": "1s"},
            "dlq": {"enabled": False},
            "logging": {"level": "error", "includeBody": False},
        },
    }
    assert spec["informer"]["resyncPeriod"] == "0"


def test_kubectl_shows_what_a_person_wants_to_see(cluster: Cluster, namespace: str) -> None:
    api = cluster.api()
    place = f"/apis/zen.kube-zen.io/v1alpha1/namespaces/{namespace}"
    _create(api, f"{place}/ingesters", ingester())
    _set_ready(api, f"{place}/ingesters/case")
    spec = {
        "source": "trivy",
        "category": "security",
        "severity": "high",
        "eventType": "vulnerability",
        "title": "A title",
        "resource": {"kind": "Deployment", "name": "web"},
        "resolvedAt": "2026-11-24T10:00:00Z",
    }
    _create(api, f"{place}/observations", manifest("Observation", spec))

    ingesters = cluster.kubectl("get", "-n", namespace, "ingesters").splitlines()
    observations = cluster.kubectl("get", "-n", namespace, "obs").splitlines()
    wide = cluster.kubectl("get", "-n", namespace, "obsv", "-o", "wide").splitlines()

    assert ingesters[0].split() == ["NAME", "SOURCE", "INGESTER", "READY", "AGE"]
    assert ingesters[1].split()[:4] == ["case", "deployments", "informer", "True"]
    assert observations[0].split() == [
        *("NAME", "SOURCE", "SEVERITY", "CATEGORY", "KIND", "SUBJECT", "RESOLVED", "AGE")
    ]
    assert observations[1].split()[:6] == [
        *("case", "trivy", "high", "security", "Deployment", "web")
    ]
    assert {"TYPE", "PRIORITY", "COUNT", "TITLE"} <= set(wide[0].split())
    assert "vulnerability" in wide[1]


def test_a_person_can_ask_what_a_field_means(cluster: Cluster) -> None:
    said = cluster.kubectl("explain", "ingesters.spec.buffer.inFlight")

    assert "Events that are processed at the same time" in " ".join(said.split())


def test_details_are_one_value_to_server_side_apply(cluster: Cluster, namespace: str) -> None:
    place = f"/apis/zen.kube-zen.io/v1alpha1/namespaces/{namespace}/observations/case"
    spec = {
        "category": "security",
        "severity": "high",
        "eventType": "a",
        "details": {"a": {"b": 1}},
        "evidence": {"x": 1},
    }
    applied = cluster.api().need(
        "PATCH",
        f"{place}?fieldManager=test&force=true",
        body=manifest("Observation", spec) | {"metadata": {"name": "case"}},
        content_type="application/apply-patch+yaml",
    )

    (managed,) = applied["metadata"]["managedFields"]
    assert managed["fieldsV1"]["f:spec"]["f:details"] == {}
    assert managed["fieldsV1"]["f:spec"]["f:evidence"] == {}


def _create(api: Api, path: str, body: dict[str, Any]) -> None:
    metadata = {"name": body["metadata"]["name"]}
    api.need("POST", path, body=body | {"metadata": metadata})


def _set_ready(api: Api, path: str) -> None:
    condition = {"type": "Ready", "status": "True", "reason": "Test", "message": ""}
    api.need(
        "PATCH",
        f"{path}/status",
        body={"status": {"conditions": [condition]}},
        content_type="application/merge-patch+json",
    )
