from __future__ import annotations

from operators.model.event import Change, Departure, RawEvent
from operators.model.outcome import NEWER, SPILLED, Ending, Hold, Outcome
from streams.sources.informer.source import InformerSource, informer_source
from tests.kit.model_client import CONFIG_MAP, CONFIG_MAPS
from tests.unit.streams.sources.informer.world import SELECTED, World, play

STORED = Outcome(Ending.STORED)


class Heard:
    """A source, and what it said."""

    def __init__(self, world: World, source: InformerSource) -> None:
        self.source = source
        self.events: list[RawEvent] = []
        self.pipeline = source.events.subscribe(self.events.append)
        self.world = world

    async def until(self, count: int) -> list[RawEvent]:
        await self.world.until(lambda: len(self.events) >= count)
        return self.events


def acknowledge(event: RawEvent, outcome: Outcome) -> None:
    assert event.acknowledge is not None
    event.acknowledge(event, outcome)


def test_a_notice_becomes_a_raw_event_of_its_kind() -> None:
    async def scene(world: World) -> None:
        world.api.put("a", **{"in": "yes"})
        room = world.subscribe().room
        heard = Heard(world, informer_source(world.manager, SELECTED, room=room))
        (added,) = await heard.until(1)
        assert (added.kind, added.change, added.key) == (CONFIG_MAP, Change.ADDED, "default/a")
        assert (added.uid, added.version, added.initial) == ("uid-1", "101", True)
        assert added.body()["metadata"]["labels"] == {"in": "yes"}

        await world.until(lambda: world.client.open_watches == 2)
        world.api.put("a", **{"in": "no"})
        _, left = await heard.until(2)
        assert (left.change, left.departure) == (Change.DELETED, Departure.LEFT_SELECTOR)
        assert heard.source.subscription is not None
        heard.source.subscription.mark_dirty("default/a", uid=left.uid)
        _, _, again = await heard.until(3)
        assert again.final_state_unknown
        assert (again.uid, again.departure) == (left.uid, Departure.LEFT_SELECTOR)

    play(scene)


def test_nothing_is_asked_before_somebody_subscribes_nor_told_after_dispose() -> None:
    async def scene(world: World) -> None:
        world.api.put("a")
        room = world.subscribe(SELECTED).room
        source = informer_source(world.manager, CONFIG_MAPS, room=room)
        assert source.subscription is None
        assert len(world.manager.informers) == 1

        heard = Heard(world, source)
        await heard.until(1)
        heard.pipeline.dispose()
        assert len(world.manager.informers) == 1
        world.api.put("a")
        await world.rest(1)
        assert len(heard.events) == 1

    play(scene)


def test_what_was_spilled_is_told_again_and_nothing_else() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        room = world.subscribe().room
        heard = Heard(world, informer_source(world.manager, CONFIG_MAPS, room=room))
        first, second, third = await heard.until(3)
        await world.until(lambda: world.client.open_watches == 1)

        hold = Hold("quota", detail="", try_at_ns=world.loop.clock() + 10**12)
        acknowledge(first, SPILLED)
        acknowledge(second, NEWER)
        acknowledge(third, Outcome(SPILLED.ending, SPILLED.reason, hold=hold))
        again = (await heard.until(4))[3]
        assert (again.change, again.name) == (Change.MODIFIED, first.name)
        subscription = heard.source.subscription
        assert subscription is not None
        assert subscription.dirty_count == 1
        hold.open = False
        subscription.poke()
        assert (await heard.until(5))[4].name == third.name

    play(scene)


def test_resync_and_what_matters_are_passed_on() -> None:
    async def scene(world: World) -> None:
        world.fill(2)
        room = world.subscribe().room
        source = informer_source(
            world.manager, CONFIG_MAPS, room=room, resync_seconds=60.0, matters="n/a".__eq__
        )
        heard = Heard(world, source)
        await world.rest(70)
        assert [event.change for event in heard.events].count(Change.RESYNC) == 2
        assert source.subscription is not None
        room.capacity = 0
        source.subscription.mark_dirty("n/a")
        source.subscription.mark_dirty("n/b")
        assert source.subscription.dirty_count == 1

    play(scene)


def test_a_departure_without_room_matters_as_long_as_another_event_of_it_is_on_its_way() -> None:
    async def scene(world: World) -> None:
        for name in ("a", "b"):
            world.api.put(name)
        room = world.subscribe().room
        source = informer_source(world.manager, CONFIG_MAPS, room=room, matters=lambda _: False)
        heard = Heard(world, source)
        first, second = await heard.until(2)
        await world.until(lambda: world.client.open_watches == 1)
        room.capacity = 0
        for event in (first, second):
            world.api.delete(event.name)
        *_, first_gone, second_gone = await heard.until(4)
        assert source.subscription is not None

        acknowledge(first, STORED)
        acknowledge(first_gone, SPILLED)
        assert source.subscription.dirty_count == 0  # nothing is on its way, nobody remembers it
        acknowledge(second_gone, SPILLED)
        acknowledge(second, STORED)
        assert list(source.subscription.marks.gone.items()) == [(second.key, second.uid)]

    play(scene)
