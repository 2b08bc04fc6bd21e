"""What deploy/ ships in a whole cluster, and what the shipped Ingesters find there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster.pod import ContainedProduct, newest_pod
from tests.cluster.processes import wait_until

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.kit.otlp import LoopbackCollector

SOURCES = ("kubernetes-events", "pods", "configmaps", "trivy", "kyverno")
"""What the shipped Ingesters call what they read."""

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
    """The CustomResourceDefinition of one of them, which takes anything."""
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
    """A cluster with what deploy/ ships, and the process of its pod at work."""

    cluster: Cluster
    folder: Path
    app: Path
    pod: dict[str, Any]
    product: ContainedProduct
    collector: LoopbackCollector

    @property
    def api(self) -> Api:
        """The administrator's."""
        return self.cluster.api()

    def observed(self, source: str, name: str) -> list[dict[str, Any]]:
        """The specs of the Observations of a source about the object of this name."""
        items = self.api.need("GET", f"{OBSERVATIONS}?labelSelector=source={source}")["items"]
        return [one["spec"] for one in items if one["spec"]["resource"]["name"] == name]


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
