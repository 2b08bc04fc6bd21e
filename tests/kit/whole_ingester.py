"""An Ingester that sets every field of the document."""

from __future__ import annotations

from tests.kit.acceptance import GROUP, GVR, Fields, ingester

INFORMER: Fields = {
    "gvr": GVR,
    "namespace": "a",
    "labelSelector": "app in (a,b)",
    "fieldSelector": "metadata.name=a",
    "resyncPeriod": "30m",
}
WEBHOOK: Fields = {
    "path": "/a",
    "port": 80,
    "bufferSize": 5,
    "methods": ["POST"],
    "auth": {"type": "basic", "secretName": "a", "secretRef": "a"},
    "tls": {"enabled": False, "certSecretRef": "a", "minVersion": "1.3"},
    "rateLimit": {"requestsPerSecond": 0.5, "burst": 1, "requestsPerMinute": 30},
}
LOGS: Fields = {
    "podSelector": "app=a",
    "container": "a",
    "patterns": [{"regex": "a", "type": "b", "priority": 1}],
    "pollInterval": "2s",
    "sinceSeconds": 10,
}
SOURCE: Fields = {"type": "logs", "informer": INFORMER, "webhook": WEBHOOK, "logs": LOGS}
MAPPING: Fields = {
    "domain": "custom",
    "type": "a",
    "priority": {"a.b/c": 1},
    "severityMap": {"a": "UNKNOWN"},
    "fieldMapping": [{"from": "a", "to": "b", "transform": "truncate:5"}],
    "resource": {"apiVersion": "v1", "kind": "Pod", "name": "a", "namespace": "b"},
    "resourceExtraction": {
        "strategy": "manual",
        "jsonpath": "{.a}",
        "k8sOwner": {
            "apiVersionField": "a",
            "kindField": "a",
            "nameField": "a",
            "namespaceField": "a",
        },
        "manual": [{"kind": "Pod"}],
    },
    "templates": {"title": "a", "description": "b"},
}
DEDUPLICATION: Fields = {
    "enabled": True,
    "fields": ["a"],
    "strategy": "hybrid",
    "window": "10µs",
    "windowSeconds": 31_536_000,
    "learningRate": 1,
    "minChange": 0,
    "maxEventsPerWindow": 5,
}
FILTERS: Fields = {
    "enabled": True,
    "expression": "is_critical",
    "minSeverity": "LOW",
    "includeSeverity": ["HIGH"],
    "minPriority": 0.5,
    "includeNamespaces": ["a"],
    "excludeNamespaces": ["a"],
    "includeEventTypes": ["a"],
    "excludeEventTypes": ["a"],
    "includeKinds": ["a"],
    "excludeKinds": ["a"],
    "includeCategories": ["a"],
    "excludeCategories": ["a"],
    "ignoreKinds": ["a"],
    "excludeRules": ["a"],
}
THRESHOLDS: Fields = {
    "dedupEffectiveness": {"warning": 0.5, "critical": 1},
    "lowSeverityPercent": {"warning": 0, "critical": 1},
    "observationsPerMinute": {"warning": 1, "critical": 2},
    "custom": [{"name": "a", "field": "b", "operator": "contains", "value": "c", "message": "d"}],
}
FAILURE: Fields = {
    "strategy": "dlq",
    "retry": {"maxAttempts": 5, "backoff": "exponential", "backoffBase": "2s"},
    "dlq": {
        "enabled": True,
        "destination": "a",
        "replay": {
            "enabled": True,
            "interval": "1m",
            "maxBatchSize": 10_000,
            "maxConcurrent": 1000,
            "maxReplayAge": "7d",
            "maxReplayCount": 0,
        },
    },
    "logging": {"includeBody": True, "level": "debug"},
}

WHOLE: Fields = ingester(
    observe="subject",
    onDelete="resolve",
    informer=INFORMER,
    webhook=WEBHOOK,
    logs=LOGS,
    sources=[{"name": "a", **SOURCE}],
    destinations=[
        {
            "type": "crd",
            "name": "a",
            "value": "observations",
            "gvr": {"group": GROUP, "version": "v1", "resource": "observations"},
            "mapping": MAPPING,
        }
    ],
    deduplication=DEDUPLICATION,
    dedup=DEDUPLICATION,
    filters=FILTERS,
    filter=FILTERS,
    processing={
        "order": "filter_first",
        "filter": FILTERS,
        "dedup": DEDUPLICATION,
        "optimization": {"order": "dedup_first"},
    },
    optimization={
        "order": "dedup_first",
        "processing": {"a": {"action": "warn", "warning": 1, "critical": 2, "description": "b"}},
        "thresholds": THRESHOLDS,
    },
    thresholds=THRESHOLDS,
    normalization={
        "domain": "security",
        "type": "a",
        "priority": {"a": 0.1},
        "fieldMapping": MAPPING["fieldMapping"],
    },
    observationTemplate={
        "fieldMapping": [{"from": "a", "to": "a", "constant": "b", "staticMappings": {"c": "d"}}],
        "ttl": "1w",
    },
    rateLimit={"enabled": True, "requestsPerSecond": 1, "burst": 1, "observationsPerMinute": 60},
    ttl={"default": "7d", "min": "1h", "max": "30d"},
    errorHandling=FAILURE,
    buffer={"capacity": 5, "capacityBytes": "1Mi", "inFlight": 2, "whenFull": "block"},
    throttle={"perSecond": 5, "burst": 5, "whenOver": "end"},
    tracing={"enabled": True, "ratio": 0.5, "maxSpansPerSecond": 0, "incoming": "auto"},
)
