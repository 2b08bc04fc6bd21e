"""Classified events, Observations and removals as the stages before an operator would have made them."""

from __future__ import annotations

from typing import Any

from operators.decode import PipelineOrigin
from operators.model.event import ObjectRef, RemovalReason
from operators.model.identity import EventIdentity, Identity, IngesterKey
from operators.model.observation import Classified, EventEvidence, Observation, Occurrence, Removal
from operators.model.state import StoredObservation
from tests.kit.raw_events import EVENTS, WIDGETS, object_event

INGESTER = IngesterKey("n", "i")
ORIGIN = PipelineOrigin(INGESTER, "widgets")
T0 = "2026-11-20T05:59:30Z"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WIDGET = Identity(INGESTER, "", WIDGETS.group, WIDGETS.resource, "shop", "w")
BACKOFF = EventIdentity("pod-uid", "BackOff", "Warning", "kubelet")
BACKOFFS = Identity(INGESTER, "", "", "events", "shop", "", event=BACKOFF)


def classified_of(identity: Identity = WIDGET, **fields: Any) -> Classified:
    """A classified event of the identified object; ``fields`` replace what the decoder decided."""
    resource = EVENTS if identity.event is not None else WIDGETS
    name = identity.name or "pod"
    given: dict[str, Any] = {
        "event": object_event(name, resource=resource, namespace=identity.namespace),
        "subject": ObjectRef("v1", "Pod", identity.namespace, name),
        "severity": "high",
        "identity": identity,
        "namespace": identity.namespace or identity.ingester.namespace,
        "source": "widgets",
    }
    return Classified(**given | fields)


def observation_of(
    identity: Identity = WIDGET,
    *,
    fingerprint: str = "f",
    resync: bool = False,
    evidence: EventEvidence | None = None,
    occurrence: Occurrence | None = None,
    classified: Classified | None = None,
) -> Observation:
    """An Observation as ``describe`` makes it."""
    one = classified or classified_of(identity)
    one.evidence, one.is_occurrence = evidence, occurrence is not None
    return Observation(
        one,
        identity,
        one.namespace,
        "a title",
        fingerprint,
        {},
        resync=resync,
        occurrence=occurrence,
    )


def counted_event(
    name: str = "pod.1", count: int = 1, last_seen: str = T0, **fields: Any
) -> Observation:
    """The Observation of a Kubernetes Event."""
    evidence = EventEvidence(BACKOFF, name, count, last_seen)
    return observation_of(BACKOFFS, evidence=evidence, **fields)


def removal_of(
    reason: RemovalReason = RemovalReason.DELETED, *, rule: str = "", identity: Identity = WIDGET
) -> Removal:
    """The removal of the identified object."""
    subject = ObjectRef("v1", "Pod", identity.namespace, identity.name)
    return Removal(identity, identity.namespace, subject, reason, rule)


def stored_of(fingerprint: str = "f", last_seen: str = T0, **fields: Any) -> StoredObservation:
    """An Observation as the API server confirmed it."""
    return StoredObservation(fingerprint, T0, last_seen, name="x", uid="x-uid", **fields)
