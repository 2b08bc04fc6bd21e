"""Observations read back: the same identity, state and window as were written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.model.event import ObjectState
from operators.model.identity import EventIdentity, Identity, IngesterKey, OccurrenceIdentity
from operators.model.observation import Observation
from operators.model.state import StoredObservation
from operators.reconcile import Upsert
from sinks.observations import Owner, manifest, stored_identity
from sinks.resource import validate
from sinks.stored import StoredRecord, decode_stored
from tests.kit.raw_events import EVENTS, object_event, tombstone_event
from tests.unit.sinks.world import (
    MOMENT,
    NOW,
    OWNER,
    T0,
    TRACEPARENT,
    counted,
    observation,
    occurred,
    upsert_of,
)

SUBJECT = Identity(OWNER.ingester, "", "example.org", "widgets", "shop", "a")
EVENT = EventIdentity("uid-x", "BackOff", "Warning", "kubelet")
OPENED = OccurrenceIdentity("digest", "uid-a/7")


def with_identity(value: Observation, identity: Identity) -> Observation:
    value.identity = value.classified.identity = identity
    value.classified.namespace = identity.namespace or identity.ingester.namespace
    return value


def written(value: Observation, *, uid: str = "made", owner: Owner = OWNER) -> dict[str, Any]:
    """The resource as the API server holds it once the value was written."""
    body = manifest(upsert_of(value), owner)
    validate(body)
    body["metadata"] |= {"uid": uid, "resourceVersion": "9", "managedFields": [{"manager": "m"}]}
    return msgspec.json.decode(msgspec.json.encode(body))


def read_back(body: dict[str, Any]) -> StoredRecord:
    record = decode_stored(msgspec.json.encode(body))
    assert record is not None
    return record


IDENTITIES = {
    "subject": SUBJECT,
    "cluster-scoped subject": msgspec.structs.replace(SUBJECT, namespace=""),
    "core group": msgspec.structs.replace(SUBJECT, group="", resource="pods"),
    "entry of several sources": msgspec.structs.replace(SUBJECT, source="second"),
    "part": msgspec.structs.replace(SUBJECT, part="CVE-2026-1"),
    "occurrence": msgspec.structs.replace(SUBJECT, occurrence=OPENED),
    "Kubernetes Event": Identity(OWNER.ingester, "", "", "events", "n", "", event=EVENT),
    "Kubernetes Event of the new group": Identity(
        *(OWNER.ingester, "x", "events.k8s.io", "events", "n", ""),
        event=msgspec.structs.replace(EVENT, class_="crash"),
    ),
    "Kubernetes Event without a reporter": Identity(
        OWNER.ingester, "", "", "events", "n", "", event=EventIdentity("n/Pod/x", "R", "", "")
    ),
}


@pytest.mark.parametrize("identity", IDENTITIES.values(), ids=IDENTITIES)
def test_an_identity_that_is_written_is_read_back(identity: Identity) -> None:
    if identity.event is not None:
        value = counted("a", 3)
    elif identity.occurrence is not None:
        value = occurred()
    else:
        value = observation()
    record = read_back(written(with_identity(value, identity)))
    assert record.identity == identity
    assert hash(record.identity) == hash(identity)


def test_the_versions_stand_beside_the_identity_and_are_no_part_of_it() -> None:
    first, second = (written(observation(version=version)) for version in ("1", "2"))
    fields = first["spec"]["identity"]
    assert (fields["uid"], fields["version"]) == ("uid-x", "1")
    assert second["spec"]["identity"] == fields | {"version": "2"}
    assert read_back(first).identity == read_back(second).identity
    assert read_back(first).object_uid == "uid-x"


def test_of_kubernetes_events_no_uid_is_stored_and_the_newest_is_named() -> None:
    body = written(counted("b", 2))
    assert "uid" not in body["spec"]["identity"]
    assert body["spec"]["identity"]["event"] == {
        "object": "uid-x",
        "reason": "BackOff",
        "type": "Warning",
        "reporter": "kubelet",
        "class": "crash",
        "newest": "b",
    }
    record = read_back(body)
    assert record.object_uid == ""
    assert record.stored.newest == "b"


def test_a_tombstone_has_no_version_to_store() -> None:
    fields = stored_identity(SUBJECT, OWNER, event=tombstone_event("a"), newest="")
    assert set(fields) == {"ingester", "group", "resource", "namespace", "name"}


def test_an_ingester_of_a_file_has_no_uid_and_another_one_does() -> None:
    owner = Owner(IngesterKey("n", "ingester"), 60, uid="of-the-ingester")
    assert written(observation())["spec"]["identity"]["ingester"] == {
        "namespace": "n",
        "name": "ingester",
    }
    live = written(observation(), owner=owner)
    assert live["spec"]["identity"]["ingester"]["uid"] == "of-the-ingester"
    assert read_back(live).identity == read_back(written(observation())).identity


def test_what_is_known_of_a_subject_is_read_back() -> None:
    value = observation()
    change = upsert_of(value)
    change.after.traceparent = TRACEPARENT
    change.after.uid = "made"
    body = manifest(change, OWNER)
    body["metadata"]["uid"] = "made"
    assert read_back(body).stored == change.after
    body["spec"] |= {"resolvedAt": MOMENT, "resolvedReason": "deleted"}
    stored = read_back(body).stored
    assert stored.resolved
    assert not stored.is_open


def test_the_counts_of_kubernetes_events_are_read_back() -> None:
    value = counted("b", 2)
    after = StoredObservation(
        *("f", T0, MOMENT),
        name="x-1",
        evidence={"a": 3, "b": 2},
        base=4,
        newest="b",
    )
    body = manifest(Upsert(value.identity, value, after), OWNER)
    validate(body)
    assert body["spec"]["count"] == 9
    stored = read_back(body).stored
    assert stored == after
    assert stored.count == 9


def test_a_window_is_read_back_with_its_uid_and_its_trace() -> None:
    value = occurred(version="8", start=NOW, seconds=3600.0)
    change = upsert_of(value)
    change.after.traceparent = TRACEPARENT
    body = manifest(change, OWNER)
    validate(body)
    body["metadata"]["uid"] = "made"
    opened = read_back(body).opened
    assert opened is not None
    occurrence, window = opened
    assert (occurrence.uid, occurrence.version) == ("uid-x", "8")
    assert (window.key, window.name) == ("key", change.name)
    assert (window.start, window.end) == (NOW, NOW + timedelta(hours=1))
    assert (window.uid, window.traceparent) == ("made", TRACEPARENT)
    assert read_back(written(observation())).opened is None


def test_a_window_that_is_not_stored_was_long_ago() -> None:
    body = written(occurred())
    del body["spec"]["occurrence"]
    opened = read_back(body).opened
    assert opened is not None
    assert not opened[1].contains(datetime(2000, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"7",
        b'{"metadata":{},"spec":{}}',
        b'{"metadata":{},"spec":{"identity":{}}}',
        b'{"metadata":{},"spec":{"identity":{"ingester":{"namespace":"n"}}}}',
        b'{"metadata":7,"spec":{"identity":{"ingester":{"namespace":"n","name":"i"}}}}',
        b'{"metadata":{"name":"caf\xe9"}}',
        b'{"metadata":{},"spec":{"identity":{"ingester":{"namespace":"n","name":"i"}},"a":'
        + b"[" * 100_000,
    ],
)
def test_what_has_no_readable_identity_is_not_known(raw: bytes) -> None:
    assert decode_stored(raw) is None


def test_only_the_identity_and_a_few_fields_are_decoded() -> None:
    body = written(observation())
    body["spec"]["details"] = {"metadata": {"name": "another", "uid": "another"}}
    body["spec"]["resource"] = {"namespace": "another", "name": "another"}
    record = read_back(body)
    assert record.identity == observation().identity
    assert record.object_uid == "uid-x"


TEXT = st.text(min_size=1, max_size=8)
MAYBE = st.one_of(st.just(""), TEXT)


@given(
    identity=st.builds(
        Identity,
        st.builds(IngesterKey, TEXT, TEXT),
        MAYBE,
        MAYBE,
        TEXT,
        MAYBE,
        MAYBE,
        MAYBE,
        st.none() | st.builds(EventIdentity, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE),
        st.none() | st.builds(OccurrenceIdentity, TEXT, TEXT),
    )
)
def test_any_identity_is_read_back(identity: Identity) -> None:
    event = object_event("a", resource=EVENTS)
    assert isinstance(event.payload, ObjectState)
    owner = Owner(identity.ingester, 60, uid="u")
    fields = stored_identity(identity, owner, event=event, newest="b")
    record = decode_stored(msgspec.json.encode({"metadata": {}, "spec": {"identity": fields}}))
    assert record is not None
    assert record.identity == identity
