"""The reflector through a thousand schedules of changes and faults; and reflectors with a defect, which must fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from random import Random

import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Change
from streams.sources.informer.decode import DecodedObject, ObjectReader
from streams.sources.informer.listing import Listing, NotDelivered, ReflectorOutput
from streams.sources.informer.reflector import Fault, Reflector, Wait
from streams.sources.informer.store import ObjectChange, Store
from streams.sources.informer.target import WatchTarget
from tests.model.reflector_walks import EVENTS, FIRST_MINUTE_NS, Make, Walk, WrongError

SEEDS = 1000
MUTANT_SEEDS = 200
FLOORS = {
    "re-created": 1000,
    "kind missing": 50,
    "list 500": 300,
    "list cut": 100,
    "list 410": 100,
    "token expired": 100,
    "relist not older than": 300,
    "watch 500": 300,
    "watch 410": 100,
    "watch cut": 300,
    "in-stream 410": 100,
    "in-stream 500": 100,
    "idle": 100,
    "duplicate": 500,
    "bookmark lost": 1000,
    "deletion inferred": 500,
}


def genuine(target: WatchTarget, random: Random) -> tuple[Reflector, Store]:
    store = Store()
    return Reflector(target, store, ObjectReader(), random=random.random), store


@pytest.mark.timeout(60)
def test_whatever_happens_the_store_ends_as_the_server_and_every_change_was_true() -> None:
    reached = Counter[str]()
    for seed in range(SEEDS):
        walk = Walk(seed, genuine)
        try:
            walk.run()
        except WrongError as error:
            pytest.fail(f"seed {seed}: {error}")
        reached += walk.reached
    print("reached:", dict(sorted(reached.items())))
    short = {name: reached[name] for name, floor in FLOORS.items() if reached[name] < floor}
    assert not short


class ForgettingDeletes(Store):
    def retain(self, listed: Collection[str], *, at_version: str) -> Iterator[ObjectChange]:
        del listed, at_version
        return iter(())


class ByName(Store):
    def observe(self, found: DecodedObject, *, initial: bool = False) -> list[ObjectChange]:
        news = super().observe(found, initial=initial)
        return [self.change(found, Change.MODIFIED)] if len(news) > 1 else news


class Repeating(Store):
    def observe(self, found: DecodedObject, *, initial: bool = False) -> list[ObjectChange]:
        known = self.version(found.key)
        news = super().observe(found, initial=initial)
        return [self.change(found, Change.MODIFIED)] if known == found.version else news


class KeepingPages(Listing):
    def begin(self, *, fresh: bool) -> None:
        listed = self._listed
        super().begin(fresh=fresh)
        self._listed = listed


class KeepingVersion(Reflector):
    def _redirect(self, fault: Fault) -> None:
        if fault is not Fault.EXPIRED:
            super()._redirect(fault)


class TakingErrorsForEnds(Reflector):
    def on_line(self, line: bytes, now_ns: int) -> ReflectorOutput:
        if b'"code":410' in line:
            self.on_watch_ended(now_ns)
            return ReflectorOutput(not_delivered=1, reason=NotDelivered.SERVER_ERROR)
        return super().on_line(line, now_ns)


class DeafToBookmarks(Reflector):
    def on_line(self, line: bytes, now_ns: int) -> ReflectorOutput:
        if b'"BOOKMARK"' in line:
            return ReflectorOutput(not_delivered=1, reason=NotDelivered.BOOKMARK)
        return super().on_line(line, now_ns)


def with_store(kind: type[Store]) -> Make:
    def make(target: WatchTarget, random: Random) -> tuple[Reflector, Store]:
        store = kind()
        return Reflector(target, store, ObjectReader(), random=random.random), store

    return make


def with_reflector(kind: type[Reflector]) -> Make:
    def make(target: WatchTarget, random: Random) -> tuple[Reflector, Store]:
        store = Store()
        return kind(target, store, ObjectReader(), random=random.random), store

    return make


class PartialPages(Reflector):
    def __init__(
        self, target: WatchTarget, store: Store, reader: ObjectReader, *, random: object
    ) -> None:
        del random
        super().__init__(target, store, reader, random=lambda: 0.5)
        self._listing = KeepingPages(target, store, reader)


MUTANTS = {
    "no delete diff": with_store(ForgettingDeletes),
    "identity by name": with_store(ByName),
    "version kept after 410": with_reflector(KeepingVersion),
    "partial pages kept": with_reflector(PartialPages),
    "modified on unchanged relist": with_store(Repeating),
    "in-stream 410 as an end": with_reflector(TakingErrorsForEnds),
    "bookmark ignored": with_reflector(DeafToBookmarks),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_reflector_with_a_defect_is_found_out(name: str) -> None:
    for seed in range(MUTANT_SEEDS):
        try:
            Walk(seed, MUTANTS[name]).run()
        except WrongError as error:
            print(f"{name}: seed {seed}: {error}")
            return
    pytest.fail(f"{name} lived through {MUTANT_SEEDS} seeds")


@pytest.mark.parametrize("fault", list(Fault))
def test_whatever_goes_wrong_all_the_time_there_are_at_most_20_failures_in_a_minute(
    fault: Fault,
) -> None:
    reflector, _ = genuine(EVENTS, Random(7))
    now_ns = failures = 0
    while now_ns < FIRST_MINUTE_NS:
        step = reflector.next_step(now_ns)
        if isinstance(step, Wait):
            now_ns = step.until_ns
            continue
        reflector.on_failure(fault, "always", now_ns=now_ns)
        failures += 1
        now_ns += NANOSECONDS_PER_SECOND // 1000
    assert 3 <= failures <= 20
