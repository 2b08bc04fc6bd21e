"""What the executor sends and reads, and what an Observation keeps from write to write."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from operators.model.event import RemovalReason
from operators.model.observation import Observation
from operators.model.outcome import Ending, Outcome
from operators.model.state import StoredObservation
from operators.reconcile import ReconcilePolicy
from sinks.observations import Owner, amended, manifest, uid_of
from sinks.responses import WriteResponse
from tests.kit.doubles import CREATED, OK, UNANSWERED
from tests.unit.sinks.world import (
    MOMENT,
    NOT_FOUND,
    OWNER,
    QUOTA,
    SECOND,
    T0,
    TRACEPARENT,
    World,
    counted,
    observation,
    occurred,
    read_of,
    removal,
    run,
    stored_of,
    upsert_of,
)

CONFLICT = WriteResponse(409, reason="Conflict")
LATER = "2026-11-20T07:00:00Z"


def test_created_then_updated_keeps_when_it_was_first_seen() -> None:
    async def scene() -> None:
        world = World(CREATED, OK)
        assert (await world.end(observation())).operation == "created"
        world.state.put(observation().identity, stored_of(observation()))
        assert (await world.end(observation(fingerprint="g"))).operation == "updated"
        assert world.specs[1]["firstSeen"] == T0
        assert world.specs[1]["lastSeen"] == MOMENT
        assert world.verbs == ["apply", "apply"]

    run(scene)


def test_a_retried_write_is_the_same_write() -> None:
    async def scene() -> None:
        world = World(UNANSWERED, OK)
        outcome = await world.end(observation())
        assert outcome.ending is Ending.STORED
        assert world.writer.bodies[0] == world.writer.bodies[1]
        assert world.known(observation()).fingerprint == "f"

    run(scene)


def test_a_retried_write_keeps_the_first_moment_it_was_tried() -> None:
    async def scene() -> None:
        world = World(UNANSWERED, WriteResponse(503), OK, random=1.0)
        world.wall_moves = True
        assert (await world.end(observation())).ending is Ending.STORED
        assert {spec["firstSeen"] for spec in world.specs} == {MOMENT}

    run(scene)


def test_the_uid_is_learnt_from_the_first_response_that_has_it() -> None:
    async def scene() -> None:
        world = World(
            WriteResponse(201, b'{"metadata":{"uid":"one"}}'), WriteResponse(200, b"not read")
        )
        await world.end(observation())
        assert world.known(observation()).uid == "one"
        await world.end(observation(fingerprint="g"))
        assert world.known(observation()).uid == "one"

    run(scene)


def test_the_uid_of_what_was_created_anew_replaces_the_one_that_was_known() -> None:
    async def scene() -> None:
        world = World(WriteResponse(201, b'{"metadata":{"uid":"anew"}}'))
        world.state.put(observation().identity, stored_of(observation(), uid="before"))
        await world.end(observation(fingerprint="g"))
        assert world.known(observation()).uid == "anew"

    run(scene)


def test_the_uid_is_learnt_from_an_update_where_it_is_not_known() -> None:
    async def scene() -> None:
        world = World(WriteResponse(200, b'{"metadata":{"uid":"one"}}'))
        await world.end(observation())
        assert world.known(observation()).uid == "one"

    run(scene)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"metadata":7}', b'{"metadata":{"uid":"\xe9"}}']
)
def test_a_response_without_a_uid_is_no_defect(body: bytes) -> None:
    assert uid_of(body) == ""


def test_resolving_reads_writes_the_whole_and_reads_again_after_a_conflict() -> None:
    async def scene() -> None:
        value = observation()
        stored = stored_of(value, traceparent=TRACEPARENT)
        world = World(read_of(value, stored), CONFLICT, read_of(value, stored, version="8"), OK)
        world.state.put(value.identity, stored)
        outcome = await world.end(removal(reason=RemovalReason.LEFT_SELECTOR))
        assert outcome.operation == "resolved"
        name = f"n/{stored.name}"
        assert world.writer.asked == [(verb, name) for verb in ("read", "apply", "read", "apply")]
        assert world.slept == [0.0]
        first, sent = world.bodies
        assert first["metadata"]["resourceVersion"] == "7"
        assert sent["metadata"]["resourceVersion"] == "8"
        whole = msgspec.json.decode(read_of(value, stored).body)
        del whole["metadata"]["uid"]
        assert sent["metadata"] == whole["metadata"] | {"resourceVersion": "8"}
        resolution = {"resolvedAt": MOMENT, "resolvedReason": "left_selector"}
        assert sent["spec"] == whole["spec"] | resolution
        again = await world.end(removal())
        assert (again.ending, again.reason) == (Ending.FILTERED, "nothing to resolve")

    run(scene)


@pytest.mark.parametrize("deletes", [False, True])
def test_what_a_filter_no_longer_wants_is_resolved_by_the_rules_name(deletes: bool) -> None:  # noqa: FBT001
    async def scene() -> None:
        value = observation()
        world = World(read_of(value, stored_of(value)), OK, policy=ReconcilePolicy(deletes=deletes))
        world.state.put(value.identity, stored_of(value))
        unwanted = removal(reason=RemovalReason.FILTERED, rule="minSeverity HIGH")

        assert await world.end(unwanted) == Outcome(
            Ending.STORED, "minSeverity HIGH", operation="resolved"
        )
        assert world.specs[-1]["resolvedReason"] == "minSeverity HIGH"
        assert not world.state.is_open(value.identity)

    run(scene)


@pytest.mark.parametrize("response", [OK, WriteResponse(202, b"{}"), NOT_FOUND])
def test_deleting_instead_of_resolving(response: WriteResponse) -> None:
    async def scene() -> None:
        world = World(response, policy=ReconcilePolicy(deletes=True))
        world.state.put(observation().identity, stored_of(observation()))
        assert (await world.end(removal())).operation == "deleted"
        assert world.state.get(observation().identity) is None
        assert world.writer.asked == [("delete", f"n/{stored_of(observation()).name}")]

    run(scene)


def test_a_subject_that_came_back_is_resolved_no_more() -> None:
    async def scene() -> None:
        world = World(OK)
        value = observation()
        world.state.put(value.identity, stored_of(value, resolved=True, traceparent=TRACEPARENT))
        await world.end(value)
        (body,) = world.bodies
        assert "resolvedAt" not in body["spec"]
        assert body["spec"]["firstSeen"] == T0
        assert body["metadata"]["annotations"] == {"tracing.k8s.io/traceparent": TRACEPARENT}
        assert not world.known(value).resolved

    run(scene)


def test_what_the_server_would_refuse_is_not_sent() -> None:
    async def scene() -> None:
        world = World()
        outcome = await world.end(observation(severity="dreadful"))
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "invalid")
        assert outcome.detail.startswith("spec.severity: found 'dreadful', allowed: ")
        assert world.writer.asked == []

    run(scene)


def test_one_that_is_not_sent_leaves_what_is_known_and_suspended() -> None:
    async def scene() -> None:
        world = World(QUOTA)
        suspended = (await world.end(observation("y"))).suspension
        assert suspended is not None
        world.now_ns += 31 * SECOND
        world.state.put(observation().identity, stored_of(observation()))
        outcome = await world.end(observation(severity="worst", fingerprint="g"))
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "invalid")
        assert world.known(observation()) == stored_of(observation())
        assert suspended.is_open

    run(scene)


def test_an_older_event_only_adds_to_the_evidence() -> None:
    async def scene() -> None:
        older = counted("a", 3, last_seen=MOMENT)
        stored = stored_of(counted("b", 2), evidence={"b": 2}, last_seen=LATER, newest="b")
        world = World(read_of(counted("b", 2), stored), OK)
        world.state.put(older.identity, stored)
        assert (await world.end(older)).operation == "updated"
        (spec,) = world.specs
        assert (spec["count"], spec["evidence"]) == (5, {"a": 3, "b": 2})
        assert spec["source"] == "s"
        assert spec["lastSeen"] == LATER
        counted_before = await world.end(counted("a", 3, last_seen=MOMENT))
        assert counted_before.ending is Ending.DEDUPLICATED
        assert world.verbs == ["read", "apply"]

    run(scene)


def test_an_event_of_the_same_second_with_a_fraction_is_the_newer_one() -> None:
    async def scene() -> None:
        newer = counted("a", 3, last_seen="2026-11-20T06:00:00.900000Z")
        world = World(OK)
        world.state.put(
            newer.identity, stored_of(newer, evidence={"b": 2}, last_seen=MOMENT, newest="b")
        )
        await world.end(newer)
        assert world.specs[0]["lastSeen"] == "2026-11-20T06:00:00.900000Z"

    run(scene)


# What was evicted from the state.


def evicted(world: World, value: Observation, stored: StoredObservation) -> None:
    """Make an Observation known and resolved, and evict it by another one."""
    world.state.put(value.identity, replace(stored, resolved=True))
    other = observation("other")
    world.state.put(other.identity, stored_of(other, resolved=True))
    assert world.state.was_evicted(value.identity)


def small_world(*responses: WriteResponse) -> World:
    return World(*responses, resolved_entries=1)


def test_an_evicted_subject_is_read_before_it_is_written() -> None:
    async def scene() -> None:
        value = observation(fingerprint="g")
        stored = stored_of(value, traceparent=TRACEPARENT, uid="made", resolved=True)
        world = small_world(read_of(value, stored), OK)
        evicted(world, value, stored)
        assert (await world.end(value)).operation == "updated"
        assert world.verbs == ["read", "apply"]
        assert [name for _, name in world.writer.asked] == [f"n/{stored.name}"] * 2
        (body,) = world.bodies
        assert body["spec"]["firstSeen"] == T0
        assert body["metadata"]["annotations"] == {"tracing.k8s.io/traceparent": TRACEPARENT}
        assert world.known(value) == replace(stored, resolved=False, last_seen=MOMENT)
        assert not world.state.was_evicted(value.identity)
        # Known again: the next write reads nothing.
        await world.end(observation(fingerprint="h"))
        assert world.verbs == ["read", "apply", "apply"]

    run(scene)


def test_the_counts_of_an_evicted_observation_go_on() -> None:
    async def scene() -> None:
        value = counted("c", 5, last_seen=LATER)
        stored = stored_of(
            value, evidence={"a": 3, "b": 2}, base=10, newest="b", traceparent=TRACEPARENT
        )
        world = small_world(read_of(counted("b", 2), stored), OK)
        evicted(world, value, stored)
        assert (await world.end(value)).operation == "updated"
        (spec,) = world.specs
        assert (spec["count"], spec["evidenceBase"]) == (20, 10)
        assert spec["evidence"] == {"a": 3, "b": 2, "c": 5}
        assert spec["firstSeen"] == T0
        assert spec["identity"]["event"]["newest"] == "c"

    run(scene)


@pytest.mark.parametrize(
    "response", [NOT_FOUND, WriteResponse(200, b"{}"), WriteResponse(200, b"no JSON")]
)
def test_an_evicted_observation_that_no_longer_exists_or_is_not_ours_is_written_anew(
    response: WriteResponse,
) -> None:
    async def scene() -> None:
        value = observation()
        world = small_world(response, CREATED)
        evicted(world, value, stored_of(value, traceparent=TRACEPARENT))
        assert (await world.end(value)).operation == "created"
        assert world.verbs == ["read", "apply"]
        (body,) = world.bodies
        assert body["spec"]["firstSeen"] == MOMENT
        assert "annotations" not in body["metadata"]

    run(scene)


@pytest.mark.parametrize(
    "failure", [WriteResponse(503), WriteResponse(500), UNANSWERED, WriteResponse(429)]
)
def test_a_read_that_fails_is_read_again(failure: WriteResponse) -> None:
    async def scene() -> None:
        value = observation(fingerprint="g")
        stored = stored_of(value, traceparent=TRACEPARENT, resolved=True)
        world = small_world(failure, failure, read_of(value, stored), OK)
        evicted(world, value, stored)
        assert (await world.end(value)).operation == "updated"
        assert world.verbs == ["read", "read", "read", "apply"]
        assert len(world.slept) == 2
        (body,) = world.bodies
        assert body["spec"]["firstSeen"] == T0
        assert body["metadata"]["annotations"] == {"tracing.k8s.io/traceparent": TRACEPARENT}

    run(scene)


def test_a_read_that_is_forbidden_suspends_and_forgets_nothing() -> None:
    async def scene() -> None:
        value = observation()
        world = small_world(
            WriteResponse(403, reason="Forbidden", message="cannot get observations")
        )
        evicted(world, value, stored_of(value))
        assert (await world.end(value)).must_reread
        assert world.state.was_evicted(value.identity)

    run(scene)


def test_a_removal_of_an_evicted_subject_requests_nothing() -> None:
    async def scene() -> None:
        world = small_world()
        evicted(world, observation(), stored_of(observation()))
        assert (await world.end(removal())).ending is Ending.FILTERED
        assert world.writer.asked == []

    run(scene)


@pytest.mark.parametrize("failure", [WriteResponse(503), UNANSWERED])
def test_a_failed_read_ahead_of_a_resolution_puts_nothing_in_doubt(failure: WriteResponse) -> None:
    async def scene() -> None:
        value = observation()
        world = World(failure, read_of(value, stored_of(value)), OK)
        world.state.put(value.identity, stored_of(value))
        fingerprints: list[str] = []

        async def look() -> None:
            fingerprints.append(world.known(value).fingerprint)

        world.while_asleep = look
        assert (await world.end(removal())).operation == "resolved"
        assert fingerprints == ["f"]

    run(scene)


def test_a_failed_apply_of_a_resolution_is_in_doubt() -> None:
    async def scene() -> None:
        value = observation()
        read = read_of(value, stored_of(value))
        world = World(read, UNANSWERED, read, OK)
        world.state.put(value.identity, stored_of(value))
        fingerprints: list[str] = []

        async def look() -> None:
            fingerprints.append(world.known(value).fingerprint)

        world.while_asleep = look
        assert (await world.end(removal())).operation == "resolved"
        assert fingerprints == [""]

    run(scene)


# The bodies.


def test_an_observation_names_its_subject() -> None:
    assert manifest(upsert_of(observation()), OWNER)["spec"]["resource"] == {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "namespace": "n",
        "name": "x",
    }


def test_a_subject_of_the_cluster_is_named_without_a_namespace() -> None:
    value = observation()
    value.classified.subject = msgspec.structs.replace(value.classified.subject, namespace="")
    assert "namespace" not in manifest(upsert_of(value), OWNER)["spec"]["resource"]


def test_an_occurrence_without_a_window_is_counted_once() -> None:
    value = occurred()
    change = upsert_of(value)
    assert value.occurrence is not None
    value.occurrence.window = None
    spec = manifest(change, OWNER)["spec"]
    assert spec["count"] == 1
    assert "occurrence" not in spec


def test_the_owners_uid_is_stored_with_the_identity() -> None:
    owner = Owner(OWNER.ingester, 60, uid="ingester-uid")
    spec = manifest(upsert_of(observation()), owner)["spec"]
    assert spec["identity"]["ingester"] == {
        "namespace": "n",
        "name": "ingester",
        "uid": "ingester-uid",
    }
    assert spec["ttlSecondsAfterCreation"] == 60


def test_an_amended_resource_keeps_only_the_metadata_that_is_ours() -> None:
    read: dict[str, Any] = manifest(upsert_of(observation()), OWNER)
    read["metadata"] |= {"uid": "u", "resourceVersion": "7", "managedFields": [{}], "generation": 2}
    read["metadata"]["labels"]["theirs"] = "x"
    read["metadata"]["annotations"] = {"theirs": "x"}
    body = amended(msgspec.json.encode(read), {"resolvedAt": MOMENT})
    metadata = body["metadata"]
    assert set(metadata) == {"name", "namespace", "resourceVersion", "labels"}
    assert "theirs" not in metadata["labels"]
    assert len(metadata["labels"]) == 4
    assert body["spec"] == read["spec"] | {"resolvedAt": MOMENT}
