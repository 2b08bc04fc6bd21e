"""The Observation as it is sent: one body, one server-side apply, everything that shall stay in it.

An apply removes what it omits, so first seen, the trace of the creating event and the evidence are sent every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from operators.flow.clock import micro_timestamp
from operators.model.identity import LABEL_CHARACTERS, label_value
from operators.model.index import Known
from operators.model.observation import Observation, Occurrence, Subject

API_VERSION = "zen.kube-zen.io/v1alpha1"
INGESTER_LABEL = "zen.kube-zen.io/ingester"
TRACE_ANNOTATION = "tracing.k8s.io/traceparent"
"""KEP-5915's proposal: which trace made the object."""

Manifest = dict[str, Any]


class _Identity(msgspec.Struct, frozen=True):
    uid: str = ""


class _Written(msgspec.Struct, frozen=True):
    metadata: _Identity = _Identity()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose Observations these are, and how long they live once there is nothing to say about them."""

    ingester_namespace: str
    ingester: str
    ttl_seconds: int

    @property
    def label(self) -> str:
        """The value of the label by which our own Observations are found again."""
        return label_value(f"{self.ingester_namespace}.{self.ingester}")


def manifest(observation: Observation, owner: Owner, *, known: Known) -> Manifest:
    """The whole resource for an Observation that is to be as ``known`` says."""
    metadata: Manifest = {
        "name": observation.name,
        "namespace": observation.namespace,
        "labels": {
            "source": source_label(observation.source),
            "category": observation.category,
            "severity": observation.severity,
            INGESTER_LABEL: owner.label,
        },
    }
    if known.traceparent:
        metadata["annotations"] = {TRACE_ANNOTATION: known.traceparent}
    spec: Manifest = {
        "source": observation.source,
        "category": observation.category,
        "severity": observation.severity,
        "eventType": observation.event_type,
        "title": observation.title,
        "detectedAt": known.first_seen,
        "firstSeen": known.first_seen,
        "lastSeen": known.last_seen,
        "resource": _resource(observation.subject),
        "fingerprint": observation.fingerprint,
        "details": observation.details or {},
        "ttlSecondsAfterCreation": owner.ttl_seconds,
    }
    if known.evidence is not None:
        spec |= evidence(known)
    if observation.occurrence is not None:
        spec |= _occurrence(observation.occurrence)
    return {"apiVersion": API_VERSION, "kind": "Observation", "metadata": metadata, "spec": spec}


def source_label(source: str) -> str:
    """The source as a label value: dashes trimmed and cut to 63 characters, as ``^[a-z0-9-]+$`` allows more."""
    return source.strip("-")[:LABEL_CHARACTERS].strip("-")


def evidence(known: Known) -> Manifest:
    """The part of a spec that counts, and what it counts from."""
    return {"count": known.count, "evidence": known.evidence, "evidenceBase": known.base}


def _occurrence(occurrence: Occurrence) -> Manifest:
    """What happened once, what opened its window, and until when its equals are not written."""
    fields = {"opening": occurrence.opening}
    window = occurrence.window
    if window is not None:
        fields["windowStart"] = micro_timestamp(window.start)
        fields["windowEnd"] = micro_timestamp(window.end)
    return {"count": 1, "occurrence": fields}


def amended(read: bytes, changes: Manifest) -> Manifest:
    """The resource as it was read, with other values in its spec, bound to the version that was read.

    A partial apply would be refused (what the schema requires is missing), and a second field manager would leave its
    fields standing for ever. Only the labels and the annotation that are ours are sent on.
    """
    resource = cast("Manifest", msgspec.json.decode(read))
    metadata = cast("Manifest", resource["metadata"])
    ours = ("source", "category", "severity", INGESTER_LABEL)
    labels = cast("Manifest", metadata.get("labels") or {})
    kept: Manifest = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "resourceVersion": metadata["resourceVersion"],
        "labels": {key: labels[key] for key in ours if key in labels},
    }
    traceparent = cast("Manifest", metadata.get("annotations") or {}).get(TRACE_ANNOTATION)
    if traceparent:
        kept["annotations"] = {TRACE_ANNOTATION: traceparent}
    spec = cast("Manifest", resource.get("spec") or {}) | changes
    return {"apiVersion": API_VERSION, "kind": "Observation", "metadata": kept, "spec": spec}


def uid_of(body: bytes) -> str:
    """The uid in the API server's answer to a write, empty where there is none."""
    try:
        return msgspec.json.decode(body, type=_Written).metadata.uid
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def _resource(subject: Subject) -> Manifest:
    fields = {
        "apiVersion": subject.api_version,
        "kind": subject.kind,
        "namespace": subject.namespace,
        "name": subject.name,
    }
    return {key: value for key, value in fields.items() if value}
