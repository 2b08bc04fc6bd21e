"""What rivers tell: objects as their tools write them, by the thousand."""

from __future__ import annotations

import random
from typing import Any

from tests.bench.bed import GROUP, VERSION, line

OBJECTS = 500
KEPT_OF = 10


def report(
    number: int, chance: random.Random, *, severity: str, same: bool, objects: int = OBJECTS
) -> dict[str, Any]:
    """About what a vulnerability report weighs: 4 KB."""
    findings = [
        {
            "vulnerabilityID": f"CVE-2026-{10_000 + (index if same else chance.randrange(9_000))}",
            "resource": chance.choice(["libssl3", "zlib1g", "openssl", "curl", "glibc"]),
            "installedVersion": "3.0.15-1",
            "fixedVersion": "",
            "severity": severity,
            "score": 7.5,
            "title": "openssl: out-of-bounds read in the handling of certificate names",
            "primaryLink": f"https://example.com/advisories/{index}",
            "publishedDate": "2026-10-02T11:15:00Z",
            "lastModifiedDate": "",
            "target": "",
        }
        for index in range(10)
    ]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "River",
        "metadata": {
            "name": f"replicaset-checkout-{number % objects}",
            "namespace": "shop",
            "uid": f"7c0e2f5a-1d43-4a86-9b1e-{number % objects:012d}",
            "resourceVersion": "@VERSION@",
            "labels": {"trivy-operator.resource.kind": "ReplicaSet"},
        },
        "severity": severity,
        "report": {"updateTimestamp": f"{number}", "vulnerabilities": findings},
    }


def kubernetes_event(number: int) -> dict[str, Any]:
    """As a kubelet writes it."""
    name = f"checkout-6bd9f8c7d4-{number % OBJECTS:05d}"
    about = {
        "kind": "Pod",
        "namespace": "shop",
        "name": name,
        "uid": f"7c0e2f5a-1d43-4a86-9b1e-{number % OBJECTS:012d}",
        "apiVersion": "v1",
        "resourceVersion": "1",
        "fieldPath": "spec.containers{checkout}",
    }
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{name}.18eb9a78feb2a078",
            "namespace": "shop",
            "uid": f"8c0e2f5a-1d43-4a86-9b1e-{number % OBJECTS:012d}",
            "resourceVersion": "@VERSION@",
            "creationTimestamp": "2026-11-26T05:00:00Z",
        },
        "involvedObject": about,
        "reason": "BackOff",
        "message": "Back-off restarting failed container checkout in pod " + name,
        "source": {"component": "kubelet", "host": "node-1"},
        "firstTimestamp": "2026-11-26T05:00:00Z",
        "lastTimestamp": "2026-11-26T05:10:00Z",
        "count": number + 1,
        "type": "Warning",
        "eventTime": None,
        "reportingComponent": "kubelet",
        "reportingInstance": "node-1",
    }


def lines(kind: str, count: int) -> list[bytes]:
    """Reports: ``mixed`` (one in ten severe), ``same`` (nothing new of an object), ``new`` (each of another object)."""
    chance = random.Random(1)
    told: list[bytes] = []
    for number in range(count):
        wanted = kind != "mixed" or number % KEPT_OF == 0
        seed = random.Random(number % OBJECTS) if kind == "same" else chance
        severity = "HIGH" if wanted else "LOW"
        objects = count if kind == "new" else OBJECTS
        told.append(
            line(report(number, seed, severity=severity, same=kind == "same", objects=objects))
        )
    return told
