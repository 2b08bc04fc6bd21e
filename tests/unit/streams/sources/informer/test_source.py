"""A subscription as a source: events, their settlement, and what is read again."""

from __future__ import annotations

from typing import Any

import msgspec

from operators.decode import decode_body
from operators.flow.delivery import Admission
from operators.model.event import (
    Change,
    ObjectRef,
    ObjectState,
    RawEvent,
    RemovalReason,
    Tombstone,
)
from operators.model.outcome import NEWER, SPILLED, Ending, Outcome, Suspension
from operators.rules.paths import Head
from streams.sources.informer.source import InformerSource
from streams.sources.informer.subscription import Subscription, SubscriptionOptions
from streams.sources.informer.target import WatchTarget
from streams.sources.source import SourceStatus
from tests.kit.changes import CONFIG_MAP
from tests.kit.model_client import CONFIG_MAPS, Asked, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import SELECTED, World, play

STORED = Outcome(Ending.STORED)
NOW_NS = 1_800_000_000_000_000_000


def never(_: str) -> bool:
    return False


class Labelled(Head):
    data: object = None


class Pipeline:
    """A source, and the events it emitted."""

    def __init__(self, world: World, target: WatchTarget = CONFIG_MAPS, **options: Any) -> None:
        self.world = world
        self.target = target
        self.room = world.subscribe(target).room
        self.source = InformerSource(
            world.manager,
            target,
            name="maps",
            options=SubscriptionOptions(self.room, **options),
            now_ns=lambda: NOW_NS,
        )
        self.admissions: list[Admission] = []
        self.running = self.source.events.subscribe(self.admissions.append)

    @property
    def events(self) -> list[RawEvent]:
        return [one.event for one in self.admissions]

    @property
    def subscription(self) -> Subscription:
        (informer,) = (one for one in self.world.manager.informers if one.target == self.target)
        return informer.subscriptions[-1]

    @property
    def dirty(self) -> int:
        return self.source.status().dirty_objects

    async def until(self, count: int) -> list[RawEvent]:
        await self.world.until(lambda: len(self.events) >= count)
        return self.events

    def settle(self, event: RawEvent, outcome: Outcome) -> None:
        (admission,) = (one for one in self.admissions if one.event is event)
        assert admission.on_settled is not None
        admission.on_settled(event, outcome)


def state_of(event: RawEvent) -> ObjectState:
    assert isinstance(event.payload, ObjectState)
    return event.payload


def tombstone_of(event: RawEvent) -> Tombstone:
    assert isinstance(event.payload, Tombstone)
    return event.payload


def test_a_change_becomes_a_raw_event() -> None:
    async def scene(world: World) -> None:
        world.api.put("a", **{"in": "yes"})
        pipeline = Pipeline(world, SELECTED, head=Labelled)
        (added,) = await pipeline.until(1)
        assert (added.source, added.received_at_ns, added.key) == ("maps", NOW_NS, "default/a")
        assert added.subject == ObjectRef("v1", "ConfigMap", "default", "a")
        assert added.payload == ObjectState(CONFIG_MAP, Change.ADDED, "uid-1", "101", initial=True)
        assert decode_body(added)["metadata"]["labels"] == {"in": "yes"}
        assert isinstance(pipeline.admissions[0].head, Labelled)
        assert msgspec.json.decode(msgspec.json.encode(added), type=RawEvent) == added

        await world.until(lambda: world.client.open_watches == 1)
        world.api.put("a", **{"in": "no"})
        _, left = await pipeline.until(2)
        assert tombstone_of(left).reason is RemovalReason.LEFT_SELECTOR
        assert left.raw
        pipeline.source.request_reread("default/a", uid=tombstone_of(left).uid)
        _, _, again = await pipeline.until(3)
        assert again.payload == Tombstone(
            CONFIG_MAP, "uid-1", "", RemovalReason.LEFT_SELECTOR, final_state_unknown=True
        )
        assert (again.raw, pipeline.admissions[2].head) == (b"", None)

    play(scene)


def test_bytes_that_cannot_be_decoded_have_no_key_and_settle_as_they_may() -> None:
    async def scene(world: World) -> None:
        pipeline = Pipeline(world)
        await world.until(lambda: world.client.open_watches == 1)
        world.client.watches[-1].said.append(b"torn\n")
        (torn,) = await pipeline.until(1)
        assert (torn.key, torn.subject, torn.raw) == (None, None, b"torn")
        pipeline.settle(torn, SPILLED)
        assert pipeline.dirty == 0

    play(scene)


def test_nothing_is_requested_before_it_is_subscribed_to_nor_emitted_after_dispose() -> None:
    async def scene(world: World) -> None:
        world.api.put("a")
        room = world.subscribe(SELECTED).room
        options = SubscriptionOptions(room)
        source = InformerSource(
            world.manager, CONFIG_MAPS, name="maps", options=options, now_ns=lambda: NOW_NS
        )
        assert source.status() == SourceStatus("informer", up=False, synced=False)
        assert not source.knows("default/a")
        assert len(source.keys()) == 0
        assert len(world.manager.informers) == 1

        emitted = list[Admission]()
        running = source.events.subscribe(emitted.append)
        await source.synced()
        assert len(emitted) == 1
        running.dispose()
        assert len(world.manager.informers) == 1
        world.api.put("a")
        await world.rest(1)
        assert not source.reenter(emitted[0].event)
        assert len(emitted) == 1

    play(scene)


def test_after_the_end_of_intake_nothing_is_emitted_and_events_in_flight_settle() -> None:
    async def scene(world: World) -> None:
        world.api.put("a")
        pipeline = Pipeline(world)
        (added,) = await pipeline.until(1)
        pipeline.source.stop_intake()
        world.api.put("a")
        await world.rest(1)
        pipeline.settle(added, SPILLED)
        await world.rest(1)
        assert (len(pipeline.events), pipeline.dirty) == (1, 0)

    play(scene)


def test_what_was_spilled_is_read_again_and_nothing_else() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        pipeline = Pipeline(world)
        first, second, third = await pipeline.until(3)
        await world.until(lambda: world.client.open_watches == 1)

        suspension = Suspension("quota", detail="", retry_at_ns=world.loop.clock() + 10**12)
        pipeline.settle(first, SPILLED)
        pipeline.settle(second, NEWER)
        pipeline.settle(third, Outcome(SPILLED.ending, SPILLED.reason, suspension=suspension))
        again = (await pipeline.until(4))[3]
        assert (state_of(again).change, again.key) == (Change.MODIFIED, first.key)
        assert pipeline.dirty == 1
        suspension.is_open = False
        pipeline.source.notify_resumed()
        assert (await pipeline.until(5))[4].key == third.key

    play(scene)


def test_resync_and_what_is_tracked_are_passed_on() -> None:
    async def scene(world: World) -> None:
        world.fill(2)
        pipeline = Pipeline(world, resync_seconds=60.0, is_tracked="n/a".__eq__)
        await world.rest(70)
        changes = [state_of(event).change for event in pipeline.events]
        assert changes.count(Change.RESYNC) == 2
        pipeline.room.capacity = 0
        pipeline.source.request_reread("n/a")
        pipeline.source.request_reread("n/b")
        assert pipeline.dirty == 1

    play(scene)


def test_a_removal_without_room_is_tracked_as_long_as_another_event_of_it_is_in_flight() -> None:
    async def scene(world: World) -> None:
        for name in ("a", "b"):
            world.api.put(name)
        pipeline = Pipeline(world, is_tracked=never)
        first, second = await pipeline.until(2)
        await world.until(lambda: world.client.open_watches == 1)
        pipeline.room.capacity = 0
        for name in ("a", "b"):
            world.api.delete(name)
        *_, first_removed, second_removed = await pipeline.until(4)

        pipeline.settle(first, STORED)
        pipeline.settle(first_removed, SPILLED)
        assert pipeline.dirty == 0  # nothing is in flight, nothing tracks it
        pipeline.settle(second_removed, SPILLED)
        pipeline.settle(second, STORED)
        assert list(pipeline.subscription.dirty.removed.items()) == [("default/b", "uid-2")]

    play(scene)


def test_a_timers_event_is_emitted_counted_and_in_flight() -> None:
    async def scene(world: World) -> None:
        world.api.put("a")
        pipeline = Pipeline(world, head=Labelled, is_tracked=never)
        (added,) = await pipeline.until(1)
        pipeline.settle(added, STORED)
        payload = msgspec.structs.replace(state_of(added), change=Change.TIMER)
        event = msgspec.structs.replace(added, payload=payload)

        assert pipeline.source.reenter(event)
        assert pipeline.events[-1] is event
        assert isinstance(pipeline.admissions[-1].head, Labelled)
        counts = pipeline.subscription.read_counts
        assert (counts.timer_reentries, counts.received, counts.balance) == (1, 2, 0)
        pipeline.settle(event, SPILLED)
        assert pipeline.dirty == 1

    play(scene)


def test_the_status_is_that_of_the_informer() -> None:
    async def scene(world: World) -> None:
        async def forbid(_: Asked) -> Reply | None:
            return refusal(403, "Forbidden")

        world.client.interfere = forbid
        world.fill(3)
        pipeline = Pipeline(world)
        await world.rest(1)
        failed = pipeline.source.status()
        assert (failed.up, failed.synced, failed.reason) == (False, False, "Forbidden")
        assert failed.counters["failures"]["Forbidden"] > 0

        world.client.interfere = nothing
        await pipeline.until(3)
        await world.until(lambda: world.client.open_watches == 1)
        status = pipeline.source.status()
        assert (status.kind, status.up, status.synced, status.reason) == (
            "informer",
            True,
            True,
            "",
        )
        assert (status.known_objects, status.dirty_objects, status.handler_errors) == (3, 0, 0)
        assert status.resource_version == str(world.api.version)
        assert status.last_activity_ns > 0
        assert status.counters["read"]["list_items"] == 3
        assert status.counters["relists"] == {"first": 1}
        assert status.counters["connects"] == {"listed": 1}
        assert set(pipeline.source.keys()) == {f"default/c{number:03}" for number in range(3)}
        assert pipeline.source.knows("default/c001")

    play(scene)


def test_a_handler_error_is_in_the_status() -> None:
    async def scene(world: World) -> None:
        world.api.put("a")
        room = world.subscribe().room
        source = InformerSource(
            world.manager,
            CONFIG_MAPS,
            name="maps",
            options=SubscriptionOptions(room),
            now_ns=failing_clock,
        )
        source.events.subscribe()
        await source.synced()
        assert source.status().handler_errors == 1

    play(scene)


def failing_clock() -> int:
    raise OSError("no clock")
