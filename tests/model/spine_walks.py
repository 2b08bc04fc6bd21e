"""Seeded walks of whole pipelines over the model API server, under a clock that jumps.

Informers, sources, buffers and credits are genuine; behind them is a sink that is slow, and held up now and then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from operators.backpressure import backpressure
from operators.buffer import WhenFull, bounded_buffer
from operators.flow.capacity import Credits, Room
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.delivery import Delivery, Ledger, deliver
from operators.model.event import RECORD_BYTES, Change, Departure, RawEvent
from operators.model.outcome import Ending, Hold, Outcome
from streams.cluster.errors import UnreachableError
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.notice import Watched
from streams.sources.informer.source import informer_source
from tests.kit.model_api import ModelApi
from tests.kit.model_client import CONFIG_MAPS, Asked, ModelClient, Reply, refusal
from tests.unit.streams.cluster.virtual import VirtualLoop

NAMES = tuple(f"c{number:02}" for number in range(30))
SELECTED = Watched("", "v1", "configmaps", label_selector="in=yes")
STORED = Outcome(Ending.STORED)
FAULTS = ("reset", "410", "429", "500", "504")
STEPS = 120
RESYNCING = 0.3
CALM_SECONDS = 600.0
"""Virtual seconds within which everything must be known once faults have ended."""


class Pipe:
    """One pipeline, and what its sink was told."""

    def __init__(self, walk: Walk, watched: Watched) -> None:
        random = walk.random
        self.watched = watched
        self.walk = walk
        self.stored: dict[str, RawEvent] = {}
        self.busy: set[str] = set()
        self.hold: Hold | None = None
        self.is_never_quiet = random.random() < RESYNCING
        """Whether it is told of everything again and again, maybe sooner than it can take it in."""
        self.ledger = Ledger()
        capacity = random.choice([1, 3, 10, 100])
        self.room = Room(capacity, capacity_bytes=capacity * (RECORD_BYTES + 300))
        credits_ = Credits(random.choice([1, 2, 8]))
        self.source = informer_source(
            walk.manager,
            watched,
            room=self.room,
            resync_seconds=7.0 if self.is_never_quiet else 0.0,
            matters=self._remembers,
        )
        self.pipeline = self.source.events.pipe(
            deliver(self.ledger, clock=walk.loop.clock),
            bounded_buffer(self.room, credits_, when_full=WhenFull.SPILL),
            backpressure(credits_),
        ).subscribe(self._take)
        assert self.source.subscription is not None
        self.subscription = self.source.subscription

    def _remembers(self, key: str) -> bool:
        stored = self.stored.get(key)
        return stored is not None and stored.change is not Change.DELETED

    def _take(self, delivery: Delivery[RawEvent]) -> None:
        key = delivery.value.key
        assert key not in self.busy, "two of one subject on their way"
        self.busy.add(key)
        seconds = self.walk.random.choice([0.0, 0.01, 0.2, 1.0])
        self.walk.loop.call_later(seconds, self._end, delivery)

    def _end(self, delivery: Delivery[RawEvent]) -> None:
        event = delivery.value
        self.busy.discard(event.key)
        if self.hold is not None and self.hold.open:
            self.walk.reached["held"] += 1
            delivery.settle(Outcome(Ending.COALESCED, "spilled", hold=self.hold))
            return
        before = self.stored.get(event.key)
        if before is not None and event.version and before.version:
            assert int(event.version) >= int(before.version), "an older state after a newer one"
        self.stored[event.key] = event
        self.walk.reached[event.change] += 1
        if event.departure is Departure.LEFT_SELECTOR:
            self.walk.reached["left"] += 1
        delivery.settle(STORED)

    def check(self) -> None:
        assert self.ledger.balance == self.subscription.book.balance == 0
        assert self.subscription.handler_errors == 0
        assert 0 <= self.room.items <= self.room.capacity
        if not self.subscription.closed:
            assert self.subscription.book.received == self.ledger.received

    @property
    def told(self) -> dict[str, tuple[str, str]]:
        """What exists, for whoever believes the sink."""
        return {
            event.name: (event.uid, event.version)
            for event in self.stored.values()
            if event.change is not Change.DELETED
        }

    @property
    def true(self) -> dict[str, tuple[str, str]]:
        """What exists."""
        return {
            one.name: (one.uid, str(one.version))
            for one in self.walk.api.objects.values()
            if one.matches(self.watched.label_selector)
        }

    @property
    def is_done(self) -> bool:
        left = self.ledger.in_flight + self.subscription.dirty_count
        return self.told == self.true and (self.is_never_quiet or not left)

    def close(self) -> None:
        self.pipeline.dispose()


class Walk:
    """One schedule of changes, faults and pipelines that come and go, drawn from a seed."""

    def __init__(self, seed: int, loop: VirtualLoop) -> None:
        self.random = Random(seed)
        self.loop = loop
        self.reached: Counter[str] = Counter()
        self.api = ModelApi(page_objects=self.random.choice([3, 10, 50]))
        self.client = ModelClient(self.api)
        self.manager = InformerManager(
            self.client,
            discover=self.client.discover,
            clock=loop.clock,
            random=self.random.random,
        )
        self.pipes: list[Pipe] = []
        self.trouble = 0.0
        """How likely a request fails."""

    async def run(self) -> None:
        self.client.interfere = self._interfere
        for name in NAMES[: self.random.randrange(len(NAMES))]:
            self._put(name)
        self._join()
        for _ in range(STEPS):
            self.random.choices(*zip(*self._moves, strict=True))[0]()
            await self._rest(self.random.choice([0.0, 0.01, 0.05, 0.3, 2.0]))
        await self._calm()
        assert self.manager.failures == []
        await self.manager.close()

    @property
    def _moves(self) -> list[tuple[Callable[[], Any], int]]:
        return [
            (lambda: self._put(self.random.choice(NAMES)), 30),
            (self._delete, 12),
            (self._remake, 5),
            (self._burst, 3),
            (self._hold, 3),
            (self._release, 4),
            (self._cut, 4),
            (self._hush, 3),
            (self._forget, 3),
            (self._join, 2),
            (self._leave, 1),
            (lambda: setattr(self, "trouble", self.random.choice([0.0, 0.0, 0.3, 0.7])), 4),
        ]

    async def _rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for pipe in self.pipes:
            pipe.check()

    async def _calm(self) -> None:
        """End all faults; then everybody must come to know everything."""
        self.trouble = 0.0
        for watch in self.client.watches:
            watch.is_silent = False
        for pipe in self.pipes:
            self._open(pipe)
        deadline = self.loop.time() + CALM_SECONDS
        while not all(pipe.is_done for pipe in self.pipes):
            assert self.loop.time() < deadline, self._what_is_missing()
            await self._rest(0.5)

    def _what_is_missing(self) -> str:
        return "\n".join(
            f"{pipe.watched.label_selector!r}: told {set(pipe.told.items()) - set(pipe.true.items())}, true "
            f"{set(pipe.true.items()) - set(pipe.told.items())}, in flight {pipe.ledger.in_flight}, "
            f"due {list(pipe.subscription.marks.due)}, gone {pipe.subscription.marks.gone}"
            for pipe in self.pipes
            if not pipe.is_done
        )

    def _put(self, name: str) -> None:
        self.api.put(name, **{"in": self.random.choice(["yes", "yes", "no"])})

    def _delete(self) -> None:
        if self.api.objects:
            self.api.delete(self.random.choice(sorted(self.api.objects)))

    def _remake(self) -> None:
        if self.api.objects:
            name = self.random.choice(sorted(self.api.objects))
            self.api.delete(name)
            self._put(name)

    def _burst(self) -> None:
        for name in NAMES:
            self._put(name)

    def _hold(self) -> None:
        pipe = self.random.choice(self.pipes)
        if pipe.hold is None:
            try_at_ns = self.loop.clock() + 2 * NANOSECONDS_PER_SECOND
            pipe.hold = Hold("quota", detail="", try_at_ns=try_at_ns)

    def _release(self) -> None:
        self._open(self.random.choice(self.pipes))

    def _open(self, pipe: Pipe) -> None:
        if pipe.hold is not None:
            pipe.hold.open = False
            pipe.hold = None
            pipe.subscription.poke()

    def _cut(self) -> None:
        for watch in self.client.watches:
            watch.is_cut = True

    def _hush(self) -> None:
        for watch in self.client.watches[-2:]:
            watch.is_silent = not watch.is_silent

    def _forget(self) -> None:
        self.api.forget()

    def _join(self) -> None:
        if len(self.pipes) < 4:
            self.pipes.append(Pipe(self, self.random.choice([CONFIG_MAPS, SELECTED])))

    def _leave(self) -> None:
        if len(self.pipes) > 1:
            self.pipes.pop(self.random.randrange(len(self.pipes))).close()

    async def _interfere(self, asked: Asked) -> Reply | None:
        if self.random.random() < 0.1:
            await asyncio.sleep(self.random.choice([0.05, 0.5]))
        if self.random.random() >= self.trouble:
            return None
        fault = self.random.choice(FAULTS)
        self.reached[f"{asked.verb} {fault}"] += 1
        if fault == "reset":
            raise UnreachableError("reset")
        return refusal(int(fault), "Expired" if fault == "410" else "")
