"""The reflector through a thousand schedules of changes and faults; and reflectors with a defect, which must fail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from random import Random

import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Change
from streams.sources.informer.book import Silence
from streams.sources.informer.condition import Fault
from streams.sources.informer.decode import Found
from streams.sources.informer.listing import Listing
from streams.sources.informer.notice import Notice, Watched
from streams.sources.informer.reflector import Reflector
from streams.sources.informer.steps import Heard, Wait
from streams.sources.informer.store import Store
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


def genuine(watched: Watched, random: Random) -> tuple[Reflector, Store]:
    store = Store()
    return Reflector(watched, store, random=random.random), store


@pytest.mark.timeout(60)
def test_whatever_happens_the_store_ends_as_the_server_and_every_notice_was_true() -> None:
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
    def retain(self, listed: Collection[str], *, at_version: str) -> list[Notice]:
        del listed, at_version
        return []


class ByName(Store):
    def observe(self, found: Found, *, initial: bool = False) -> list[Notice]:
        news = super().observe(found, initial=initial)
        return [found.notice(Change.MODIFIED)] if len(news) > 1 else news


class Repeating(Store):
    def observe(self, found: Found, *, initial: bool = False) -> list[Notice]:
        known = self.version(found.key)
        news = super().observe(found, initial=initial)
        return [found.notice(Change.MODIFIED)] if known == found.version else news


class KeepingPages(Listing):
    def begin(self, *, fresh: bool) -> None:
        seen = self._seen
        super().begin(fresh=fresh)
        self._seen = seen


class KeepingVersion(Reflector):
    def _turn(self, fault: Fault) -> None:
        if fault is not Fault.EXPIRED:
            super()._turn(fault)


class TakingErrorsForEnds(Reflector):
    def line(self, text: bytes, now_ns: int) -> Heard:
        if b'"code":410' in text:
            self.ended(now_ns)
            return Heard(silent=1, why=Silence.SERVER_ERROR)
        return super().line(text, now_ns)


class DeafToBookmarks(Reflector):
    def line(self, text: bytes, now_ns: int) -> Heard:
        if b'"BOOKMARK"' in text:
            return Heard(silent=1, why=Silence.BOOKMARK)
        return super().line(text, now_ns)


def with_store(kind: type[Store]) -> Make:
    def make(watched: Watched, random: Random) -> tuple[Reflector, Store]:
        store = kind()
        return Reflector(watched, store, random=random.random), store

    return make


def with_reflector(kind: type[Reflector]) -> Make:
    def make(watched: Watched, random: Random) -> tuple[Reflector, Store]:
        store = Store()
        return kind(watched, store, random=random.random), store

    return make


class PartialPages(Reflector):
    def __init__(self, watched: Watched, store: Store, *, random: object) -> None:
        del random
        super().__init__(watched, store, random=lambda: 0.5)
        self._listing = KeepingPages(watched, store)


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
        step = reflector.next(now_ns)
        if isinstance(step, Wait):
            now_ns = step.until_ns
            continue
        reflector.failed(fault, "always", now_ns=now_ns)
        failures += 1
        now_ns += NANOSECONDS_PER_SECOND // 1000
    assert 3 <= failures <= 20
