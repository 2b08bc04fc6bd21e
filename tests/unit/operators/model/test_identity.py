"""Identities, and the names and labels that outlive the code that made them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields, replace
from reactivex.subject import Subject

from operators.decode import PipelineOrigin, classify
from operators.decoders.registry import decoder_for
from operators.flow.clock import utc_now
from operators.flow.delivery import Admission, Delivery, Ledger, deliver
from operators.model.event import ApiResource, RawEvent
from operators.model.identity import (
    LABEL_CHARACTERS,
    EventIdentity,
    Identity,
    IngesterKey,
    OccurrenceIdentity,
    canonical,
    digest,
    ingester_label,
    label_value,
    observation_name,
)
from operators.model.observation import Classified, Removal
from operators.model.outcome import STOPPED
from tests.kit.raw_events import EVENTS, WIDGETS, object_event, tombstone_event

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
"""apimachinery, validation.IsDNS1123Label; at most 63 characters."""
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
"""apimachinery, validation.IsValidLabelValue; at most 63 characters."""
DIGEST = re.compile(r"[a-z2-7]{12}")

REPORT = Identity(
    IngesterKey("default", "trivy"),
    "",
    "aquasecurity.github.io",
    "vulnerabilityreports",
    "shop",
    "replicaset-checkout-5d9",
)
EVENT = Identity(
    *(IngesterKey("default", "events"), "", "", "events", "shop", ""),
    event=EventIdentity("4be0643f", "BackOff", "Warning", "kubelet"),
)
OCCURRENCE = Identity(
    *(IngesterKey("default", "falco"), "second", "", "pods", "shop", "checkout"),
    part="app",
    occurrence=OccurrenceIdentity("0a1b2c3d", "4be0643f/17"),
)


@pytest.mark.parametrize("characters", [2, 12, 20, 32, 50])
@pytest.mark.parametrize("value", ["", "a", ["shop", "checkout", "ü"], {"b": 1, "a": None}])
def test_a_digest_is_the_base32_of_a_sha_256(value: object, characters: int) -> None:
    whole = base64.b32encode(hashlib.sha256(canonical(value)).digest()).decode().lower()
    assert digest(value, characters=characters) == whole[:characters]


def test_equal_values_are_equal_bytes_whatever_the_order_of_their_keys() -> None:
    assert canonical({"b": [1, "ü"], "a": None}) == '{"a":null,"b":[1,"ü"]}'.encode()
    assert canonical({"a": None, "b": [1, "ü"]}) == canonical({"b": [1, "ü"], "a": None})


@pytest.mark.parametrize(
    ("identity", "readable", "name"),
    [
        (REPORT, "replicaset-checkout-5d9", "replicaset-checkout-5d9-e35tchszkh3r"),
        (EVENT, "checkout-5d9-x7k", "checkout-5d9-x7k-75xfbut7227r"),
        (OCCURRENCE, "checkout", "checkout-ecjkagu7h4ar"),
    ],
)
def test_the_name_of_an_identity_stays(identity: Identity, readable: str, name: str) -> None:
    # A change of any of these makes a second Observation of everything that a cluster stores.
    assert observation_name(identity, readable=readable) == name


def variants(identity: Identity) -> dict[str, Identity]:
    """The identity with one field changed, by the field's name, fields of its parts included."""
    changed: dict[str, Identity] = {}
    for field in fields(Identity):
        value: Any = getattr(identity, field.name)
        if isinstance(value, str):
            changed[field.name] = replace(identity, **{field.name: f"{value}2"})
        elif value is not None:
            for inner in fields(value):
                other = replace(value, **{inner.name: f"{getattr(value, inner.name)}2"})
                changed[f"{field.name}.{inner.name}"] = replace(identity, **{field.name: other})
    return changed


@pytest.mark.parametrize("identity", [REPORT, EVENT, OCCURRENCE])
def test_a_name_changes_with_every_field_of_the_identity(identity: Identity) -> None:
    names = {
        field: observation_name(one, readable="w") for field, one in variants(identity).items()
    }
    names["nothing"] = observation_name(identity, readable="w")

    assert len(set(names.values())) == len(names)


def test_the_identity_is_what_stands_here_and_nothing_that_changes_with_the_object() -> None:
    # No uid, version or resourceVersion of the object, no uid of the Ingester, no newest Event.
    assert {*variants(REPORT), *variants(EVENT), *variants(OCCURRENCE)} == {
        *("ingester.namespace", "ingester.name", "source", "group", "resource"),
        *("namespace", "name", "part"),
        *("event.object", "event.reason", "event.type", "event.reporter", "event.class_"),
        *("occurrence.key", "occurrence.opened"),
    }


def test_an_empty_field_is_not_hashed_so_that_a_later_field_changes_no_name() -> None:
    explicit = replace(REPORT, part="", event=None, occurrence=None)
    bare = {
        "ingester": {"namespace": "default", "name": "trivy"},
        "group": "aquasecurity.github.io",
        "resource": "vulnerabilityreports",
        "namespace": "shop",
        "name": "replicaset-checkout-5d9",
    }
    expected = digest(bare, characters=12)
    assert observation_name(explicit, readable="r") == f"r-{expected}"


def classified_identity(event: RawEvent, *, resource: ApiResource, source: str = "s") -> Identity:
    passed: list[Delivery[Classified | Removal]] = []
    admissions = Subject[Admission]()
    origin = PipelineOrigin(IngesterKey("n", "i"), source)
    decoder = decoder_for(resource.group, resource.resource)
    admissions.pipe(
        deliver(Ledger(), clock=lambda: 0), classify(origin, decoder, now=utc_now)
    ).subscribe(passed.append)
    admissions.on_next(Admission(event))
    (delivery,) = passed
    delivery.settle(STOPPED)
    assert delivery.value.identity is not None
    return delivery.value.identity


def test_a_subject_that_was_made_again_is_the_same_in_every_version_and_content() -> None:
    newer = ApiResource("example.org", "v2", "widgets", "Widget", namespaced=True)
    events = [
        object_event("w"),
        object_event("w", uid="made again", version="99", initial=True),
        object_event("w", {"severity": "critical", "spec": 1}),
        object_event("w", resource=newer),
        tombstone_event("w"),
    ]
    identities = {classified_identity(event, resource=WIDGETS) for event in events}
    assert len(identities) == 1
    assert classified_identity(events[0], resource=WIDGETS, source="renamed") in identities
    assert classified_identity(object_event("v"), resource=WIDGETS) not in identities


def test_the_events_of_one_object_reason_type_and_reporter_are_one() -> None:
    body = {
        "involvedObject": {"uid": "u", "kind": "Pod", "name": "p", "namespace": "shop"},
        "reason": "BackOff",
        "type": "Warning",
        "reportingComponent": "kubelet",
    }
    event = object_event("p.1", body, resource=EVENTS)
    same = [
        object_event("p.2", body | {"count": 9}, resource=EVENTS, uid="another", version="7"),
        object_event("p.1", body | {"message": "other", "lastTimestamp": "t"}, resource=EVENTS),
    ]
    first = classified_identity(event, resource=EVENTS)
    assert [classified_identity(one, resource=EVENTS) for one in same] == [first, first]
    assert first.event == EventIdentity("u", "BackOff", "Warning", "kubelet")
    for field, value in (
        ("involvedObject", {"uid": "v"}),
        ("reason", "Killing"),
        ("type", "Normal"),
        ("reportingComponent", "scheduler"),
    ):
        other = object_event("p.1", body | {field: value}, resource=EVENTS)
        assert classified_identity(other, resource=EVENTS) != first


@pytest.mark.parametrize(
    ("readable", "part"),
    [
        ("checkout", "checkout"),
        ("Check Out.V2", "check-out-v2"),
        ("a" * 24, "a" * 24),
        ("a" * 25, "a" * 24),
        ("a" * 23 + "-b", "a" * 23),
        ("a" * 23 + "..b", "a" * 23),
        ("--x--", "x"),
        ("system:node:a_b", "system-node-a-b"),
        ("", "obs"),
        ("...", "obs"),
        ("日本", "obs"),
        ("ü-ber", "ber"),
        ("Straße 9", "stra-e-9"),
    ],
)
def test_the_readable_part_is_a_dns_label_of_at_most_24_characters(
    readable: str, part: str
) -> None:
    start, _, end = observation_name(REPORT, readable=readable).rpartition("-")
    assert start == part
    assert DIGEST.fullmatch(end)


@given(st.text())
def test_any_text_makes_a_legal_name_and_only_the_identity_its_digest(readable: str) -> None:
    name = observation_name(REPORT, readable=readable)
    assert DNS_LABEL.fullmatch(name)
    assert len(name) <= 24 + 1 + 12
    assert name[-12:] == observation_name(REPORT, readable="w")[-12:]


@pytest.mark.parametrize(
    "text", ["", "trivy", "CRITICAL", "a.b_c-D", "0", "x" * LABEL_CHARACTERS, "v1.2.3"]
)
def test_a_legal_label_value_stays_as_it_is(text: str) -> None:
    assert label_value(text) == text


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("-leading", "leading-"),
        ("--", ""),
        ("trailing.", "trailing-"),
        ("_", ""),
        ("two words", "two-words-"),
        ("Größe", "Gr--e-"),
        ("x" * 64, "x" * 42 + "-"),
        ("x" * 41 + "-" * 23 + "y", "x" * 41 + "-"),
        ("-" * 64, ""),
        ("\n", ""),
    ],
)
def test_what_is_no_label_value_is_cleaned_cut_and_ended_by_a_digest(text: str, start: str) -> None:
    value = label_value(text)
    assert LABEL_VALUE.fullmatch(value)
    assert len(value) <= LABEL_CHARACTERS
    assert value == start + digest(text, characters=20)


@given(st.text(), st.text())
def test_any_text_makes_a_legal_label_value_of_its_own(one: str, other: str) -> None:
    value = label_value(one)
    assert LABEL_VALUE.fullmatch(value)
    assert len(value) <= LABEL_CHARACTERS
    assert (value == label_value(other)) is (one == other)


def test_the_label_of_an_ingester_names_it_and_is_cut_with_a_digest() -> None:
    assert ingester_label(IngesterKey("default", "trivy")) == "default.trivy"
    long = IngesterKey("n" * 40, "a" * 40)
    assert ingester_label(long) == "n" * 40 + ".a-" + digest(
        f"{'n' * 40}.{'a' * 40}", characters=20
    )
    assert ingester_label(long) != ingester_label(IngesterKey("n" * 40, "a" * 41))
    assert str(IngesterKey("default", "trivy")) == "default/trivy"
