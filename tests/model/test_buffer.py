"""Random walks of the bounded buffer against plain lists: law, bound, order and liveness together."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from reactivex.subject import Subject

from operators.backpressure import backpressure
from operators.buffer import WhenFull, bounded_buffer
from operators.delivery import Delivery, Ledger, deliver
from operators.event import RECORD_BYTES, Change, Kind, RawEvent
from operators.outcome import Ending, Outcome
from operators.room import Credits, Room

KIND = Kind("", "v1", "things", "Thing", namespaced=True)
STORED = Outcome(Ending.STORED)
WALKS = 400
STEPS = 120


class Walk:
    def __init__(self, seed: int, policy: WhenFull) -> None:
        self.dice = random.Random(seed)
        self.room = Room(self.dice.randrange(1, 6), capacity_bytes=5 * RECORD_BYTES)
        self.credits = Credits(self.dice.randrange(1, 4))
        self.ledger = Ledger()
        self.out: list[Delivery[RawEvent]] = []
        self.offered: dict[str, int] = {}
        self.passed: dict[str, int] = {}
        self.source: Subject[RawEvent] = Subject()
        self.subscription = self.source.pipe(
            deliver(self.ledger, clock=lambda: 0),
            bounded_buffer(self.room, self.credits, when_full=policy),
            backpressure(self.credits),
        ).subscribe(self.arrived)

    def arrived(self, delivery: Delivery[RawEvent]) -> None:
        key, number = delivery.value.key, int(delivery.value.version)
        assert number > self.passed.get(key, 0), "an older state overtook a newer one"
        assert all(one.value.key != key for one in self.out), "two of one key on their way"
        self.passed[key] = number
        self.out.append(delivery)
        if self.dice.random() < 0.2:
            self.settle(len(self.out) - 1)

    def settle(self, place: int) -> None:
        self.out.pop(place).settle(STORED)

    def offer(self) -> None:
        name = f"k{self.dice.randrange(4)}"
        number = self.offered.get(f"n/{name}", 0) + 1
        self.offered[f"n/{name}"] = number
        raw = b"x" * self.dice.choice([0, 10, RECORD_BYTES, 6 * RECORD_BYTES])
        event = RawEvent(KIND, Change.MODIFIED, "n", name, "u", str(number), raw)
        self.source.on_next(event)

    def step(self) -> None:
        if self.out and self.dice.random() < 0.45:
            self.settle(self.dice.randrange(len(self.out)))
        else:
            self.offer()
        assert self.ledger.balance == 0
        assert 0 <= self.room.items <= self.room.capacity
        assert 0 <= self.room.bytes <= self.room.capacity_bytes
        assert self.ledger.in_flight == self.room.items
        assert self.credits.taken == len(self.out) <= self.credits.limit


@pytest.mark.parametrize("policy", [WhenFull.SPILL, WhenFull.DROP_OLDEST, WhenFull.DROP_NEWEST])
def test_walks(policy: WhenFull) -> None:
    reached: Counter[str] = Counter()
    for seed in range(WALKS):
        walk = Walk(seed, policy)
        for _ in range(STEPS):
            walk.step()
        if seed % 4 == 0:
            walk.subscription.dispose()
        while walk.out:
            walk.settle(0)
        assert walk.ledger.in_flight == walk.room.items == walk.credits.taken == 0, (
            "somebody waits for ever"
        )
        assert walk.ledger.balance == 0
        reached.update(f"{ending.value} {reason}".strip() for ending, reason in walk.ledger.endings)
    print(policy, dict(reached))
    wanted = {"stored", "coalesced newer", "dead_lettered too_large", "interrupted stopped"}
    wanted.add("coalesced spilled" if policy is WhenFull.SPILL else "dropped full")
    for ending in wanted:
        floor = WALKS // 40
        assert reached[ending] >= floor, (ending, reached)


def test_a_state_that_is_not_dropped_arrives_last() -> None:
    walk = Walk(7, WhenFull.SPILL)
    walk.offer()
    while walk.out:
        walk.settle(0)
    assert walk.passed.keys() <= walk.offered.keys()
