"""A manager over the model API server, and subscribers that believe every notice, under a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from operators.flow.capacity import Room
from operators.model.event import Change
from operators.model.outcome import Hold
from streams.sources.informer.informer import Discover
from streams.sources.informer.manager import InformerManager, always
from streams.sources.informer.notice import Notice, Watched
from tests.kit.model_api import ModelApi
from tests.kit.model_client import CONFIG_MAPS, ModelClient
from tests.unit.streams.cluster.virtual import VirtualLoop, run

PATIENCE_SECONDS = 300.0
SELECTED = Watched("", "v1", "configmaps", label_selector="in=yes")


class Subscriber:
    """Someone who is told; a pipeline of ``capacity`` that holds each event until ``settle``, or takes it at once."""

    def __init__(self, world: World, watched: Watched, *, capacity: int, **how: Any) -> None:
        self.told: list[Notice] = []
        self.room = Room(capacity, capacity_bytes=1 << 30)
        self.holds = False
        """Whether what is told stays in the room."""
        self.refuses = False
        """Whether the room, though not full, is too small for anything."""
        self.hold: Hold | None = None
        """What everything waits for, if anything."""
        self.spilled = 0
        self.subscription = world.manager.subscribe(watched, self._hear, room=self.room, **how)

    def _hear(self, notice: Notice) -> None:
        if self.hold is not None and self.hold.open:
            self.spilled += 1
            self.subscription.mark_dirty(notice.key, self.hold)
            return
        if self.refuses or (self.holds and not self.room.fits(1)):
            self.spilled += 1
            self.subscription.mark_dirty(notice.key)
            return
        if self.holds:
            self.room.take(1)
        self.told.append(notice)

    def settle(self) -> None:
        """End one event."""
        self.room.give(1)

    @property
    def changes(self) -> list[tuple[Change, str]]:
        return [(one.change, one.name) for one in self.told]

    @property
    def known(self) -> dict[str, str]:
        """The version of every object, for who believes what was told."""
        versions = {one.name: one.version for one in self.told}
        last = {one.name: one.change for one in self.told}
        return {name: versions[name] for name in versions if last[name] is not Change.DELETED}

    @property
    def balance(self) -> int:
        return self.subscription.book.balance


class World:
    """All of it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.api = ModelApi(page_objects=10)
        self.client = ModelClient(self.api)
        self.loop = loop
        self.manager = self.managed(self.client.discover)
        self.subscribers: list[Subscriber] = []

    def managed(self, discover: Discover) -> InformerManager:
        return InformerManager(
            self.client, discover=discover, clock=self.loop.clock, random=lambda: 0.0
        )

    def subscribe(
        self, watched: Watched = CONFIG_MAPS, *, capacity: int = 1000, **how: object
    ) -> Subscriber:
        how.setdefault("matters", always)
        self.subscribers.append(Subscriber(self, watched, capacity=capacity, **how))
        return self.subscribers[-1]

    def fill(self, count: int, **labels: str) -> None:
        for number in range(count):
            self.api.put(f"c{number:03}", **labels)

    @property
    def server(self) -> dict[str, str]:
        return {one.name: str(one.version) for one in self.api.objects.values()}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something is so; books balance at every moment of it."""
        deadline = self.loop.time() + PATIENCE_SECONDS
        while not condition():
            assert self.loop.time() < deadline, "it never came"
            await self.rest(0.02)

    async def rest(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
        assert [one.balance for one in self.subscribers] == [0] * len(self.subscribers)

    async def in_step(self) -> None:
        """Wait until everybody knows what the server holds."""
        await self.until(lambda: all(one.known == self.server for one in self.subscribers))


def play(scene: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    """Run a scene in a world of its own, and see that it leaves nothing behind."""

    async def main(loop: VirtualLoop) -> World:
        world = World(loop)
        await scene(world)
        assert world.manager.failures == []
        await world.manager.close()
        assert world.client.open_watches == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return world

    return run(main)
