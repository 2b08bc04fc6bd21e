"""The settings of the suite: for each kind of source a server to read from, and how a clause makes something happen.

A source joins the suite by a setting of its own in ``KINDS``; the clauses know nothing else of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, cast

from operators.flow.capacity import Room
from operators.flow.trace import TraceContext
from operators.model.event import Change, ObjectRef, ObjectState, RawEvent
from streams.sources.informer.source import InformerSource
from streams.sources.informer.subscription import SubscriptionOptions
from streams.sources.source import RereadableSource, Source, SourceStatus
from tests.kit.changes import CONFIG_MAP
from tests.kit.model_client import CONFIG_MAPS, Asked, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import World, play

NOW_NS = 1_800_000_000_000_000_000
SOURCE_NAME = "maps"

IsTracked = Callable[[str], bool]


class Setting(Protocol):
    """A server, and the sources that read from it, under a clock that jumps."""

    @property
    def failure_reasons(self) -> Collection[str]:
        """The reasons of ``SourceStatus`` while ``fail`` lasts."""
        ...

    def source(self, room: Room, *, is_tracked: IsTracked) -> Source:
        """A source that has not begun."""
        ...

    def put(self, name: str) -> None:
        """Make something happen: an object that is created or changed, a report, a line."""
        ...

    def remove(self, name: str) -> None:
        """Remove the object of a name, where there are objects."""
        ...

    def expected(self, name: str, *, initial: bool) -> RawEvent:
        """The event of what was put last under a name, with any bytes."""
        ...

    def incoming(self, name: str) -> TraceContext | None:
        """The trace that the sender of what was put last passed with it."""
        ...

    def fail(self) -> None:
        """Have every request refused, and end those that are open."""
        ...

    def recover(self) -> None:
        """Answer again."""
        ...

    def suspend_start(self) -> None:
        """Answer nothing, until ``recover``."""
        ...

    @property
    def requests(self) -> int:
        """How many requests have reached the server."""
        ...

    @property
    def server(self) -> Mapping[str, str]:
        """The version of every object by its key, where there are objects."""
        ...

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until a condition holds; fail after five minutes of it."""
        ...

    async def rest(self, seconds: float) -> None:
        """Let time pass."""
        ...

    async def quiet(self) -> None:
        """Let time pass until what has happened was read."""
        ...


Scene = Callable[[Setting], Coroutine[Any, Any, None]]


@dataclass(frozen=True)
class Kind:
    """One kind of source, and how its scenes are run."""

    name: str
    play: Callable[[Scene], object]
    is_rereadable: bool
    came: frozenset[str]
    """The labels of the counter ``read`` for what was read."""
    went: frozenset[str]
    """The labels of the same counter for what became of it; ``received`` is what was emitted."""

    def balance(self, status: SourceStatus) -> int:
        """0, or something that was read was lost or counted twice."""
        read = status.counters["read"]
        assert set(read) == self.came | self.went
        return sum(read[label] for label in self.came) - sum(read[label] for label in self.went)


class InformerSetting:
    """Informers over the model API server; a watch notices a change after a moment."""

    failure_reasons = frozenset({"Forbidden"})

    def __init__(self, world: World) -> None:
        self._world = world
        self._gate = asyncio.Event()

    def source(self, room: Room, *, is_tracked: IsTracked) -> RereadableSource:
        return InformerSource(
            self._world.manager,
            CONFIG_MAPS,
            name=SOURCE_NAME,
            options=SubscriptionOptions(room, is_tracked=is_tracked),
            now_ns=lambda: NOW_NS,
        )

    def put(self, name: str) -> None:
        self._world.api.put(name)

    def remove(self, name: str) -> None:
        self._world.api.delete(name)

    def expected(self, name: str, *, initial: bool) -> RawEvent:
        stored = self._world.api.objects[name]
        state = ObjectState(CONFIG_MAP, Change.ADDED, stored.uid, str(stored.version), initial)
        subject = ObjectRef("v1", "ConfigMap", "default", name)
        return RawEvent(SOURCE_NAME, NOW_NS, f"default/{name}", subject, state, b"")

    def incoming(self, name: str) -> TraceContext | None:
        """An API server passes no trace with a change."""
        assert name in self._world.api.objects

    def fail(self) -> None:
        async def forbid(_: Asked) -> Reply | None:
            return refusal(403, "Forbidden")

        self._world.client.interfere = forbid
        for watch in self._world.client.watches:
            watch.is_cut = True

    def recover(self) -> None:
        self._world.client.interfere = nothing
        self._gate.set()

    def suspend_start(self) -> None:
        async def wait(_: Asked) -> Reply | None:
            await self._gate.wait()
            return None

        self._world.client.interfere = wait

    @property
    def requests(self) -> int:
        return len(self._world.client.asked)

    @property
    def server(self) -> Mapping[str, str]:
        return {one.key: str(one.version) for one in self._world.api.objects.values()}

    async def until(self, condition: Callable[[], bool]) -> None:
        await self._world.until(condition)

    async def rest(self, seconds: float) -> None:
        await self._world.rest(seconds)

    async def quiet(self) -> None:
        await self._world.rest(1.0)


def play_informer(scene: Scene) -> None:
    play(lambda world: scene(InformerSetting(world)))


KINDS = (
    Kind(
        "informer",
        play_informer,
        is_rereadable=True,
        came=frozenset({"lines", "list_items", "gets", "synthetic_deletes", "timer"}),
        went=frozenset({"bookmarks", "duplicates", "server_errors", "received"}),
    ),
)


def held_by(source: Source) -> int:
    """How many entries the containers hold that are reached from a source through objects of this product."""
    entries, seen, left = 0, set[int](), cast("list[object]", [source])
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, (str, bytes, type, ModuleType)):
            continue
        seen.add(id(one))
        if isinstance(one, Mapping):
            mapping = cast("Mapping[object, object]", one)
            entries += len(mapping)
            left.extend((*mapping.keys(), *mapping.values()))
        elif isinstance(one, Collection):
            collection = cast("Collection[object]", one)
            entries += len(collection)
            left.extend(collection)
        elif type(one).__module__.partition(".")[0] in {"streams", "operators"}:
            left.extend(_attributes(one))
    return entries


def _attributes(one: object) -> list[object]:
    slots = [
        name
        for base in type(one).__mro__
        for name in cast("Collection[str]", base.__dict__.get("__slots__", ()))
    ]
    names = (*slots, *getattr(one, "__dict__", {}))
    return [getattr(one, name) for name in names if hasattr(one, name)]
