"""deploy/ on a genuine cluster with controllers, and its pod's own command as its service account.

The node fakes its pods, so that the Deployment's rolling out proves the objects alone; what would run
in the pod is run beside the cluster, with the pod's own arguments, files, token and confinement.
"""

from __future__ import annotations

import os
import shutil
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import yaml

from tests.cluster import sandbox
from tests.cluster.pod import ContainedProduct, built, newest_pod
from tests.cluster.processes import Program, free_ports, wait_until
from tests.cluster.product import ingester
from tests.kit.shipped import DEPLOY, documents, opted_in, resources, rights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster

ACCOUNT = "system:serviceaccount:zen-system:zen-streams"
WORK = "work"
OBSERVATIONS = f"/apis/zen.kube-zen.io/v1alpha1/namespaces/{WORK}/observations"
MERGE = "application/merge-patch+json"

FOREIGN = {
    "vulnerabilityreports": ("aquasecurity.github.io", "v1alpha1", "VulnerabilityReport"),
    "policyreports": ("wgpolicyk8s.io", "v1alpha2", "PolicyReport"),
    "servicemonitors": ("monitoring.coreos.com", "v1", "ServiceMonitor"),
    "prometheusrules": ("monitoring.coreos.com", "v1", "PrometheusRule"),
}
"""Kinds of other projects, by name alone: their definitions belong to them."""


def definition(resource: str) -> dict[str, Any]:
    group, version, kind = FOREIGN[resource]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": resource, "singular": kind.lower()},
            "versions": [{**served, "schema": {"openAPIV3Schema": anything}}],
        },
    }


def rolled_out(cluster: Cluster, folder: Path) -> dict[str, Any]:
    """Apply a kustomization, wait until its Deployment has rolled out, and return its pod."""
    cluster.kubectl("apply", "--validate=strict", "-k", str(folder))
    for name in ("ingesters", "observations"):
        crd = f"crd/{name}.zen.kube-zen.io"
        cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", crd)
    rollout = ("rollout", "status", "deployment/zen-streams", "--timeout=45s")
    cluster.kubectl("--namespace=zen-system", *rollout)
    return newest_pod(cluster, "zen-system", selector="app.kubernetes.io/name=zen-streams")


@dataclass(frozen=True, slots=True)
class Deployed:
    cluster: Cluster
    folder: Path
    app: Path
    pod: dict[str, Any]
    product: ContainedProduct

    @property
    def api(self) -> Api:
        return self.cluster.api()

    def observed(self, source: str, name: str) -> list[dict[str, Any]]:
        """The specs of the Observations of a source about the object of this name."""
        items = self.api.need("GET", f"{OBSERVATIONS}?labelSelector=source={source}")["items"]
        return [one["spec"] for one in items if one["spec"]["resource"]["name"] == name]


@pytest.fixture(scope="module")
def deployed(
    whole_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """Everything that deploy/ offers, rolled out, and its process at work on one object of each kind."""
    reason = sandbox.unavailable()
    if reason is not None:
        pytest.skip(f"no container can be imitated here: {reason}")
    folder = tmp_path_factory.mktemp("deployed")
    whole_cluster.apply(*map(definition, FOREIGN))
    pod = rolled_out(whole_cluster, opted_in(folder))
    app = built(folder)
    api = whole_cluster.api()
    api.need("POST", "/api/v1/namespaces", body={"metadata": {"name": WORK}})
    with ContainedProduct(folder / "first", app=app, cluster=whole_cluster, pod=pod) as product:
        product.ready()
        found = Deployed(whole_cluster, folder, app, pod, product)
        make(api, "first")
        for source in ("kubernetes-events", "pods", "configmaps", "trivy", "kyverno"):
            wait_until(lambda of=source: bool(found.observed(of, "first")), seconds=30, what=source)
        yield found
        assert product.stop() == 0, product.tail()


def make(api: Api, name: str) -> None:
    """One object of each kind that the shipped Ingesters read."""
    core = f"/api/v1/namespaces/{WORK}"
    account = f"{core}/serviceaccounts/default"
    wait_until(lambda: api.request("GET", account).status == 200, seconds=10, what=account)
    metadata = {"name": name}
    containers = [{"name": "it", "image": "it"}]
    api.need(
        "POST", f"{core}/pods", body={"metadata": metadata, "spec": {"containers": containers}}
    )
    failed = {"status": {"phase": "Failed", "reason": "Evicted", "message": "memory"}}
    api.need("PATCH", f"{core}/pods/{name}/status", body=failed, content_type=MERGE)
    labelled = {"name": name, "labels": {"zen-streams/watch": "yes"}}
    api.need("POST", f"{core}/configmaps", body={"metadata": labelled, "data": {"colour": "red"}})
    about = {"kind": "Pod", "namespace": WORK, "name": name}
    happened = {"reason": "BackOff", "type": "Warning", "message": "again"}
    api.need(
        "POST",
        f"{core}/events",
        body={"metadata": {"name": f"{name}.1"}, "involvedObject": about, **happened},
    )
    for resource in ("vulnerabilityreports", "policyreports"):
        group, version, kind = FOREIGN[resource]
        body = {"apiVersion": f"{group}/{version}", "kind": kind, "metadata": metadata}
        path = f"/apis/{group}/{version}/namespaces/{WORK}/{resource}"
        api.need("POST", path, body={**body, "report": {"summary": {"criticalCount": 1}}})


def test_the_default_is_taken_strictly_and_rolls_out(whole_cluster: Cluster) -> None:
    pod = rolled_out(whole_cluster, DEPLOY)

    again = ("apply", "--dry-run=server", "--validate=strict", "-k", str(DEPLOY))
    told = whole_cluster.kubectl(*again).splitlines()
    assert len(told) == len(resources()) + 1
    assert whole_cluster.kubectl("diff", "-k", str(DEPLOY)) == ""
    conditions = {one["type"]: one["status"] for one in pod["status"]["conditions"]}
    assert conditions["Ready"] == "True"


def test_it_runs_as_nobody_on_a_file_system_that_takes_nothing(deployed: Deployed) -> None:
    process = deployed.product.process
    assert process is not None
    told = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in told)}

    assert set(status["Uid"]) == set(status["Gid"]) == {"65532"}
    assert status["Groups"] == []
    assert {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == ["1"]
    root = Path(f"/proc/{process.pid}/root")
    for place in ("/", "/app", "/etc/zen-streams/ingesters"):
        assert os.statvfs(f"{root}{place}").f_flag & os.ST_RDONLY, place
    assert not (root / Path(__file__).relative_to("/")).exists()


def test_every_right_is_used_and_none_is_missing(deployed: Deployed) -> None:
    api, core = deployed.api, f"/api/v1/namespaces/{WORK}"
    make(api, "second")
    for source in ("kubernetes-events", "pods", "configmaps", "trivy", "kyverno"):
        wait_until(lambda of=source: bool(deployed.observed(of, "second")), seconds=30, what=source)
    out = {"status": {"phase": "Succeeded"}}
    api.need("PATCH", f"{core}/pods/second/status", body=out, content_type=MERGE)
    api.need("DELETE", f"{core}/configmaps/second")
    wait_until(
        lambda: "resolvedAt" in deployed.observed("pods", "second")[0],
        seconds=30,
        what="the pod's Observation to be resolved",
    )
    wait_until(
        lambda: deployed.observed("configmaps", "second") == [],
        seconds=30,
        what="the ConfigMap's Observation to be gone",
    )
    read_without_room(deployed)

    answers = [
        (event, event["responseStatus"]["code"])
        for event in deployed.cluster.audit()
        if event["user"]["username"] == ACCOUNT
    ]
    assert {code for _, code in answers if code in {401, 403}} == set()
    used = {
        (of.get("apiGroup", ""), of["resource"], verb)
        for event, code in answers
        if (of := event.get("objectRef"))
        for verb in ({event["verb"], "create"} if code == 201 else {event["verb"]})
    }
    granted = rights(resources(deployed.folder / "deploy"))
    assert granted - used == set()
    assert used - granted == set()


def read_without_room(deployed: Deployed) -> None:
    """Have the account's rights to single objects used: what finds no room is read again one by one."""
    make(deployed.api, "third")
    documents_folder = deployed.folder / "narrow"
    documents_folder.mkdir()
    kinds = {"events": ("", "v1"), **{name: FOREIGN[name][:2] for name in list(FOREIGN)[:2]}}
    for resource, (group, version) in kinds.items():
        document = ingester(
            f"narrow-{resource}",
            WORK,
            resource=resource,
            group=group,
            version=version,
            buffer={"capacity": 1},
        )
        (documents_folder / f"{resource}.yaml").write_text(yaml.safe_dump(document))
    narrow = ContainedProduct(
        deployed.folder / "second",
        app=deployed.app,
        cluster=deployed.cluster,
        pod=deployed.pod,
        documents=documents_folder,
    )
    with narrow:
        narrow.ready()
        narrow.quiet()
        assert narrow.total("zenstreams_source_read_total", what="gets") >= len(kinds)
        assert narrow.stop() == 0


def test_every_panel_and_every_alert_has_its_answer(deployed: Deployed, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on PATH, which scrapes the product")
    (port,) = free_ports(1)
    (rules,) = documents(DEPLOY / "monitoring" / "alerts.yaml")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules["spec"]))
    scrape = {"job_name": "it", "static_configs": [{"targets": [deployed.product.address]}]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [scrape],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    running = Program(
        [
            program,
            f"--config.file={tmp_path / 'prometheus.yaml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        log=tmp_path / "prometheus.log",
    )
    try:
        for panel in panels():
            wait_until(
                lambda of=panel: any(ask(port, "query", query=one)["result"] for one in of[1]),
                seconds=30,
                what=f"{panel[0]}: {running.tail(5)}",
            )
        wait_until(
            lambda: {one["health"] for one in alerts(port)} == {"ok"}, seconds=30, what="the rules"
        )
        assert [one["name"] for one in alerts(port) if one["state"] == "firing"] == []
    finally:
        running.stop()


def panels() -> list[tuple[str, list[str]]]:
    """Every panel's title, and its expressions with Grafana's variables filled in."""
    file = DEPLOY / "monitoring" / "dashboards" / "zen-streams.json"
    text = file.read_text().replace("$ingester", ".*").replace("$__rate_interval", "10s")
    found = msgspec.json.decode(text)["panels"]
    return [(one["title"], [target["expr"] for target in one["targets"]]) for one in found]


def alerts(port: int) -> list[dict[str, Any]]:
    return [rule for group in ask(port, "rules")["groups"] for rule in group["rules"]]


def ask(port: int, path: str, **query: str) -> dict[str, Any]:
    """What Prometheus answers; nothing while it is not there yet."""
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return msgspec.json.decode(answer.read())["data"]
    except OSError:
        return {"result": [], "groups": []}
