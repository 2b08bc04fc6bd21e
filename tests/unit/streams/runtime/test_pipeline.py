"""The life of one pipeline: what its listeners get, how it waits, drains and stops, and how a defect shows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from operators.buffer import WhenFull
from operators.flow.delivery import Ticket
from operators.model.identity import IngesterKey
from operators.model.outcome import Ending, Outcome
from operators.model.spec import Observe, OnDelete
from operators.rules.lists import Filters
from sinks.responses import WriteResponse
from sinks.stored import StoredRecord
from streams.cluster.errors import UnreachableError
from streams.config.source import InformerSpec
from streams.runtime.pipeline import (
    OnEnded,
    Pipeline,
    origin_of,
    owner_of,
    policy_of,
    target_of,
    when_full_of,
)
from tests.kit.plans import plan_of
from tests.unit.streams.runtime.world import Cluster, complete, pipeline_of, planned, stop
from tests.unit.streams.sources.informer.world import World, play


class Unusable(Cluster):
    """A defect."""

    async def list_of(self, ingester: IngesterKey) -> AsyncIterator[StoredRecord]:
        async for stored in super().list_of(ingester):
            yield stored
        raise ZeroDivisionError


class Unreachable(Cluster):
    """Cannot be listed so many times."""

    failures = 2

    async def list_of(self, ingester: IngesterKey) -> AsyncIterator[StoredRecord]:
        if self.failures:
            self.failures -= 1
            raise UnreachableError("no route to host")
        async for stored in super().list_of(ingester):
            yield stored


def test_a_source_that_cannot_be_subscribed_to_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise TypeError("another head")

    async def scene(world: World) -> None:
        monkeypatch.setattr(world.manager, "subscribe", refuse)
        pipeline = pipeline_of(world, planned(), Cluster(planned()))
        pipeline.start()
        await world.until(lambda: pipeline.failure is not None)
        assert isinstance(pipeline.failure, TypeError)
        assert (pipeline.description, pipeline.complete) == ("Broken: another head", False)
        pipeline.stop_intake()
        await pipeline.abandon()

    play(scene)


def test_every_listener_gets_an_ending_after_the_ledger() -> None:
    calls: list[tuple[str, str, Outcome | None, int]] = []

    def listener(name: str) -> OnEnded:
        return lambda one, ticket: calls.append(
            (name, one.ingester, ticket.outcome, one.ledger.in_flight)
        )

    async def scene(world: World) -> None:
        world.api.put("c")
        pipeline = pipeline_of(
            world,
            planned(),
            Cluster(planned()),
            listeners=(listener("first"), listener("second")),
        )
        pipeline.start()
        await stop(world, pipeline)

    play(scene)
    assert [(name, ingester, in_flight) for name, ingester, _, in_flight in calls] == [
        ("first", "default/case", 0),
        ("second", "default/case", 0),
    ]
    assert {outcome and outcome.ending for _, _, outcome, _ in calls} == {Ending.STORED}


def test_a_listener_that_raises_keeps_no_room_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(_one: Pipeline, _ticket: Ticket) -> None:
        raise ZeroDivisionError

    async def scene(world: World) -> None:
        world.api.put("c")
        pipeline = pipeline_of(world, planned(), Cluster(planned()), listeners=(broken,))
        pipeline.start()
        await complete(world, pipeline)
        await pipeline.drained()
        assert (pipeline.ledger.ended(Ending.STORED), pipeline.ledger.balance) == (1, 0)
        assert pipeline.parts.room.items == 0
        assert pipeline.source_status().handler_errors == 0
        await stop(world, pipeline)

    play(scene)
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert record.message == "a settlement could not be recorded"
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_a_pipeline_that_dies_is_logged_once_and_one_that_is_stopped_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def errors() -> list[logging.LogRecord]:
        return [one for one in caplog.records if one.levelno == logging.ERROR]

    async def scene(world: World) -> None:
        stopped = pipeline_of(world, planned(), Cluster(planned()))
        stopped.start()
        await asyncio.sleep(0)
        stopped.stop_intake()
        await stopped.abandon()
        await asyncio.sleep(0)
        assert errors() == []
        assert stopped.failure is None

        broken = pipeline_of(world, planned(), Unusable(planned()))
        broken.start()
        await world.until(lambda: broken.failure is not None)
        assert isinstance(broken.failure, ZeroDivisionError)
        assert not broken.complete
        broken.stop_intake()
        await broken.abandon()

    play(scene)
    (record,) = errors()
    assert vars(record)["task"] == "source default/case"
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_the_condition_names_each_step(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def scene(world: World) -> None:
        pipeline = pipeline_of(world, planned(), Unreachable(planned()))
        assert pipeline.condition == "Starting"
        assert pipeline.failure is None
        pipeline.start()

        def look() -> bool:
            if not seen or seen[-1] != pipeline.condition:
                seen.append(pipeline.condition)
            return pipeline.complete

        await world.until(look)
        assert pipeline.description == "Running"
        pipeline.stop_intake()
        seen.append(pipeline.condition)
        await pipeline.drained()
        await pipeline.abandon()
        seen.append(pipeline.condition)

    play(scene)
    waiting = "Waiting for the list of Observations: no route to host"
    assert seen == ["Starting", waiting, "Syncing", "Running", "Draining", "Stopped"]
    listed = [one for one in caplog.records if one.message == "Observations cannot be listed yet"]
    assert [vars(one)["detail"] for one in listed] == ["no route to host"] * 2


def test_nothing_is_read_before_the_state_is_restored() -> None:
    async def scene(world: World) -> None:
        pipeline = pipeline_of(world, planned(), Unreachable(planned()))
        pipeline.start()
        await world.rest(0.5)
        assert (pipeline.source_status().up, world.client.asked) == (False, [])
        assert pipeline.description == pipeline.condition
        assert pipeline.description.startswith("Waiting for the list of Observations: ")
        await stop(world, pipeline)

    play(scene)


def test_the_drain_waits_for_what_is_in_flight_and_abandon_interrupts_it() -> None:
    async def scene(world: World) -> None:
        cluster = Cluster(planned())
        cluster.responses.extend([WriteResponse(503, reason="ServiceUnavailable")] * 1000)
        world.api.put("c")
        pipeline = pipeline_of(world, planned(), cluster)
        pipeline.start()
        await complete(world, pipeline)
        pipeline.stop_intake()
        draining = asyncio.create_task(pipeline.drained())
        await world.rest(60)
        assert not draining.done()
        assert pipeline.ledger.in_flight == 1
        await pipeline.abandon()
        await draining
        assert pipeline.ledger.endings == {(Ending.INTERRUPTED, "stopped"): 1}
        assert (pipeline.lost, pipeline.ledger.balance, pipeline.parts.room.items) == (1, 0, 0)

    play(scene)


def test_a_drain_that_settles_loses_nothing() -> None:
    async def scene(world: World) -> None:
        cluster = Cluster(planned())
        cluster.responses.extend([WriteResponse(503, reason="ServiceUnavailable")] * 3)
        world.api.put("c")
        pipeline = pipeline_of(world, planned(), cluster)
        pipeline.start()
        await complete(world, pipeline)
        pipeline.stop_intake()
        world.api.put("d")  # after the end of intake: not for this process
        await pipeline.drained()
        await pipeline.abandon()
        assert pipeline.ledger.endings == {(Ending.STORED, ""): 1}
        assert pipeline.lost == 0

    play(scene)


def test_what_a_scrape_reads_is_what_the_pipeline_has() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        pipeline = pipeline_of(world, planned(), Cluster(planned()))
        pipeline.start()
        await complete(world, pipeline)
        await pipeline.drained()
        status = pipeline.status()
        assert (status.source, status.ingester) == ("maps", "default/case")
        assert status.ledger is pipeline.ledger
        assert status.room is pipeline.parts.room
        assert (status.state_entries, status.state_evicted) == (3, 0)
        assert status.status == pipeline.source_status()
        assert status.status.known_objects == 3
        await stop(world, pipeline)

    play(scene)


def test_a_filter_that_no_longer_wants_a_subject_resolves_what_a_former_run_left() -> None:
    async def scene(world: World) -> None:
        of = planned()
        cluster = Cluster(of)
        cluster.remember("c", uid=world.api.put("c").uid)
        unwanted = plan_of(
            namespace=of.identity.namespace,
            name=of.identity.name,
            gvr=of.source.gvr or plan_of().source.gvr,  # pyright: ignore[reportArgumentType]
            filters=Filters(exclude_namespaces=("default",)),
        )
        pipeline = pipeline_of(world, unwanted, cluster)
        pipeline.start()
        await stop(world, pipeline)
        assert cluster.spec("c")["resolvedReason"] == "excludeNamespaces default"

    play(scene)


# What a plan means for the parts.


def test_a_plan_names_origin_owner_and_target() -> None:
    of = plan_of(
        observe=Observe.OCCURRENCE, on_delete=OnDelete.IGNORE, ttl_seconds=60, source_name="w"
    )
    origin = origin_of(of)
    assert (origin.ingester, origin.source, origin.entry) == (IngesterKey("n", "i"), "w", "")
    assert (origin.occurrences, origin.ignores_removals) == (True, True)
    owner = owner_of(of)
    assert (owner.ingester, owner.ttl_seconds, owner.uid) == (IngesterKey("n", "i"), 60, "")
    target = target_of(of.source)
    assert (target.group, target.version, target.resource) == ("example.org", "v1", "widgets")
    assert policy_of(plan_of(on_delete=OnDelete.DELETE)).deletes
    assert not policy_of(of).deletes
    assert when_full_of(of) is WhenFull.SPILL


def test_an_informer_without_a_gvr_cannot_be_run() -> None:
    with pytest.raises(ValueError, match="gvr"):
        target_of(InformerSpec())
