"""The whole walk, from delivery to settlement, with a sink that is slow, fails and settles in any order.

Law, bounds, order and liveness hold at every moment; at the end each subject's last word is what is stored. Sources,
time and sink are the test's own, all between them is the product's; the mutants at its seams must die.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.subject import Subject as RxSubject

from operators.buffer import Buffer, Gate, WhenFull
from operators.decode import Normalise, subject_name
from operators.deduplicate import NOTHING_TO_RESOLVE, Dedup, Memory
from operators.filter import Filter, Rules
from operators.flow.capacity import Credits
from operators.flow.delivery import Delivery, Operator, Ticket
from operators.model.event import RECORD_BYTES, Change, Kind, RawEvent
from operators.model.index import Index, Known
from operators.model.observation import Observation
from operators.model.outcome import LOST, SPILLED, Ending, Outcome
from operators.throttle import Line, Throttle, WhenOver
from sinks.sink import Sink
from streams.runtime.pipeline import Books, Specs, compose
from tests.kit.machines import dies, reach, survive, survivors
from tests.kit.slow_sink import SlowSink
from tests.kit.timers import VirtualTime

NAMES = "abcd"
KIND = Kind("example.org", "v1", "things", "Thing", namespaced=True)
NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
T0 = "2026-11-26T05:00:00Z"
OWNER = Normalise(ingester_namespace="d", ingester="i", source="s")
SECOND = 1_000_000_000
WALKS, STEPS = 200, 25
FLOOR = 5
CAPACITY_BYTES = 8 * RECORD_BYTES

GAVE_UP = Outcome(Ending.DEAD_LETTERED, "gave_up")
WANTED, OTHER, UNWANTED, BROKEN = (
    b'{"severity": "HIGH"}',
    b'{"severity": "CRITICAL"}',
    b'{"severity": "LOW"}',
    b"{",
)
LARGE = b'{"severity": "HIGH", "x": "%b"}' % (b"x" * CAPACITY_BYTES)
BODIES = (*[WANTED] * 5, *[OTHER] * 4, *[UNWANTED] * 4, BROKEN, LARGE)
CHANGES = (Change.MODIFIED, Change.MODIFIED, Change.MODIFIED, Change.RESYNC, Change.DELETED)
OFFER = st.tuples(st.sampled_from(NAMES), st.sampled_from(CHANGES), st.sampled_from(BODIES))
THROTTLES = (
    None,
    Throttle(per_second=1, most_waiting=9),
    Throttle(per_second=2, burst=2, most_waiting=9),
    Throttle(per_second=4, burst=3, when_over=WhenOver.END),
)
reached: Counter[str] = Counter()


def name_of(name: str) -> str:
    return subject_name(OWNER, KIND.group, KIND.resource, namespace="n", name=name)


def fingerprint_of(raw: bytes, name: str) -> str:
    """What the genuine normaliser makes of a state."""
    source: RxSubject[RawEvent] = RxSubject()
    books = Books.empty(Buffer())
    specs = Specs(buffer=Buffer(), normalise=OWNER, filter=Filter(), dedup=Dedup())
    sink = SlowSink(books.index, now=lambda: NOW)
    subscription = composed(specs, source, sink, books=books, time=VirtualTime()).subscribe()
    source.on_next(RawEvent(KIND, Change.ADDED, "n", name, "u", "1", raw))
    sink.settle(0)
    subscription.dispose()
    return sink.stored[name_of(name)]


def composed(
    specs: Specs,
    source: Observable[RawEvent],
    sink: SlowSink,
    *,
    books: Books,
    time: VirtualTime,
) -> Observable[Delivery[Observation]]:
    return compose(
        specs,
        source,
        sink,
        books=books,
        clock=time.clock,
        call_later=time.call_later,
        now=lambda: NOW,
        tell=lambda _: None,
    )


FINGERPRINTS = {
    (raw, name): fingerprint_of(raw, name) for raw in (WANTED, OTHER, UNWANTED) for name in NAMES
}


class Walking(RuleBasedStateMachine):
    @initialize(
        capacity=st.integers(2, 9),
        limit=st.integers(1, 4),
        policy=st.sampled_from([WhenFull.SPILL, WhenFull.SPILL, *WhenFull]),
        pace=st.sampled_from(THROTTLES),
        dedup_first=st.booleans(),
        filters=st.booleans(),
        rebuilt=st.fixed_dictionaries(
            dict.fromkeys(NAMES, st.sampled_from([None, None, WANTED, UNWANTED]))
        ),
    )
    def begin(
        self,
        capacity: int,
        limit: int,
        policy: WhenFull,
        pace: Throttle | None,
        rebuilt: dict[str, bytes | None],
        *,
        dedup_first: bool,
        filters: bool,
    ) -> None:
        self.filters = filters
        specs = Specs(
            buffer=Buffer(
                capacity=capacity,
                capacity_bytes=CAPACITY_BYTES,
                in_flight=limit,
                when_full=policy,
            ),
            normalise=OWNER,
            filter=Filter(min_severity="HIGH" if filters else None),
            dedup=Dedup(),
            dedup_first=dedup_first,
            throttle=pace,
        )
        self.books = Books.empty(specs.buffer)
        self.time = VirtualTime()
        self.sink = SlowSink(self.books.index, now=lambda: NOW)
        there = {name: raw for name, raw in rebuilt.items() if raw is not None}
        for name, raw in there.items():
            fingerprint = FINGERPRINTS[raw, name]
            self.sink.stored[name_of(name)] = fingerprint
            self.books.index.put(name_of(name), Known(fingerprint, T0, T0))
        self.offered: dict[str, tuple[int, Change, bytes]] = {}
        self.endings: dict[int, Outcome] = {}
        self.numbers: dict[int, int] = {}
        """When an event began to its number."""
        self.arrived: dict[str, int] = {}
        self.count = self.completed = 0
        self.stopped = self.finished = False
        self.source: RxSubject[RawEvent] = RxSubject()
        self.subscription = composed(
            specs, self.source, self.sink, books=self.books, time=self.time
        ).subscribe(on_completed=self.complete)
        for name, raw in there.items():
            self.push(name, Change.ADDED, raw)

    def complete(self) -> None:
        self.completed += 1

    def acknowledge(self, raw: RawEvent, outcome: Outcome) -> None:
        number = int(raw.version)
        assert number not in self.endings
        self.endings[number] = outcome
        feature = outcome.operation or f"{outcome.ending} {outcome.reason}"
        if outcome.operation == "resolved" and outcome.reason:
            feature = "resolved by a rule"
        elif outcome.ending is Ending.DROPPED:
            feature = "dropped"
        reached[feature] += 1
        event(feature)

    def push(self, name: str, change: Change, raw: bytes) -> None:
        self.count += 1
        self.offered[name] = self.count, change, raw
        self.time.advance(1)
        self.numbers[self.time.now_ns] = self.count
        version = str(self.count)
        self.source.on_next(
            RawEvent(KIND, change, "n", name, "u", version, raw, acknowledge=self.acknowledge)
        )

    @precondition(lambda self: not (self.stopped or self.finished))
    @rule(offers=st.lists(OFFER, min_size=1, max_size=5))
    def offer(self, offers: list[tuple[str, Change, bytes]]) -> None:
        for offer in offers:
            self.push(*offer)

    @precondition(lambda self: self.sink.pending)
    @rule(
        places=st.lists(st.integers(0, 3), min_size=1, max_size=3),
        outcome=st.sampled_from([None, None, None, None, None, GAVE_UP, SPILLED]),
    )
    def settle(self, places: list[int], outcome: Outcome | None) -> None:
        for place in places:
            if self.sink.pending:
                self.sink.settle(place % len(self.sink.pending), outcome)

    @rule(quarters=st.integers(1, 12))
    def advance(self, quarters: int) -> None:
        self.time.advance(quarters * SECOND // 4)

    @precondition(lambda self: self.count > 15)
    @rule()
    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self.subscription.dispose()

    @precondition(lambda self: self.count > 20)
    @rule()
    def finish(self) -> None:
        if not (self.stopped or self.finished):
            self.finished = True
            reached["finished"] += 1
            self.source.on_completed()

    @invariant()
    def keeps_the_law_and_the_bounds(self) -> None:
        if not hasattr(self, "books"):
            return
        ledger, room, credits_ = self.books.ledger, self.books.room, self.books.credits
        assert ledger.balance == 0
        assert ledger.received == self.count
        assert Counter((it.ending, it.reason) for it in self.endings.values()) == ledger.endings
        assert ledger.in_flight == room.items == self.count - len(self.endings) <= room.capacity
        assert 0 <= room.bytes <= room.capacity_bytes
        assert len(self.sink.pending) <= credits_.taken <= credits_.limit
        assert ledger.ended(Ending.FAILED) == 0
        over = self.finished and not self.stopped and not ledger.in_flight
        assert self.completed == over or self.stopped

    @invariant()
    def keeps_the_order_of_every_subject(self) -> None:
        if not hasattr(self, "books"):
            return
        names = [one.value.name for one in self.sink.pending]
        assert len(names) == len({*names}), "two states of one subject on their way"
        for one in self.sink.pending:
            number = self.numbers[one.ticket.began_ns]
            assert number >= self.arrived.get(one.value.name, 0), "an older state came later"
            self.arrived[one.value.name] = number

    def teardown(self) -> None:
        if not hasattr(self, "books"):
            return
        self.quiesce()
        if not (self.stopped or self.finished):
            self.read_again()
        assert self.books.ledger.in_flight == self.books.room.items == self.books.credits.taken == 0
        for name, offered in self.offered.items():
            self.has_the_last_word(name, *offered)

    def quiesce(self) -> None:
        """Liveness: nothing waits for ever once the sink settles and time passes."""
        for _ in range(3 * (len(self.endings) + self.books.ledger.in_flight + 1)):
            if not self.books.ledger.in_flight:
                break
            while self.sink.pending:
                self.sink.settle(0)
            self.time.advance(SECOND)
            self.keeps_the_law_and_the_bounds()
        assert not self.books.ledger.in_flight, "somebody waits for ever"

    def read_again(self) -> None:
        """What an informer does for what was spilled: its subjects come once more when there is room."""
        for name, (number, change, raw) in list(self.offered.items()):
            if self.endings[number].reason == SPILLED.reason:
                reached["read again"] += 1
                self.push(name, change, raw)
                self.quiesce()
                self.time.advance(2 * SECOND)

    def has_the_last_word(self, name: str, number: int, change: Change, raw: bytes) -> None:
        ending = self.endings[number]
        if ending.ending in LOST or ending.ending in {Ending.THROTTLED, Ending.COALESCED}:
            return
        is_wanted = raw in {WANTED, OTHER} or (raw == UNWANTED and not self.filters)
        stored = self.sink.stored.get(name_of(name))
        if change is not Change.DELETED and is_wanted:
            assert stored == FINGERPRINTS[raw, name], (ending, raw)
        else:
            assert stored is None, (ending, raw)
        reached["last words"] += 1


FEATURES = (
    *("created", "updated", "resolved", "resolved by a rule", "deduplicated unchanged"),
    *("filtered minSeverity HIGH", "filtered nothing to resolve", "coalesced newer"),
    *("coalesced spilled", "dropped", "throttled over_rate", "interrupted stopped"),
    *("dead_lettered undecodable", "dead_lettered too_large", "dead_lettered gave_up"),
    *("finished", "read again", "last words"),
)


@pytest.mark.timeout(120)
def test_the_whole_walk_keeps_what_is_promised() -> None:
    reach(survive(Walking, walks=WALKS, steps=STEPS), reached, FEATURES, floor=FLOOR)


Walked = Delivery[Observation]


def unbounded(credits_: Credits) -> Operator[Walked, Walked]:
    """Takes no credit."""
    del credits_
    return lambda source: source


def keeping(credits_: Credits) -> Operator[Walked, Walked]:
    """Gives no credit back."""
    return rx_ops.do_action(lambda _: credits_.take())


def unfiltered(spec: Filter, index: Index) -> Operator[Walked, Walked]:
    del spec, index
    return lambda source: source


def twice(sink: Sink) -> Operator[Walked, Walked]:
    def give(delivery: Walked) -> None:
        sink.accept(delivery)
        sink.accept(delivery)

    return rx_ops.do_action(give)


def silent(_name: str, decide: Callable[[Any], Any], **_: Any) -> Operator[Any, Any]:
    """Ends without settling."""

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], _: Any = None) -> abc.DisposableBase:
            def on_next(delivery: Delivery[Any]) -> None:
                verdict = decide(delivery.value)
                if not isinstance(verdict, Outcome):
                    observer.on_next(delivery.carry(verdict))

            return source.subscribe(on_next, observer.on_error, observer.on_completed)

        return Observable(subscribe)

    return operator


def content(_rules: Rules, _observation: Observation) -> bool:
    return True


def closed(_index: Index, _name: str) -> bool:
    return False


class Hasty(Memory):
    """Remembers before the sink has confirmed."""

    def verdict(self, observation: Observation) -> Outcome | None:
        said = super().verdict(observation)
        if said is None and observation.gone is None:
            self._index.put(observation.name, Known(observation.fingerprint, T0, T0))
        return said


class Final(Memory):
    """Takes what is resolved for what is known."""

    def verdict(self, observation: Observation) -> Outcome | None:
        known = self._index.get(observation.name)
        if known is not None and known.fingerprint == observation.fingerprint:
            return Outcome(Ending.DEDUPLICATED, "unchanged")
        return super().verdict(observation)


class Immortal(Memory):
    """Never resolves."""

    def verdict(self, observation: Observation) -> Outcome | None:
        return NOTHING_TO_RESOLVE if observation.gone is not None else super().verdict(observation)


class Overtaking(Gate):
    def _waiting(self, key: object) -> dict[object, Delivery[RawEvent]]:
        del key
        return self._ready


class Starving(Gate):
    """Forgets who waits behind."""

    def _settled(self, ticket: Ticket) -> None:
        self._on_their_way.pop(ticket.key, None)
        super()._settled(ticket)


class Stuck(Line[RawEvent]):
    """Sets its timer once."""

    def _release(self) -> None:
        super()._release()
        if self._timer is not None:
            self._timer.cancel()


MUTANTS: tuple[tuple[str, Any], ...] = (
    ("streams.runtime.pipeline.backpressure", unbounded),
    ("streams.runtime.pipeline.backpressure", keeping),
    ("streams.runtime.pipeline.keep", unfiltered),
    ("streams.runtime.pipeline.write_to", twice),
    ("operators.decode.stage", silent),
    ("operators.filter.stage", silent),
    ("operators.filter.Rules.want", content),
    ("operators.model.index.Index.is_open", closed),
    ("operators.deduplicate.Memory", Hasty),
    ("operators.deduplicate.Memory", Final),
    ("operators.deduplicate.Memory", Immortal),
    ("operators.buffer.Gate", Overtaking),
    ("operators.buffer.Gate", Starving),
    ("operators.throttle.Line", Stuck),
)


@pytest.mark.timeout(120)
def test_a_walk_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = [
        f"{place}: {mutant}"
        for place, mutant in MUTANTS
        if survivors((mutant,), place=place, check=kills, patch=monkeypatch)
    ]
    assert alive == []


def kills() -> bool:
    return dies(Walking, steps=STEPS)
