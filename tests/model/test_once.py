"""Random histories of occurrences against plain lists: law, bound, order, liveness, and what a restart rebuilds."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from reactivex.subject import Subject as Source

from operators.backpressure import backpressure
from operators.buffer import WhenFull, bounded_buffer
from operators.flow.capacity import Credits, Room
from operators.flow.delivery import Delivery, Ledger, deliver
from operators.flow.stage import stage
from operators.model.event import Change, Kind, RawEvent
from operators.model.observation import Observation, Occurrence, Subject, Window
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.windows import Windows
from operators.once import Once, once
from tests.model.occurrence_reference import LENGTH, Happened, Reference, Written, written_by

KIND = Kind("", "v1", "things", "Thing", namespaced=True)
ABOUT = Subject("v1", "Thing", "n", "w")
T0 = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
STORED = Outcome(Ending.STORED, operation="created")
OTHERS = (
    Outcome(Ending.DEAD_LETTERED, "gave_up"),
    Outcome(Ending.FAILED, "sink"),
    Outcome(Ending.COALESCED, "newer"),
    Outcome(Ending.FILTERED, "minSeverity HIGH"),
)
DUPLICATES = ("told", "within window")
CAPACITY, CREDITS = 40, 5
UIDS, KEYS = "abcde", "wxyz"
reached: Counter[str] = Counter()


class Machine(RuleBasedStateMachine):
    """Objects and a cluster that outlive restarts; a pipeline from the source to where the sink would be."""

    @initialize(entries=st.sampled_from([2, 50]))
    def begin(self, entries: int) -> None:
        self.now = self.steps = 0
        self.jumped = False
        self.objects: dict[str, tuple[int, str]] = {}
        self.cluster: dict[str, Written] = {}
        self.entries = entries
        self.live([])

    def live(self, stored: list[Written]) -> None:
        self.reference = Reference(self.entries)
        self.reference.rebuild(stored, self.now)
        self.windows = Windows(self.entries)
        for one in stored:
            window = Window(one.key, one.name, self.at(one.start), self.at(one.end))
            opened = Occurrence(one.uid, str(one.version))
            self.windows.restore(window, opened, moment=self.at(self.now))
        self.ledger, self.credits = Ledger(), Credits(CREDITS)
        self.events: list[Happened] = []
        self.ends: dict[int, Outcome] = {}
        self.out: dict[int, Delivery[Observation]] = {}
        self.source = Source[RawEvent]()
        room = Room(CAPACITY, capacity_bytes=CAPACITY * 1000)
        spec = Once(window_seconds=LENGTH)
        self.subscription = (
            self.source.pipe(
                deliver(self.ledger, clock=lambda: 0),
                bounded_buffer(room, self.credits, when_full=WhenFull.BLOCK),
                backpressure(self.credits),
            )
            .pipe(
                stage("normalise", self.observed),
                once(spec, self.windows, now=lambda: self.at(self.now)),
            )
            .subscribe(self.passed)
        )

    def at(self, seconds: int) -> datetime:
        return T0 + timedelta(seconds=seconds)

    def offer(self, uid: str, *, listed: bool) -> None:
        version, key = self.objects[uid]
        event = Happened(len(self.events), key, uid, version, listed)
        self.events.append(event)

        def ended(_: RawEvent, outcome: Outcome) -> None:
            self.ends[event.number] = outcome
            if outcome.ending is Ending.DEDUPLICATED:
                said = self.cluster[outcome.observation]
                assert said.key == event.key
                assert outcome.reason == "told" or said.holds(event.seen)

        about = (KIND, Change.MODIFIED, "n", str(event.number), uid, str(version), b"{}")
        self.source.on_next(RawEvent(*about, acknowledge=ended))

    def observed(self, raw: RawEvent) -> Observation:
        event = self.events[int(raw.name)]
        self.reference.arrive(event, self.now)
        made = Observation(event.name, "n", "s", "cost", "low", "an_event", raw.name, ABOUT)
        made.fingerprint = event.key
        made.occurrence = Occurrence(event.uid, raw.version, event.listed)
        return made

    def passed(self, delivery: Delivery[Observation]) -> None:
        number = int(delivery.value.title)
        key = self.events[number].key
        assert all(self.events[one].key != key for one in self.out), "two of one key on their way"
        went = [one.number for one in self.events if one.key == key and one.expected == "ended"]
        assert all(one < number for one in went), "overtaken by a later one"
        self.out[number] = delivery

    @property
    def has_room(self) -> bool:
        return len(self.events) - len(self.ends) < CAPACITY - len(UIDS)

    @precondition(lambda self: self.has_room)
    @rule(uid=st.sampled_from(UIDS), key=st.sampled_from(KEYS))
    def happen(self, uid: str, key: str) -> None:
        self.objects[uid] = self.objects.get(uid, (0, ""))[0] + 1, key
        self.offer(uid, listed=False)

    @precondition(lambda self: self.has_room)
    @rule(uids=st.lists(st.sampled_from(UIDS), min_size=2, max_size=4), key=st.sampled_from(KEYS))
    def happen_at_once(self, uids: list[str], key: str) -> None:
        for uid in uids:
            self.happen(uid, key)

    @precondition(lambda self: self.has_room and self.objects)
    @rule(data=st.data(), listed=st.booleans())
    def read_again(self, data: st.DataObject, *, listed: bool) -> None:
        self.offer(data.draw(st.sampled_from(sorted(self.objects))), listed=listed)

    @rule(seconds=st.integers(1, LENGTH + 2))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.steps % 5 == 0)
    @rule(seconds=st.integers(1, 3 * LENGTH))
    def set_the_clock_back(self, seconds: int) -> None:
        self.now -= seconds
        self.jumped = True
        reached["clock set back"] += 1

    @precondition(lambda self: self.out)
    @rule(data=st.data(), times=st.integers(1, 3))
    def store(self, data: st.DataObject, times: int) -> None:
        for _ in range(min(times, len(self.out))):
            self.end(data.draw(st.sampled_from(sorted(self.out))), STORED)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), outcome=st.sampled_from(OTHERS))
    def end_otherwise(self, data: st.DataObject, outcome: Outcome) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.out))), outcome)

    def write(self, event: Happened) -> None:
        self.cluster[event.name] = written_by(event)

    def end(self, number: int, outcome: Outcome) -> None:
        delivery, parked = self.out.pop(number), len(self.reference.parked)
        event, stored = self.events[number], outcome is STORED
        if stored:
            self.write(event)
        self.reference.end(event, stored=stored, now=self.now)
        reached["ended otherwise"] += not stored
        released = parked - len(self.reference.parked)
        reached["parked, then decided" + (" by a commit" if stored else " by a failure")] += (
            released
        )
        delivery.settle(outcome)

    @precondition(lambda self: self.steps % 4 == 0 and self.has_room)
    @rule(data=st.data(), seed=st.integers(0, 1000))
    def restart(self, data: st.DataObject, seed: int) -> None:
        """The process ends at any moment: writes on their way may have arrived, nobody heard the answer."""
        reached["stopped with some parked"] += bool(self.reference.parked)
        for number in sorted(self.out):
            if data.draw(st.booleans()):
                self.write(self.events[number])
        self.subscription.dispose()
        assert all(self.ends[one.number] == STOPPED for one in self.reference.parked)
        for number in sorted(self.out):
            self.out.pop(number).settle(STOPPED)
        assert (self.ledger.in_flight, self.ledger.balance, self.credits.taken) == (0, 0, 0)
        stored = sorted(self.cluster.values(), key=lambda one: one.name)
        random.Random(seed).shuffle(stored)
        self.live(stored)
        for uid in sorted(self.objects):
            self.offer(uid, listed=True)
        reached["restart"] += 1

    @invariant()
    def the_books_agree(self) -> None:
        self.steps += 1
        parked = len(self.reference.parked)
        assert self.ledger.balance == 0
        assert self.ledger.in_flight == len(self.events) - len(self.ends)
        assert self.credits.taken == len(self.out) + parked <= CREDITS
        for event in self.events:
            outcome = self.ends.get(event.number)
            assert (outcome is None) == (event.expected in {"buffered", "on its way", "parked"})
            assert (event.number in self.out) == (event.expected == "on its way")
            if event.expected in DUPLICATES:
                assert outcome is not None
                assert (outcome.ending, outcome.reason) == (Ending.DEDUPLICATED, event.expected)

    @invariant()
    def the_memory_agrees(self) -> None:
        found = [(one.key, one.name, one.start, one.end) for one in self.windows]
        expected = [
            (one.key, one.name, self.at(one.start), self.at(one.end))
            for one in self.reference.windows
        ]
        assert found == expected
        assert self.windows.evicted == self.reference.evicted
        assert len(found) <= self.entries

    @invariant()
    def windows_of_one_key_do_not_overlap(self) -> None:
        if self.jumped or self.entries < len(KEYS):
            return
        for key in KEYS:
            starts = sorted(one.start for one in self.cluster.values() if one.key == key)
            assert all(later - earlier >= LENGTH for earlier, later in pairwise(starts)), starts

    def teardown(self) -> None:
        while self.out:
            self.end(min(self.out), STORED)
        assert len(self.ends) == len(self.events), "somebody waits for ever"
        assert self.ledger.in_flight == self.credits.taken == self.ledger.balance == 0
        reached.update(f"{one.ending.value} {one.reason}".strip() for one in self.ends.values())
        reached["evicted"] += self.reference.evicted


def test_histories() -> None:
    examples = settings.default.max_examples if settings.default is not None else 0
    steps = settings(stateful_step_count=60, deadline=None)
    run_state_machine_as_test(Machine, settings=steps)
    print(dict(reached))
    for what in (
        *("parked, then decided by a commit", "parked, then decided by a failure"),
        *("stopped with some parked", "restart", "clock set back", "evicted"),
        *("stored", "ended otherwise", "deduplicated within window", "deduplicated told"),
    ):
        assert reached[what] >= examples // 10, (what, reached)
