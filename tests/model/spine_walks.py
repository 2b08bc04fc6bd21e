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
from operators.model.event import (
    RECORD_BYTES,
    ObjectState,
    RawEvent,
    RemovalReason,
    Tombstone,
)
from operators.model.outcome import Ending, Outcome, Suspension
from streams.cluster.errors import UnreachableError
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.source import InformerSource
from streams.sources.informer.subscription import Subscription, SubscriptionOptions
from streams.sources.informer.target import WatchTarget
from tests.kit.model_api import ModelApi
from tests.kit.model_client import CONFIG_MAPS, Asked, ModelClient, Reply, refusal
from tests.unit.streams.cluster.virtual import VirtualLoop

NAMES = tuple(f"c{number:02}" for number in range(30))
SELECTED = WatchTarget("", "v1", "configmaps", label_selector="in=yes")
STORED = Outcome(Ending.STORED)
FAULTS = ("reset", "410", "429", "500", "504")
STEPS = 120
RESYNCING = 0.3
CALM_SECONDS = 600.0
"""Virtual seconds within which everything must be known once faults have ended."""


REMOVED = "REMOVED"


def state_of(event: RawEvent) -> ObjectState | Tombstone:
    assert isinstance(event.payload, ObjectState | Tombstone)
    return event.payload


def change_of(event: RawEvent) -> str:
    payload = state_of(event)
    return payload.change if isinstance(payload, ObjectState) else REMOVED


class Pipe:
    """One pipeline, and what its sink was given."""

    def __init__(self, walk: Walk, target: WatchTarget) -> None:
        random = walk.random
        self.target = target
        self.walk = walk
        self.stored: dict[str, RawEvent] = {}
        self.busy: set[str] = set()
        self.suspension: Suspension | None = None
        self.is_never_quiet = random.random() < RESYNCING
        """Whether everything is sent to it again and again, maybe sooner than it can take it in."""
        self.ledger = Ledger()
        capacity = random.choice([1, 3, 10, 100])
        self.room = Room(capacity, capacity_bytes=capacity * (RECORD_BYTES + 300))
        credits_ = Credits(random.choice([1, 2, 8]))
        self.source = InformerSource(
            walk.manager,
            target,
            name="maps",
            options=SubscriptionOptions(
                self.room,
                resync_seconds=7.0 if self.is_never_quiet else 0.0,
                is_tracked=self._remembers,
            ),
            now_ns=walk.loop.clock,
        )
        self.pipeline = self.source.events.pipe(
            deliver(self.ledger, clock=walk.loop.clock),
            bounded_buffer(self.room, credits_, when_full=WhenFull.SPILL),
            backpressure(credits_),
        ).subscribe(self._take)
        self.subscription = walk.subscription_of(target)

    def _remembers(self, key: str) -> bool:
        stored = self.stored.get(key)
        return stored is not None and isinstance(stored.payload, ObjectState)

    def _take(self, delivery: Delivery[RawEvent]) -> None:
        key = delivery.value.key
        assert key is not None
        assert key not in self.busy, "two of one subject in flight"
        self.busy.add(key)
        seconds = self.walk.random.choice([0.0, 0.01, 0.2, 1.0])
        self.walk.loop.call_later(seconds, self._end, delivery)

    def _end(self, delivery: Delivery[RawEvent]) -> None:
        event = delivery.value
        key, payload = event.key, state_of(event)
        assert key is not None
        self.busy.discard(key)
        suspension = self.suspension
        if suspension is not None and suspension.is_open:
            self.walk.reached["suspended"] += 1
            delivery.settle(Outcome(Ending.COALESCED, "spilled", suspension=suspension))
            return
        before = self.stored.get(key)
        versions = payload.version, state_of(before).version if before is not None else ""
        if all(versions):
            assert int(versions[0]) >= int(versions[1]), "an older state after a newer one"
        self.stored[key] = event
        self.walk.reached[change_of(event)] += 1
        if isinstance(payload, Tombstone) and payload.reason is RemovalReason.LEFT_SELECTOR:
            self.walk.reached["left"] += 1
        delivery.settle(STORED)

    def check(self) -> None:
        assert self.ledger.balance == self.subscription.read_counts.balance == 0
        assert self.subscription.handler_errors == 0
        assert 0 <= self.room.items <= self.room.capacity
        if not self.subscription.closed:
            assert self.subscription.read_counts.received == self.ledger.received

    @property
    def believed(self) -> dict[str, tuple[str, str]]:
        """What exists, by what the sink was given."""
        return {
            event.subject.name: (event.payload.uid, event.payload.version)
            for event in self.stored.values()
            if event.subject is not None and isinstance(event.payload, ObjectState)
        }

    @property
    def true(self) -> dict[str, tuple[str, str]]:
        """What exists."""
        return {
            one.name: (one.uid, str(one.version))
            for one in self.walk.api.objects.values()
            if one.matches(self.target.label_selector)
        }

    @property
    def is_done(self) -> bool:
        left = self.ledger.in_flight + self.subscription.dirty_objects
        return self.believed == self.true and (self.is_never_quiet or not left)

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

    def subscription_of(self, target: WatchTarget) -> Subscription:
        """The newest subscription to a target."""
        (informer,) = (it for it in self.manager.informers if it.target == target)
        return informer.subscriptions[-1]

    @property
    def _moves(self) -> list[tuple[Callable[[], Any], int]]:
        return [
            (lambda: self._put(self.random.choice(NAMES)), 30),
            (self._delete, 12),
            (self._remake, 5),
            (self._burst, 3),
            (self._suspend, 3),
            (self._resume, 4),
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
        """End all faults; then every pipeline must come to know everything."""
        self.trouble = 0.0
        for watch in self.client.watches:
            watch.is_silent = False
        for pipe in self.pipes:
            self._end_suspension(pipe)
        deadline = self.loop.time() + CALM_SECONDS
        while not all(pipe.is_done for pipe in self.pipes):
            assert self.loop.time() < deadline, self._what_is_missing()
            await self._rest(0.5)

    def _what_is_missing(self) -> str:
        return "\n".join(
            f"{pipe.target.label_selector!r}: believed {set(pipe.believed.items()) - set(pipe.true.items())}, "
            f"true {set(pipe.true.items()) - set(pipe.believed.items())}, in flight "
            f"{pipe.ledger.in_flight}, dirty {pipe.subscription.dirty_objects}"
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

    def _suspend(self) -> None:
        pipe = self.random.choice(self.pipes)
        if pipe.suspension is None:
            retry_at_ns = self.loop.clock() + 2 * NANOSECONDS_PER_SECOND
            pipe.suspension = Suspension("quota", detail="", retry_at_ns=retry_at_ns)

    def _resume(self) -> None:
        self._end_suspension(self.random.choice(self.pipes))

    def _end_suspension(self, pipe: Pipe) -> None:
        if pipe.suspension is not None:
            pipe.suspension.is_open = False
            pipe.suspension = None
            pipe.source.notify_resumed()

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
