"""Kubernetes Events of either API are read into one shape."""

from __future__ import annotations

from typing import Any

import pytest

from operators.decoders.kubernetes_event import KubernetesEventDecoder
from operators.decoders.registry import decoder_for
from operators.flow.clock import utc_now
from operators.model.event import Body, ObjectRef
from operators.model.identity import EventIdentity
from operators.model.observation import Classified, EventEvidence, State
from operators.rules.paths import Projection
from tests.kit.raw_events import EVENTS, object_event

DECODER = KubernetesEventDecoder()
INVOLVED = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "p", "uid": "u"}


def classified(body: dict[str, Any]) -> Classified:
    event = object_event("p.17", body, resource=EVENTS)
    head = Projection(DECODER.head).decode(event.raw)
    return DECODER.classify(event, head, now=utc_now())


def evidence(body: dict[str, Any]) -> EventEvidence:
    found = classified(body).evidence
    assert found is not None
    return found


def test_events_of_both_apis_have_this_decoder() -> None:
    for group in ("", "events.k8s.io"):
        decoder = decoder_for(group, "events")
        assert isinstance(decoder, KubernetesEventDecoder)
        assert decoder.counts_events


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 1),
        ({"count": 0}, 1),
        ({"count": -3}, 1),
        ({"count": None}, 1),
        ({"count": "7"}, 1),
        ({"count": 7}, 7),
        ({"count": 7, "series": {"count": 9}}, 9),
        ({"count": 7, "series": {"count": 0}}, 7),
        ({"count": 7, "series": None}, 7),
        ({"count": 7, "series": []}, 7),
        ({"deprecatedCount": 4}, 4),
        ({"deprecatedCount": 4, "series": {"count": 5}}, 5),
    ],
)
def test_how_often_an_event_happened(body: dict[str, Any], count: int) -> None:
    assert evidence(body).count == count


TIMES: dict[str, Any] = {
    "series": {"lastObservedTime": "series"},
    "lastTimestamp": "last",
    "deprecatedLastTimestamp": "deprecated",
    "eventTime": "event",
    "metadata": {"creationTimestamp": "creation"},
}


def test_when_an_event_happened_last() -> None:
    left, found = dict(TIMES), list[str]()
    for field in TIMES:
        found.append(evidence(left).last_seen)
        left[field] = {} if field in {"series", "metadata"} else None
    found.append(evidence(left).last_seen)
    assert found == ["series", "last", "deprecated", "event", "creation", ""]


@pytest.mark.parametrize(
    ("body", "reporter"),
    [
        ({}, ""),
        ({"source": {"component": "kubelet"}}, "kubelet"),
        ({"deprecatedSource": {"component": "kubelet"}}, "kubelet"),
        ({"source": {"component": "old"}, "reportingComponent": "new"}, "new"),
        ({"source": {"component": "old"}, "reportingController": "new"}, "new"),
        ({"source": {"component": "old"}, "reportingComponent": ""}, "old"),
        ({"source": "kubelet"}, ""),
    ],
)
def test_who_reports_an_event(body: dict[str, Any], reporter: str) -> None:
    assert evidence(body).identity.reporter == reporter


@pytest.mark.parametrize("field", ["involvedObject", "regarding"])
def test_the_subject_is_the_involved_object_and_the_evidence_is_the_events(field: str) -> None:
    found = classified({field: INVOLVED, "reason": "BackOff", "type": "Warning", "count": 3})
    assert found.subject == ObjectRef("v1", "Pod", "shop", "p")
    assert found.evidence == EventEvidence(
        EventIdentity("u", "BackOff", "Warning", ""), "p.17", 3, ""
    )


def test_an_involved_object_without_a_uid_is_known_by_its_name() -> None:
    body = {"involvedObject": INVOLVED | {"uid": ""}}
    assert evidence(body).identity.object == "shop/Pod/p"


def test_an_event_about_nothing_is_about_itself() -> None:
    empty: Body = {"apiVersion": "", "kind": "", "namespace": "", "name": "", "uid": ""}
    bodies: tuple[Body, ...] = ({}, {"involvedObject": {}}, {"involvedObject": empty})
    for body in bodies:
        assert evidence(body).identity.object == "p.17"


def test_an_empty_field_of_one_api_does_not_hide_that_of_the_other() -> None:
    body = {
        "involvedObject": {},
        "regarding": INVOLVED | {"uid": ""},
        "source": {},
        "deprecatedSource": {"component": "kubelet"},
    }
    identity = evidence(body).identity
    assert (identity.object, identity.reporter) == ("shop/Pod/p", "kubelet")


@pytest.mark.parametrize(
    ("kind", "reason", "severity", "category", "event_type", "state"),
    [
        *(
            ("Warning", one, "high", "operations", two, State.PROBLEM)
            for one, two in (
                ("BackOff", "back_off"),
                ("FailedMount", "failed_mount"),
                ("NodeNotReady", "node_not_ready"),
            )
        ),
        *(
            ("Warning", one, "high", "performance", two, State.PROBLEM)
            for one, two in (("Evicted", "evicted"), ("FailedScheduling", "failed_scheduling"))
        ),
        ("Warning", "Unhealthy", "medium", "operations", "unhealthy", State.PROBLEM),
        ("Normal", "Pulled", "info", "operations", "pulled", State.CLEAN),
        ("Normal", "BackOff", "info", "operations", "back_off", State.CLEAN),
        ("", "", "info", "operations", "custom_event", State.PROBLEM),
    ],
)
def test_how_an_event_is_classified(  # noqa: PLR0917  a row of the table
    kind: str, reason: str, severity: str, category: str, event_type: str, state: State
) -> None:
    found = classified({"type": kind, "reason": reason})
    assert (found.severity, found.category, found.event_type, found.state) == (
        *(severity, category, event_type, state),
    )
    assert found.priority == {"high": 0.7, "medium": 0.5, "info": 0.0}[severity]


@pytest.mark.parametrize("field", ["message", "note"])
def test_a_title_has_the_reason_the_object_and_the_message(field: str) -> None:
    body = {"involvedObject": INVOLVED, "reason": "BackOff", field: "Back-off\nrestarting"}
    assert DECODER.title(classified(body), body) == "BackOff Pod p: Back-off restarting"
    assert DECODER.title(classified(body), {"message": 5}) == "BackOff Pod p:"
