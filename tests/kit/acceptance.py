"""Manifests, and the status with which an API server responds to them: one table for the models and the CRDs.

``reference`` is the response with zen-watcher's CRDs under fieldValidation=Strict; ``ours`` differs where the contract
requires more: both versions are served, and the spellings that its loader reads are fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

GROUP = "zen.kube-zen.io"
CREATED, UNKNOWN_FIELD, NOT_SERVED, INVALID = 201, 400, 404, 422

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A manifest, and the status of the response to its creation."""

    name: str
    manifest: Fields
    reference: int
    ours: int

    @property
    def path(self) -> str:
        """The path of the request that creates it."""
        plural = f"{self.manifest['kind'].lower()}s"
        return f"/apis/{self.manifest['apiVersion']}/namespaces/default/{plural}"


NOW = "2026-11-24T10:00:00Z"
TRIO: Fields = {"category": "security", "severity": "high", "eventType": "vulnerability"}
LEGACY: Fields = {"source": "trivy", "detectedAt": NOW, **TRIO}
SIX: Fields = {
    "domain": "security",
    "type": "vulnerability",
    "priority": 0.8,
    "title": "CVE-2026-1",
    "description": "An example.",
    "detectedAt": NOW,
}
GVR: Fields = {"group": "apps", "version": "v1", "resource": "deployments"}
CRD: Fields = {"type": "crd", "value": "observations"}
MINIMAL: Fields = {
    "source": "deployments",
    "ingester": "informer",
    "informer": {"gvr": GVR},
    "destinations": [CRD],
}


def manifest(kind: str, spec: Fields, *, version: str = "v1alpha1", name: str = "case") -> Fields:
    """A manifest of an Ingester or an Observation."""
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def ingester(**spec: Any) -> Fields:
    """A minimal Ingester with other fields; ``None`` removes one."""
    merged = {key: value for key, value in (MINIMAL | spec).items() if value is not None}
    return manifest("Ingester", merged)


def _observation(name: str, spec: Fields, status: int) -> Case:
    return Case(name, manifest("Observation", spec), status, status)


def _without(spec: Fields, *fields: str) -> Fields:
    return {key: value for key, value in spec.items() if key not in fields}


def _ingester(name: str, reference: int, *, ours: int = 0, **spec: Any) -> Case:
    return Case(name, ingester(**spec), reference, ours or reference)


def _destination(name: str, status: int, **destination: Any) -> Case:
    return _ingester(name, status, destinations=[destination])


OBSERVATIONS = (
    _observation("trio, source, detectedAt", LEGACY, CREATED),
    _observation("no source", _without(LEGACY, "source"), CREATED),
    _observation("no detectedAt", _without(LEGACY, "detectedAt"), CREATED),
    _observation("no category", _without(LEGACY, "category"), INVALID),
    _observation("empty spec", {}, INVALID),
    _observation("severity HIGH", LEGACY | {"severity": "HIGH"}, INVALID),
    _observation("severity unknown", LEGACY | {"severity": "unknown"}, INVALID),
    _observation("category custom", LEGACY | {"category": "custom"}, INVALID),
    _observation("severity info", LEGACY | {"severity": "info"}, CREATED),
    _observation("eventType with a hyphen", LEGACY | {"eventType": "runtime-threat"}, INVALID),
    _observation("source in upper case", LEGACY | {"source": "Trivy"}, INVALID),
    _observation("detectedAt yesterday", LEGACY | {"detectedAt": "yesterday"}, INVALID),
    _observation("ttl 0", LEGACY | {"ttlSecondsAfterCreation": 0}, INVALID),
    _observation("ttl -1", LEGACY | {"ttlSecondsAfterCreation": -1}, INVALID),
    _observation("ttl 1", LEGACY | {"ttlSecondsAfterCreation": 1}, CREATED),
    _observation("unknown spec field", LEGACY | {"colour": "red"}, CREATED),
    _observation("resource", LEGACY | {"resource": {"kind": "Pod", "name": "a"}}, CREATED),
    _observation("resource with uid", LEGACY | {"resource": {"uid": "1"}}, UNKNOWN_FIELD),
    _observation("six", SIX, CREATED),
    _observation("six, no title", _without(SIX, "title"), INVALID),
    _observation("six, priority 1.1", SIX | {"priority": 1.1}, INVALID),
    _observation("six, priority a whole number", SIX | {"priority": 1}, CREATED),
    _observation("six, type with a hyphen", SIX | {"type": "run-time"}, INVALID),
    _observation("six, domain custom", SIX | {"domain": "custom"}, CREATED),
    _observation("expiresAt null", LEGACY | {"expiresAt": None}, CREATED),
    _observation("raw", LEGACY | {"raw": {"a": {"b": [1, None, "c"]}}}, CREATED),
    _observation("resources", LEGACY | {"resources": [{"kind": "Pod"}]}, CREATED),
    _observation("deep details", LEGACY | {"details": {"a": {"b": [None, {"c": None}]}}}, CREATED),
    Case("v1", manifest("Observation", LEGACY, version="v1"), NOT_SERVED, CREATED),
    _observation("details a list", LEGACY | {"details": []}, INVALID),
    _observation(
        "evidence", LEGACY | {"evidence": {"a.1": 3}, "evidenceBase": 1, "count": 4}, CREATED
    ),
    Case(
        "evidence of text",
        manifest("Observation", LEGACY | {"evidence": {"a.1": "3"}}),
        CREATED,
        INVALID,
    ),
    Case("count -1", manifest("Observation", LEGACY | {"count": -1}), CREATED, INVALID),
)

INGESTERS = (
    _ingester("minimal", CREATED),
    _ingester("no informer", CREATED, informer=None),
    _ingester("source in upper case", INVALID, source="Invalid_Source"),
    _ingester("ingester k8s-events", INVALID, ingester="k8s-events"),
    _ingester("ingester configmap", INVALID, ingester="configmap"),
    _destination("destination webhook", INVALID, type="webhook", value="observations"),
    _ingester("no destination", INVALID, destinations=[]),
    _destination("neither value nor gvr", INVALID, type="crd"),
    _destination("empty value", INVALID, type="crd", value=""),
    _destination(
        "gvr alone", CREATED, type="crd", gvr={"version": "v1", "resource": "observations"}
    ),
    _ingester("gvr without group", INVALID, informer={"gvr": _without(GVR, "group")}),
    _ingester("the core group", CREATED, informer={"gvr": GVR | {"group": ""}}),
    _ingester("window 24h", CREATED, deduplication={"window": "24h"}),
    _ingester("window 7d", INVALID, deduplication={"window": "7d"}),
    _ingester("window 1h30m", INVALID, deduplication={"window": "1h30m"}),
    _ingester("strategy event-stream", INVALID, deduplication={"strategy": "event-stream"}),
    _ingester("order auto", INVALID, optimization={"order": "auto"}),
    _ingester("auth hmac", INVALID, webhook={"auth": {"type": "hmac"}}),
    _ingester("port 0", INVALID, webhook={"port": 0}),
    _ingester("minPriority 2", INVALID, filters={"minPriority": 2}),
    _ingester("minPriority 1", CREATED, filters={"minPriority": 1}),
    _ingester("minSeverity high", INVALID, filters={"minSeverity": "high"}),
    _destination("severityMap high", INVALID, **CRD, mapping={"severityMap": {"a": "high"}}),
    _destination("severityMap HIGH", CREATED, **CRD, mapping={"severityMap": {"a": "HIGH"}}),
    _ingester(
        "filters.expression", UNKNOWN_FIELD, ours=CREATED, filters={"expression": "is_critical"}
    ),
    _ingester(
        "processing", UNKNOWN_FIELD, ours=CREATED, processing={"order": "dedup_first", "dedup": {}}
    ),
    _ingester("normalization", UNKNOWN_FIELD, ours=CREATED, normalization={"type": "a"}),
    _ingester("filter, dedup", UNKNOWN_FIELD, ours=CREATED, filter={}, dedup={}),
    _ingester(
        "secretRef", UNKNOWN_FIELD, ours=CREATED, webhook={"auth": {"secretRef": "a"}, "path": "/a"}
    ),
    _ingester("ttl 30d", CREATED, ttl={"default": "30d"}),
    _ingester(
        "maxReplayAge 7d", CREATED, errorHandling={"dlq": {"replay": {"maxReplayAge": "7d"}}}
    ),
    _ingester("interval 7d", INVALID, errorHandling={"dlq": {"replay": {"interval": "7d"}}}),
    _ingester("no sources", INVALID, sources=[]),
    _ingester("source name A_b", INVALID, sources=[{"name": "A_b", "type": "logs"}]),
    _ingester(
        "sources alone",
        INVALID,
        ours=CREATED,
        source=None,
        ingester=None,
        sources=[{"name": "a", "type": "logs"}],
    ),
    _ingester("neither source nor sources", INVALID, source=None),
    _ingester("rate 0", CREATED, rateLimit={"requestsPerSecond": 0}),
    _ingester("rate 0.05", INVALID, rateLimit={"requestsPerSecond": 0.05}),
    _ingester("unknown field", UNKNOWN_FIELD, colour="red"),
    _ingester("text for a number", INVALID, webhook={"port": "80"}),
    Case("v1", manifest("Ingester", MINIMAL, version="v1"), NOT_SERVED, CREATED),
    _ingester(
        "observe, onDelete", UNKNOWN_FIELD, ours=CREATED, observe="subject", onDelete="delete"
    ),
    _ingester("onDelete keep", UNKNOWN_FIELD, ours=INVALID, onDelete="keep"),
    _ingester(
        "buffer",
        UNKNOWN_FIELD,
        ours=CREATED,
        buffer={"capacity": 10, "capacityBytes": "1Gi", "inFlight": "adaptive"},
    ),
    _ingester(
        "buffer in numbers",
        UNKNOWN_FIELD,
        ours=CREATED,
        buffer={"capacityBytes": 1_000_000, "inFlight": 8},
    ),
    _ingester("buffer 64 MB", UNKNOWN_FIELD, ours=INVALID, buffer={"capacityBytes": "64 MB"}),
    _ingester("inFlight 0", UNKNOWN_FIELD, ours=INVALID, buffer={"inFlight": 0}),
    _ingester("inFlight many", UNKNOWN_FIELD, ours=INVALID, buffer={"inFlight": "many"}),
    _ingester("throttle", UNKNOWN_FIELD, ours=CREATED, throttle={"perSecond": 0.5, "burst": 2}),
    _ingester("throttle 0", UNKNOWN_FIELD, ours=INVALID, throttle={"perSecond": 0}),
    _ingester("tracing", UNKNOWN_FIELD, ours=CREATED, tracing={"ratio": 1, "incoming": "link"}),
)
