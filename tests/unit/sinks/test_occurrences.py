"""Occurrences in the queue: each is written once, tried as often as the document allows, and known by its window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operators.model.observation import Observation
from operators.model.outcome import Ending
from sinks.responses import WriteResponse
from sinks.retry import OCCURRENCES, Retry
from tests.kit.doubles import CREATED, OK, UNANSWERED
from tests.unit.sinks.world import World, observation, occurred, run

OPENED = datetime(2026, 11, 20, 6, 0, 0, 250_000, tzinfo=UTC)
BUSY = WriteResponse(503)


def world_of(*responses: WriteResponse, retry: Retry = OCCURRENCES) -> World:
    """The queue an hour after the window opened; its waits are the longest."""
    world = World(*responses, retry=retry, random=1.0)
    world.moment = OPENED + timedelta(hours=1)
    world.wall_moves = True
    return world


def happened(name: str = "x", *, version: str = "7") -> Observation:
    return occurred(name, version=version, start=OPENED)


def test_it_is_written_once_with_when_it_was_seen_and_what_opened_it() -> None:
    async def scene() -> None:
        world = world_of(WriteResponse(201, b'{"metadata":{"uid":"made"}}'))
        value = happened()
        assert (await world.end(value)).operation == "created"
        (spec,) = world.specs
        seen = "2026-11-20T06:00:00Z"
        assert (spec["detectedAt"], spec["firstSeen"], spec["lastSeen"]) == (seen, seen, seen)
        assert (spec["count"], spec["fingerprint"]) == (1, "key")
        assert spec["identity"]["occurrence"] == {"key": "key", "opened": "uid-x/7"}
        assert spec["occurrence"] == {
            "windowStart": "2026-11-20T06:00:00.250000Z",
            "windowEnd": "2026-11-20T06:01:00.250000Z",
        }
        assert len(world.state) == 0, "the state would grow without bound"
        assert value.occurrence is not None
        assert value.occurrence.window is not None
        assert value.occurrence.window.uid == "made", "duplicates name it"
        assert world.bodies[0]["metadata"]["name"] == value.occurrence.window.name

    run(scene)


@pytest.mark.parametrize("first", [UNANSWERED, BUSY])
def test_a_retry_is_the_same_write_and_leaves_no_doubt(first: WriteResponse) -> None:
    async def scene() -> None:
        world = world_of(first, OK)
        assert (await world.end(happened())).ending is Ending.STORED
        assert world.writer.bodies[0] == world.writer.bodies[1]
        assert len(world.state) == 0

    run(scene)


def test_while_nothing_succeeds_it_waits_two_minutes_and_no_longer() -> None:
    async def scene() -> None:
        world = world_of(*[BUSY] * 8)
        outcome = await world.end(happened())
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "gave_up")
        assert len(world.writer.asked) == 8
        assert world.slept == [2, 4, 8, 16, 30, 30, 30]

    run(scene)


def test_how_long_it_waits_is_the_documents_choice() -> None:
    async def scene() -> None:
        world = world_of(BUSY, BUSY, CREATED, retry=Retry(max_attempts=3, backoff_base="500ms"))
        assert (await world.end(happened())).ending is Ending.STORED
        assert world.slept == [0.5, 1]
        impatient = world_of(BUSY, retry=Retry(max_attempts=1, backoff_base="500ms"))
        assert (await impatient.end(happened())).ending is Ending.DEAD_LETTERED
        assert impatient.slept == []

    run(scene)


@pytest.mark.parametrize(
    ("base", "seconds"), [("1ms", 0.5), ("500ms", 0.5), ("3s", 3), ("1h", 30), ("soon", 2)]
)
def test_the_first_wait_is_kept_within_bounds(base: str, seconds: float) -> None:
    async def scene() -> None:
        world = world_of(BUSY, CREATED, retry=Retry(max_attempts=2, backoff_base=base))
        assert (await world.end(happened())).ending is Ending.STORED
        assert world.slept == [seconds]

    run(scene)


def test_fewer_attempts_than_one_are_one() -> None:
    async def scene() -> None:
        world = world_of(CREATED, retry=Retry(max_attempts=0))
        assert (await world.end(happened())).ending is Ending.STORED

    run(scene)


def test_a_subject_beside_it_waits_without_limit() -> None:
    async def scene() -> None:
        world = world_of(*[BUSY] * 40, CREATED)
        assert (await world.end(observation())).ending is Ending.STORED
        assert len(world.slept) == 40

    run(scene)
