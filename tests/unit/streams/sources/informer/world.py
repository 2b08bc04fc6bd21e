"""A manager over the model API server, and subscribers that believe every change, under a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from operators.flow.capacity import Room
from operators.model.outcome import Suspension
from streams.sources.informer.informer import DiscoverResource
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.subscription import always
from streams.sources.informer.target import WatchTarget
from tests.kit.changes import DELETED, kind_of, name_of
from tests.kit.model_api import ModelApi
from tests.kit.model_client import CONFIG_MAPS, ModelClient
from tests.unit.streams.cluster.virtual import VirtualLoop, run

PATIENCE_SECONDS = 300.0
SELECTED = WatchTarget("", "v1", "configmaps", label_selector="in=yes")


class Subscriber:
    """A handler of changes: a pipeline of ``capacity`` that holds each event until ``settle``, or takes it at once."""

    def __init__(self, world: World, target: WatchTarget, *, capacity: int, **how: Any) -> None:
        self.told: list[ObjectChange] = []
        self.room = Room(capacity, capacity_bytes=1 << 30)
        self.holds = False
        """Whether an admitted event keeps its room."""
        self.refuses = False
        """Whether the room, though not full, is too small for anything."""
        self.suspension: Suspension | None = None
        """What everything waits for, if anything."""
        self.spilled = 0
        self.subscription = world.manager.subscribe(target, self._on_change, room=self.room, **how)

    def _on_change(self, change: ObjectChange) -> None:
        if self.suspension is not None and self.suspension.is_open:
            self.spilled += 1
            self.subscription.mark_dirty(change.key, self.suspension)
            return
        if self.refuses or (self.holds and not self.room.fits(1)):
            self.spilled += 1
            self.subscription.mark_dirty(change.key)
            return
        if self.holds:
            self.room.take(1)
        self.told.append(change)

    def settle(self) -> None:
        """End one event."""
        self.room.give(1)

    @property
    def changes(self) -> list[tuple[str, str]]:
        return [(kind_of(one), name_of(one)) for one in self.told]

    @property
    def known(self) -> dict[str, str]:
        """The version of every object, for who believes what was told."""
        versions = {name_of(one): one.payload.version for one in self.told}
        last = {name_of(one): kind_of(one) for one in self.told}
        return {name: versions[name] for name in versions if last[name] != DELETED}

    @property
    def balance(self) -> int:
        return self.subscription.read_counts.balance


class World:
    """All of it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.api = ModelApi(page_objects=10)
        self.client = ModelClient(self.api)
        self.loop = loop
        self.manager = self.managed(self.client.discover)
        self.subscribers: list[Subscriber] = []

    def managed(self, discover: DiscoverResource) -> InformerManager:
        return InformerManager(
            self.client, discover=discover, clock=self.loop.clock, random=lambda: 0.0
        )

    def subscribe(
        self, target: WatchTarget = CONFIG_MAPS, *, capacity: int = 1000, **how: object
    ) -> Subscriber:
        how.setdefault("is_tracked", always)
        self.subscribers.append(Subscriber(self, target, capacity=capacity, **how))
        return self.subscribers[-1]

    def fill(self, count: int, **labels: str) -> None:
        for number in range(count):
            self.api.put(f"c{number:03}", **labels)

    @property
    def server(self) -> dict[str, str]:
        return {one.name: str(one.version) for one in self.api.objects.values()}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something is so; read counts balance at every moment of it."""
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
