"""Trivy's vulnerability reports, as its operator writes them (trivy-operator: vulnerabilityreport/builder.go).

A report belongs to a ReplicaSet and a container, so its name changes with each rollout. When its time to live is over
it is deleted, and the rescan makes it again: the same name, a new uid. Most rescans find the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from demo.cluster import Cluster, Workload
from demo.signal import Object, Request, Signal, change, create, delete
from operators.flow.clock import WallClock
from operators.model.state import timestamp

API_VERSION = "aquasecurity.github.io/v1alpha1"
FINDINGS_MOST = 6
_LABEL = "trivy-operator"
_SEVERITIES = ("CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN")
_SCORES = {"CRITICAL": 9.8, "HIGH": 7.5, "MEDIUM": 5.3, "LOW": 3.1}
_PACKAGES = (
    ("libssl3", "3.0.15-1", "3.0.15-2", "openssl: out-of-bounds read"),
    ("libc6", "2.36-9", "", "glibc: buffer overflow in iconv"),
    ("zlib1g", "1:1.2.13", "", "zlib: integer overflow in MiniZip"),
    ("libexpat1", "2.5.0-1", "2.5.0-2", "expat: unbounded recursion"),
    ("curl", "7.88.1-10", "7.88.1-12", "curl: use of a freed handle"),
    ("golang.org/x/net", "0.23.0", "0.33.0", "x/net/html: non-linear parsing"),
    ("stdlib", "1.22.4", "1.22.9", "net/http: request smuggling"),
    ("libsqlite3-0", "3.40.1-2", "", "sqlite: heap overflow in sessionReadRecord"),
)


def trivy(cluster: Cluster, seed: int, *, now: WallClock) -> Signal:
    """The reports of all workloads."""
    chance = random.Random(f"trivy {seed}")  # noqa: S311  a seed, not a secret
    requests = _Reports(cluster, chance, now).requests()
    return Signal("trivy", requests, first=len(cluster.workloads))


class _Reports:
    """The operator's state: the scanned revision of each workload, and the findings per revision."""

    def __init__(self, cluster: Cluster, chance: random.Random, now: WallClock) -> None:
        self._chance = chance
        self._now = now
        self._workloads = cluster.workloads
        self._hashes = {one.uid: one.hashes[0] for one in cluster.workloads}
        self._findings = {
            (one.uid, each): self._scan() for one in cluster.workloads for each in one.hashes
        }

    def requests(self) -> Iterator[Request]:
        """Scan every workload once, then change random reports endlessly."""
        for workload in self._workloads:
            yield self._create(workload)
        events = (self._expired, self._found, self._scanned, self._rolled_out)
        while True:
            workload = self._chance.choice(self._workloads)
            (happens,) = self._chance.choices(events, weights=(4, 4, 6, 2))
            yield from happens(workload)

    def _expired(self, workload: Workload) -> Iterator[Request]:
        """Its time to live is over; what the rescan finds is mostly the same."""
        yield delete(self._path(workload))
        if self._chance.random() < 0.2:  # noqa: PLR2004
            self._learn(workload)
        yield self._create(workload)

    def _found(self, workload: Workload) -> Iterator[Request]:
        """The image has one finding more, or one less."""
        self._learn(workload)
        yield change(self._path(workload), {"report": self._report(workload)})

    def _scanned(self, workload: Workload) -> Iterator[Request]:
        """Scanned again: another time stamp, and nothing new."""
        yield change(self._path(workload), {"report": self._report(workload)})

    def _rolled_out(self, workload: Workload) -> Iterator[Request]:
        """Another ReplicaSet is scanned, and the report of the one before it goes."""
        if not workload.is_deployment:
            return
        before = self._path(workload)
        others = [each for each in workload.hashes if each != self._hashes[workload.uid]]
        self._hashes[workload.uid] = self._chance.choice(others)
        yield self._create(workload)
        yield delete(before)

    def _create(self, workload: Workload) -> Request:
        owner_kind, owner = self._owner(workload)
        labels = {
            f"{_LABEL}.container.name": "app",
            f"{_LABEL}.resource.kind": owner_kind,
            f"{_LABEL}.resource.name": owner,
            f"{_LABEL}.resource.namespace": workload.namespace,
        }
        metadata: Object = {
            "name": self._name(workload),
            "namespace": workload.namespace,
            "labels": labels,
            "annotations": {f"{_LABEL}.aquasecurity.github.io/report-ttl": "24h0m0s"},
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": owner_kind,
                    "name": owner,
                    "uid": workload.uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        }
        body = {"apiVersion": API_VERSION, "kind": "VulnerabilityReport", "metadata": metadata}
        return create(_collection(workload), body | {"report": self._report(workload)})

    def _report(self, workload: Workload) -> Object:
        findings = [dict(one) for one in self._findings[self._key(workload)]]
        counts = Counter(one["severity"] for one in findings)
        summary = {f"{each.lower()}Count": counts[each] for each in _SEVERITIES}
        return {
            "updateTimestamp": timestamp(self._now()),
            "registry": {"server": "images.example.com"},
            "artifact": {"repository": workload.image, "tag": workload.tag},
            "os": {"family": "debian", "name": "12.11"},
            "scanner": {"name": "Trivy", "vendor": "Aqua Security", "version": "0.72.0"},
            "summary": summary | {"noneCount": 0},
            "vulnerabilities": findings,
        }

    def _scan(self) -> list[Object]:
        return [self._finding() for _ in range(self._chance.randrange(FINDINGS_MOST))]

    def _finding(self) -> Object:
        package, installed, fixed, title = self._chance.choice(_PACKAGES)
        (severity,) = self._chance.choices(_SEVERITIES, weights=(1, 3, 5, 4, 1))
        score = {"score": _SCORES[severity]} if severity in _SCORES else {}
        number = self._chance.randrange(1000, 60_000)
        return {
            "vulnerabilityID": f"CVE-2026-{number}",
            "resource": package,
            "installedVersion": installed,
            "fixedVersion": fixed,
            "severity": severity,
            **score,
            "title": title,
            "links": [],
            "primaryLink": f"https://avd.aquasec.com/nvd/cve-2026-{number}",
            "publishedDate": "2026-10-02T11:15:00Z",
            "lastModifiedDate": "",
            "target": "",
        }

    def _learn(self, workload: Workload) -> None:
        """The database of vulnerabilities was updated, or a package in the image was."""
        findings = self._findings[self._key(workload)]
        if findings and self._chance.random() < len(findings) / FINDINGS_MOST:
            del findings[self._chance.randrange(len(findings))]
        else:
            findings.append(self._finding())

    def _key(self, workload: Workload) -> tuple[str, str]:
        return workload.uid, self._hashes[workload.uid]

    def _owner(self, workload: Workload) -> tuple[str, str]:
        if workload.is_deployment:
            return "ReplicaSet", f"{workload.name}-{self._hashes[workload.uid]}"
        return workload.kind, workload.name

    def _name(self, workload: Workload) -> str:
        kind, owner = self._owner(workload)
        return f"{kind.lower()}-{owner}-app"

    def _path(self, workload: Workload) -> str:
        return f"{_collection(workload)}/{self._name(workload)}"


def _collection(workload: Workload) -> str:
    return f"/apis/{API_VERSION}/namespaces/{workload.namespace}/vulnerabilityreports"
