"""What is read of any object: its own severity and priority, and a title that names it and one fact."""

from __future__ import annotations

from typing import Any

import pytest

from operators.decoders.generic import TITLE_CHARACTERS, GenericDecoder, cut_title
from operators.decoders.registry import decoder_for
from operators.flow.clock import utc_now
from operators.model.event import ObjectRef
from operators.model.observation import Classified, State
from operators.rules.paths import Projection
from tests.kit.raw_events import object_event

DECODER = GenericDecoder()
POD = ObjectRef("v1", "Pod", "shop", "a")


def classified(body: dict[str, Any]) -> Classified:
    event = object_event("w", body)
    head = Projection(DECODER.head).decode(event.raw)
    return DECODER.classify(event, head, now=utc_now())


def title(body: dict[str, Any], subject: ObjectRef = POD) -> str:
    return DECODER.title(Classified(object_event("a"), subject), body)


def test_what_has_no_decoder_of_its_own_is_read_by_its_common_fields() -> None:
    for group, resource in (("", "pods"), ("example.org", "events"), ("x", "widgets")):
        decoder = decoder_for(group, resource)
        assert isinstance(decoder, GenericDecoder)
        assert not decoder.counts_events


@pytest.mark.parametrize(
    ("body", "severity", "priority"),
    [
        ({}, "medium", 0.5),
        ({"severity": "CRITICAL"}, "critical", 0.9),
        ({"severity": "Error", "priority": "Warning"}, "high", 0.7),
        ({"priority": "Emergency"}, "critical", 0.9),
        ({"priority": "unheard of"}, "info", 0.0),
        ({"severity": 3}, "medium", 0.5),
        ({"severity": None, "priority": 0.25}, "medium", 0.25),
        ({"severity": "LOW", "priority": 1}, "low", 1.0),
        ({"severity": "LOW", "priority": 2}, "low", 0.2),
        ({"severity": {"a": 1}, "priority": ["High"]}, "medium", 0.5),
    ],
)
def test_severity_and_priority_of_an_object(
    body: dict[str, Any], severity: str, priority: float
) -> None:
    found = classified(body)
    assert (found.severity, found.priority) == (severity, priority)
    assert (found.state, found.category, found.event_type) == (
        *(State.UNKNOWN, "security", "custom_event"),
    )
    assert (found.subject, found.recheck_at, found.evidence) == (found.event.subject, None, None)


@pytest.mark.parametrize(
    ("condition", "fact"),
    [
        ({"type": "Ready", "status": "False", "reason": "ImagePullBackOff"}, "Ready=False, Image"),
        ({"type": "Available", "status": "Unknown"}, "Available=Unknown"),
        ({"type": "Ready", "status": "True"}, "Running"),
        ({"type": "Progressing", "status": "False"}, "Running"),
        ({"type": ["x"]}, "Running"),
        ({"type": "Ready", "status": {"a": 1}}, "Running"),
        ("none", "Running"),
    ],
)
def test_conditions_of_any_form(condition: object, fact: str) -> None:
    body = {"status": {"conditions": [condition], "phase": "Running"}}
    assert title(body).startswith(f"Pod shop/a: {fact}")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, "Pod shop/a"),
        ({"message": "it broke"}, "Pod shop/a: it broke"),
        ({"message": 5, "status": {"phase": "Failed"}}, "Pod shop/a: Failed"),
        (
            {"summary": {"criticalCount": 1, "highCount": 0, "low": 2, "x": True, "y": "3"}},
            "Pod shop/a: 1 critical, 2 low",
        ),
        ({"report": {"summary": {"fail": 3}}}, "Pod shop/a: 3 fail"),
        ({"message": "m", "summary": {"fail": 3}}, "Pod shop/a: m"),
        ({"summary": [], "report": 1, "status": {"conditions": {}, "phase": []}}, "Pod shop/a"),
    ],
)
def test_a_title_names_the_object_and_the_first_fact(body: dict[str, Any], expected: str) -> None:
    assert title(body) == expected


def test_what_has_no_namespace_is_named_alone() -> None:
    assert title({}, ObjectRef("v1", "Node", "", "n1")) == "Node n1"


def test_a_title_is_one_line_of_bounded_length() -> None:
    assert cut_title(" a\n\tb  c ") == "a b c"
    assert cut_title("x" * TITLE_CHARACTERS) == "x" * TITLE_CHARACTERS
    assert cut_title("x" * (TITLE_CHARACTERS + 1)) == "x" * (TITLE_CHARACTERS - 1) + "…"
    assert len(title({"message": "long\n" * 1000})) == TITLE_CHARACTERS == 256
