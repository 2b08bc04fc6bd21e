"""Kyverno's policy reports (kyverno: pkg/controllers/report/aggregate): one per object, named by the object's uid.

The hourly background scan rewrites every time stamp with nothing new. A report without results is deleted.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from demo.cluster import Cluster, Workload
from demo.signal import Object, Request, Signal, change, create, delete
from operators.flow.clock import WallClock

API_VERSION = "wgpolicyk8s.io/v1alpha2"
RESULTS = ("pass", "fail", "warn", "error", "skip")
_POLICIES = (
    ("require-run-as-nonroot", "autogen-run-as-non-root", "medium", "runAsNonRoot must be true"),
    (
        "disallow-privileged-containers",
        "autogen-privileged",
        "high",
        "privileged mode is not allowed",
    ),
    (
        "require-requests-limits",
        "autogen-validate-resources",
        "low",
        "CPU and memory limits are required",
    ),
    (
        "disallow-latest-tag",
        "autogen-validate-image-tag",
        "medium",
        "a tag other than latest is required",
    ),
    (
        "restrict-seccomp-strict",
        "autogen-check-seccomp-strict",
        "medium",
        "seccompProfile must be set",
    ),
)


def kyverno(cluster: Cluster, seed: int, *, now: WallClock) -> Signal:
    """The reports on all workloads."""
    chance = random.Random(f"kyverno {seed}")  # noqa: S311  a seed, not a secret
    requests = _Reports(cluster, chance, now).requests()
    return Signal("kyverno", requests, first=len(cluster.workloads))


class _Reports:
    """The reports controller's state: the result of each policy for each workload."""

    def __init__(self, cluster: Cluster, chance: random.Random, now: WallClock) -> None:
        self._chance = chance
        self._now = now
        self._workloads = cluster.workloads
        self._verdicts = {one.uid: [self._evaluate() for _ in _POLICIES] for one in self._workloads}
        self._reported: set[str] = set()

    def requests(self) -> Iterator[Request]:
        """Report on every workload once, then change random reports endlessly."""
        for workload in self._workloads:
            yield self._create(workload)
        events = (self._rescanned, self._reevaluated, self._ended)
        while True:
            workload = self._chance.choice(self._workloads)
            (happens,) = self._chance.choices(events, weights=(10, 6, 1))
            yield happens(workload) if workload.uid in self._reported else self._create(workload)

    def _rescanned(self, workload: Workload) -> Request:
        return change(_path(workload), self._results(workload))

    def _reevaluated(self, workload: Workload) -> Request:
        """The workload or a policy was changed."""
        results = self._verdicts[workload.uid]
        policy = self._chance.randrange(len(results))
        results[policy] = "pass" if results[policy] == "fail" else "fail"
        return self._rescanned(workload)

    def _ended(self, workload: Workload) -> Request:
        """No policy matches any more: no result, no report."""
        self._reported.discard(workload.uid)
        return delete(_path(workload))

    def _create(self, workload: Workload) -> Request:
        self._reported.add(workload.uid)
        scope = {
            "apiVersion": "apps/v1",
            "kind": workload.kind,
            "name": workload.name,
            "namespace": workload.namespace,
            "uid": workload.uid,
        }
        owner = {key: scope[key] for key in ("apiVersion", "kind", "name", "uid")}
        body: Object = {
            "apiVersion": API_VERSION,
            "kind": "PolicyReport",
            "metadata": {
                "name": workload.uid,
                "namespace": workload.namespace,
                "labels": {"app.kubernetes.io/managed-by": "kyverno"},
                "ownerReferences": [owner],
            },
            "scope": scope,
        }
        return create(_collection(workload), body | self._results(workload))

    def _results(self, workload: Workload) -> Object:
        verdicts = self._verdicts[workload.uid]
        seconds = int(self._now().timestamp())
        results: list[Object] = [
            {
                "policy": policy,
                "rule": rule,
                "result": result,
                "severity": severity,
                "category": "Pod Security Standards (Restricted)",
                "scored": True,
                "source": "kyverno",
                "message": f"validation error: {text}" if result == "fail" else "rule passed",
                "timestamp": {"seconds": seconds, "nanos": 0},
                "properties": {"process": "background scan"},
            }
            for (policy, rule, severity, text), result in zip(_POLICIES, verdicts, strict=True)
        ]
        counts = Counter(verdicts)
        return {"summary": {each: counts[each] for each in RESULTS}, "results": results}

    def _evaluate(self) -> str:
        return "fail" if self._chance.random() < 0.25 else "pass"  # noqa: PLR2004


def _collection(workload: Workload) -> str:
    return f"/apis/{API_VERSION}/namespaces/{workload.namespace}/policyreports"


def _path(workload: Workload) -> str:
    return f"{_collection(workload)}/{workload.uid}"
