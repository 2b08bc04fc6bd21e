"""The manifests in deploy/: complete, restricted, and true to the code they run."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, cast

import pytest
import typer

from streams.cli.main import app
from streams.config.load import load
from streams.config.plan import plan
from streams.observability.environment import read_environment
from tests.kit.shipped import (
    DEPLOY,
    TOP,
    container,
    documents,
    kustomization,
    opted_in,
    resources,
    shipped,
)

SELECTED = {"app.kubernetes.io/name": "zen-streams"}


def pod() -> dict[str, Any]:
    return shipped("Deployment")["spec"]["template"]["spec"]


def project_version() -> str:
    return tomllib.loads((TOP / "pyproject.toml").read_text())["project"]["version"]


# --- the kustomization ----------------------------------------------------------------------------


def test_every_manifest_is_shipped_or_offered(tmp_path: Path) -> None:
    said = kustomization(opted_in(tmp_path))
    files = {
        str(file.relative_to(DEPLOY))
        for file in DEPLOY.rglob("*.yaml")
        if file.parent in {DEPLOY, DEPLOY / "crds", DEPLOY / "rbac", DEPLOY / "examples"}
    }
    (generated,) = said["configMapGenerator"]

    assert {*said["resources"], *generated["files"]} == files - {"kustomization.yaml"}
    assert said["components"] == ["monitoring", "tracing"]


def test_a_source_and_its_rights_are_shipped_together() -> None:
    said = kustomization()
    ingesters = {Path(file).name for file in said["configMapGenerator"][0]["files"]}
    readers = {Path(file).name for file in said["resources"] if file.startswith("rbac/")}

    assert readers - {"observations.yaml"} == ingesters != set()


def test_what_is_read_from_the_start_is_in_every_cluster() -> None:
    """The pod is ready once all its sources are: a kind that is not served would hold it up."""
    files = [DEPLOY / file for file in kustomization()["configMapGenerator"][0]["files"]]
    ingesters = load(files, default_namespace="default").ingesters

    assert {plan(one).source.watched.group for one in ingesters} == {""}


def test_the_image_has_the_version_of_the_project() -> None:
    (image,) = kustomization()["images"]

    assert image["name"] == container()["image"]
    assert image["newTag"] == project_version()


@pytest.mark.parametrize("path", ["README.md", "deploy/Dockerfile", "deploy/kustomization.yaml"])
def test_who_builds_as_told_has_the_image_that_is_deployed(path: str) -> None:
    (told,) = re.findall(r"docker build -f deploy/Dockerfile -t (\S+) \.", (TOP / path).read_text())

    assert told == f"{container()['image']}:{project_version()}"


def test_everything_is_in_one_namespace_and_selects_the_one_pod(tmp_path: Path) -> None:
    found = resources(opted_in(tmp_path))
    cluster_wide = {"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    namespaced = [one for one in found if one["kind"] not in cluster_wide]

    assert {one["metadata"]["namespace"] for one in namespaced} == {"zen-system"}
    spec = {one["kind"]: one["spec"] for one in namespaced if "spec" in one}
    assert spec["Service"]["selector"] == SELECTED
    for kind in ("Deployment", "PodDisruptionBudget", "ServiceMonitor"):
        assert spec[kind]["selector"] == {"matchLabels": SELECTED}
    assert spec["NetworkPolicy"]["podSelector"] == {"matchLabels": SELECTED}
    assert spec["Deployment"]["template"]["metadata"]["labels"] == SELECTED
    assert shipped("Service")["metadata"]["labels"] == SELECTED


def test_tracing_is_a_variable_and_a_way_out() -> None:
    (endpoint,) = documents(DEPLOY / "tracing" / "endpoint.yaml")
    patch: Any = documents(DEPLOY / "tracing" / "egress.yaml")[0]
    (patched,) = endpoint["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one.get("value", "") for one in patched["env"]}
    otlp = read_environment(environment)

    assert patched["name"] == container()["name"]
    assert otlp is not None
    (way_out,) = (operation["value"] for operation in patch)
    assert otlp.address.endswith(f":{way_out['ports'][0]['port']}")
    (selector,) = way_out["to"]
    namespace = selector["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert otlp.address.partition(":")[0].split(".")[1] == namespace
    assert "service.instance.id=$(POD_UID)" in environment["OTEL_RESOURCE_ATTRIBUTES"]


# --- the pod --------------------------------------------------------------------------------------


def test_the_pod_is_restricted() -> None:
    spec, one = pod(), container()

    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {key for key in spec if key.startswith("host")} == set()
    assert shipped("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == (
        "restricted"
    )


def test_only_the_pod_has_the_token() -> None:
    account = shipped("ServiceAccount")

    assert account["automountServiceAccountToken"] is False
    assert pod()["automountServiceAccountToken"] is True
    assert pod()["serviceAccountName"] == account["metadata"]["name"] == "zen-streams"


def test_its_memory_is_what_it_was_promised() -> None:
    bounds = container()["resources"]

    assert bounds["requests"]["memory"] == bounds["limits"]["memory"]
    assert "cpu" not in bounds["limits"]


def test_one_at_a_time_writes() -> None:
    spec = shipped("Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert shipped("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_its_command_is_one_that_the_command_line_takes() -> None:
    command, *arguments = container()["args"]
    options = _parsed(command, arguments)
    (port,) = container()["ports"]
    (volume,), (mount,) = pod()["volumes"], container()["volumeMounts"]

    assert options["listen"] == f"0.0.0.0:{port['containerPort']}"
    assert options["json_logs"] is True
    assert options["grace"] + 5 <= pod()["terminationGracePeriodSeconds"]
    assert [str(path) for path in options["filename"]] == [mount["mountPath"]]
    assert volume["name"] == mount["name"]
    assert volume["configMap"]["name"] == kustomization()["configMapGenerator"][0]["name"]
    visible = {word.partition("=")[0] for word in arguments}
    assert {"--qps", "--burst", "--write-qps", "--write-burst"} <= visible


def _parsed(command: str, arguments: list[str]) -> dict[str, Any]:
    """The options as `run` itself would get them."""
    group = cast("Any", typer.main.get_command(app))
    with group.make_context("zen-streams", [command, *arguments]) as context:
        return group.get_command(context, command).make_context(command, list(arguments)).params


def test_the_probes_ask_what_is_answered() -> None:
    one = container()
    paths = {key: value["httpGet"]["path"] for key, value in one.items() if key.endswith("Probe")}

    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    ports = {value["httpGet"]["port"] for key, value in one.items() if key.endswith("Probe")}
    assert ports == {one["ports"][0]["name"]}
    startup = one["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 30


def test_only_its_port_is_reached_and_only_the_api_server_and_names_are() -> None:
    policy = shipped("NetworkPolicy")["spec"]
    ports = [port["port"] for rule in policy["egress"] for port in rule["ports"]]

    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert [rule["ports"] for rule in policy["ingress"]] == [[{"port": "http", "protocol": "TCP"}]]
    assert [set(rule) for rule in policy["ingress"]] == [{"from", "ports"}]
    assert ports == [53, 53, 443, 6443]
