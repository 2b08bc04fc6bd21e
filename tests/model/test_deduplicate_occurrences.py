"""Random histories of occurrences against plain lists: law, bound, order, liveness, and what a restart rebuilds."""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from reactivex.subject import Subject as Source

from operators.backpressure import backpressure
from operators.buffer import WhenFull, bounded_buffer
from operators.deduplicate import (
    Verdict,
    WindowedDeduplication,
    deduplicate_occurrences,
)
from operators.flow.capacity import Credits, Room
from operators.flow.delivery import (
    Admission,
    Delivery,
    DescribedDelivery,
    Ledger,
    Ticket,
    deliver,
    stage,
)
from operators.model.event import ObjectRef, ObjectState, RawEvent
from operators.model.observation import Classified, Observation, Occurrence, Removal, Window
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.state import ObservationState
from tests.kit.machines import dies, reach, survive, survivors
from tests.kit.raw_events import object_event
from tests.model.occurrence_reference import LENGTH, Happened, Reference, Written, written_by

OBJECT = ObjectRef("v1", "Thing", "n", "w")
T0 = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
STORED = Outcome(Ending.STORED, operation="created")
OTHERS = (
    Outcome(Ending.DEAD_LETTERED, "gave_up"),
    Outcome(Ending.FAILED, "sink"),
    Outcome(Ending.COALESCED, "newer"),
    Outcome(Ending.FILTERED, "minSeverity HIGH"),
)
DUPLICATES = ("already_counted", "within window")
CAPACITY, CREDITS = 40, 5
UIDS, KEYS = "abcde", "wxyz"
reached: Counter[str] = Counter()


def number_of(raw: RawEvent) -> int:
    assert raw.subject is not None
    return int(raw.subject.name)


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
        self.reference.restore(stored, self.now)
        self.state = ObservationState(occurrence_entries=self.entries)
        for one in stored:
            window = Window(one.key, one.name, self.at(one.start), self.at(one.end))
            opened = Occurrence(one.uid, str(one.version))
            self.state.restore_window(window, opened, moment=self.at(self.now))
        self.ledger, self.credits = Ledger(), Credits(CREDITS)
        self.events: list[Happened] = []
        self.ends: dict[int, Outcome] = {}
        self.out: dict[int, Delivery[Observation | Removal]] = {}
        self.source = Source[Admission]()
        room = Room(CAPACITY, capacity_bytes=CAPACITY * 1000)
        self.subscription = (
            self.source.pipe(
                deliver(self.ledger, clock=lambda: 0),
                bounded_buffer(room, self.credits, when_full=WhenFull.BLOCK),
                backpressure(self.credits),
            )
            .pipe(
                stage("classify", self.observed),
                deduplicate_occurrences(
                    self.state, window_seconds=LENGTH, now=lambda: self.at(self.now)
                ),
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
                assert outcome.reason == "already_counted" or said.holds(event.seen)

        raw = object_event(str(event.number), uid=uid, version=str(version))
        self.source.on_next(Admission(raw, ended))

    def observed(self, raw: RawEvent) -> Observation | Removal:
        number = number_of(raw)
        event = self.events[number]
        classified = Classified(raw, OBJECT, identity=event.identity)
        self.reference.arrive(event, self.now)
        assert isinstance(raw.payload, ObjectState)
        occurrence = Occurrence(event.uid, raw.payload.version, event.listed)
        return Observation(
            classified,
            event.identity,
            "n",
            str(number),
            event.key,
            {},
            occurrence=occurrence,
        )

    def passed(self, delivery: Delivery[Observation | Removal]) -> None:
        assert isinstance(delivery.value, Observation)
        number = int(delivery.value.title)
        key = self.events[number].key
        occurrence = delivery.value.occurrence
        assert occurrence is not None
        assert occurrence.window is not None
        self.window_matches(occurrence.window, self.events[number])
        assert all(self.events[one].key != key for one in self.out), "two of one key in flight"
        went = [one.number for one in self.events if one.key == key and one.expected == "ended"]
        assert all(one < number for one in went), "overtaken by a later one"
        self.out[number] = delivery

    def window_matches(self, window: Window, event: Happened) -> None:
        opened = written_by(event)
        expected = event.key, event.name, self.at(opened.start), self.at(opened.end)
        assert (window.key, window.name, window.start, window.end) == expected

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
        """The process ends at any moment: writes in flight may have arrived, unanswered."""
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
    def the_counts_agree(self) -> None:
        self.steps += 1
        parked = len(self.reference.parked)
        assert self.ledger.balance == 0
        assert self.ledger.in_flight == len(self.events) - len(self.ends)
        assert self.credits.taken == len(self.out) + parked <= CREDITS
        for event in self.events:
            outcome = self.ends.get(event.number)
            assert (outcome is None) == (event.expected in {"buffered", "in flight", "parked"})
            assert (event.number in self.out) == (event.expected == "in flight")
            if event.expected in DUPLICATES:
                assert outcome is not None
                assert (outcome.ending, outcome.reason) == (Ending.DEDUPLICATED, event.expected)

    @invariant()
    def the_memory_agrees(self) -> None:
        found = [(one.key, one.name, one.start, one.end) for one in self.state.windows]
        expected = [
            (one.key, one.name, self.at(one.start), self.at(one.end))
            for one in self.reference.windows
        ]
        assert found == expected
        assert self.state.evicted == self.reference.evicted
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
        assert len(self.ends) == len(self.events), "an event waits for ever"
        assert self.ledger.in_flight == self.credits.taken == self.ledger.balance == 0
        reached.update(f"{one.ending.value} {one.reason}".strip() for one in self.ends.values())
        reached["evicted"] += self.reference.evicted


WALKS, STEPS = 100, 60
FEATURES = (
    *("parked, then decided by a commit", "parked, then decided by a failure"),
    *("stopped with some parked", "restart", "clock set back", "evicted"),
    *("stored", "ended otherwise", "deduplicated within window", "deduplicated already_counted"),
)


@pytest.mark.timeout(120)
def test_whatever_happens_one_of_several_equal_ones_passes_in_each_window() -> None:
    reach(survive(Machine, walks=WALKS, steps=STEPS), reached, FEATURES, floor=WALKS // 10)


class Unparked(WindowedDeduplication):
    """Passes an equal one while the first is pending."""

    def _decide(self, delivery: DescribedDelivery, observed_at: datetime) -> Verdict:
        pending, self._pending = self._pending, {}
        verdict = super()._decide(delivery, observed_at)
        self._pending = pending | self._pending
        return verdict


class Hasty(WindowedDeduplication):
    """Remembers a window before the sink has answered."""

    def _opened(self, observation: Observation, start: datetime) -> Window:
        window = super()._opened(observation, start)
        assert observation.occurrence is not None
        self._state.commit_window(window, observation.occurrence, moment=start)
        return window


class Optimistic(WindowedDeduplication):
    """Remembers a window however its event ended."""

    def _settled(self, place: str, occurrence: Occurrence, ticket: Ticket) -> None:
        if occurrence.window is not None:
            self._state.commit_window(occurrence.window, occurrence, moment=self._now())
        super()._settled(place, occurrence, ticket)


class Abandoning(WindowedDeduplication):
    """Forgets those that are parked when the first has ended."""

    def _settled(self, place: str, occurrence: Occurrence, ticket: Ticket) -> None:
        self._pending[place].clear()
        super()._settled(place, occurrence, ticket)


class LastInFirstOut(WindowedDeduplication):
    """Decides those that are parked in the wrong order."""

    def _settled(self, place: str, occurrence: Occurrence, ticket: Ticket) -> None:
        self._pending[place].reverse()
        super()._settled(place, occurrence, ticket)


class Renewing(WindowedDeduplication):
    """Judges those that are parked by the time at which the first has ended."""

    def _settled(self, place: str, occurrence: Occurrence, ticket: Ticket) -> None:
        now, parked = self._now(), self._pending[place]
        self._pending[place] = deque((delivery, now) for delivery, _ in parked)
        super()._settled(place, occurrence, ticket)


class Losing(WindowedDeduplication):
    """Leaves the parked ones unsettled when it stops."""

    def stop(self) -> None:
        self._stopped = True
        self._pending = {place: deque() for place in self._pending}


class Long(WindowedDeduplication):
    """Opens windows that are too long."""

    def _opened(self, observation: Observation, start: datetime) -> Window:
        window = super()._opened(observation, start)
        window.end += timedelta(seconds=1)
        return window


class Recounting(ObservationState):
    """Counts the same event of an object again."""

    def counted_in(self, occurrence: Occurrence, key: str) -> Window | None:
        del occurrence, key
        return None


class Believing(ObservationState):
    """Takes what a list shows for something that happened."""

    def counted_in(self, occurrence: Occurrence, key: str) -> Window | None:
        return super().counted_in(replace(occurrence, listed=False), key)


class Rewinding(ObservationState):
    """Restores the oldest window in place of the newest."""

    def restore_window(self, window: Window, occurrence: Occurrence, *, moment: datetime) -> None:
        self.count_in(occurrence, window)
        if window.contains(moment):
            self._remember(window, moment)


class Unswept(ObservationState):
    """Keeps windows that are over."""

    def sweep(self, moment: datetime) -> None:
        del moment


class Unbounded(ObservationState):
    """Remembers all windows."""

    def __init__(self, *, occurrence_entries: int) -> None:
        super().__init__(occurrence_entries=occurrence_entries * 100)


class Eternal(Window):
    """A window that a wrong clock opened in the future is taken for one of today."""

    def contains(self, moment: datetime) -> bool:
        return moment < self.end


@pytest.mark.timeout(240)
def test_a_deduplication_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    deduplications = (
        *(Unparked, Hasty, Optimistic, Abandoning, LastInFirstOut, Renewing, Losing, Long),
    )
    states = (Recounting, Believing, Rewinding, Unswept, Unbounded)
    places = (
        ("operators.deduplicate.WindowedDeduplication", deduplications),
        (f"{__name__}.ObservationState", states),
        ("operators.deduplicate.Window", (Eternal,)),
    )
    alive = [
        name
        for place, mutants in places
        for name in survivors(mutants, place=place, check=kills, patch=monkeypatch)
    ]
    assert alive == []


def kills() -> bool:
    return dies(Machine, steps=STEPS, walks=WALKS)
