"""A state that depends on the clock is classified again at the time that its decoder named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from reactivex.subject import Subject

from operators.buffer import Buffer
from operators.decoders.generic import GenericDecoder
from operators.flow.delivery import Admission, Delivery, DescribedDelivery, Ledger, Ticket
from operators.model.event import Change, ObjectState, RawEvent
from operators.model.observation import Classified, Observation, Removal
from operators.model.outcome import Ending, Outcome
from operators.model.severity import priority_of
from operators.recheck import BATCH, CAPACITY_BYTES, GRID_SECONDS, RecheckTimer
from operators.rules.paths import Head
from operators.throttle import Throttle
from streams.runtime.pipeline import Parts, compose
from tests.kit.plans import plan_of
from tests.kit.raw_events import object_event, tombstone_event
from tests.kit.timers import VirtualTime, VirtualTimer
from tests.unit.operators.observed import removal_of, stored_of

EPOCH = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
"""On the grid."""
SECOND = 1_000_000_000
STORED = Outcome(Ending.STORED)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


class WallTime(VirtualTime):
    """Virtual time with a wall clock, and a record of the waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def now(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.now_ns / 1000)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> VirtualTimer:
        self.waits.append(seconds)
        return super().call_later(seconds, callback)

    def advance_to(self, seconds: float) -> None:
        self.advance(round(seconds * SECOND) - self.now_ns)


class World:
    """A timer alone, between a source and what classified."""

    def __init__(self, **options: Any) -> None:
        self.time = WallTime()
        self.reentered: list[tuple[RawEvent, float]] = []
        self.reread: list[tuple[str, float]] = []
        self.recheck = RecheckTimer(
            now=self.time.now,
            call_later=self.time.call_later,
            reenter=self._reenter,
            request_reread=lambda key: self.reread.append((key, self.time.now_ns / SECOND)),
            **options,
        )
        self.admitted: Subject[Admission] = Subject()
        self.passed: list[Admission] = []
        self.admissions = self.admitted.pipe(self.recheck.cancel_outdated()).subscribe(
            self.passed.append
        )

    def _reenter(self, event: RawEvent) -> None:
        self.reentered.append((event, self.time.now_ns / SECOND))
        # As a source does: what re-enters passes where outdated rechecks are cancelled.
        self.admitted.on_next(Admission(event))

    def schedule(self, name: str, seconds: float, *, size: int = 0) -> RawEvent:
        event = object_event(name, b"x" * size)
        self.recheck.schedule(event, at(seconds))
        return event

    def rechecked(self) -> list[tuple[str, float]]:
        return [((event.key or "").removeprefix("shop/"), when) for event, when in self.reentered]


# The grid.


@pytest.mark.parametrize(
    ("seconds", "when"),
    [(10, 10), (10.001, 20), (1, 10), (9.999, 10), (300, 300), (301, 310), (0.000001, 10)],
)
def test_a_recheck_comes_at_the_next_time_of_the_grid_never_before_its_own(
    seconds: float, when: float
) -> None:
    world = World()
    world.schedule("a", seconds)
    world.time.advance(round(when * SECOND) - 1)
    assert world.reentered == []
    world.time.advance(1)
    assert world.rechecked() == [("a", when)]
    assert (len(world.recheck), world.time.pending) == (0, 0)


def test_the_grid_is_ten_seconds_and_one_timer_serves_all_of_a_time() -> None:
    world = World()
    for number in range(50):
        world.schedule(str(number), 20 + number / 5 + 0.1)
    assert GRID_SECONDS == 10
    assert (len(world.recheck), world.time.pending) == (50, 1)
    world.time.advance_to(30)
    assert world.rechecked() == [(str(number), 30) for number in range(50)]
    assert world.time.waits == [30]


def test_the_first_of_all_times_is_what_the_timer_waits_for() -> None:
    world = World()
    for name, seconds in (("c", 100), ("a", 50), ("b", 70), ("d", 300)):
        world.schedule(name, seconds)
    assert (world.time.pending, world.time.waits) == (1, [100, 50])
    world.time.advance_to(299)
    assert world.rechecked() == [("a", 50), ("b", 70), ("c", 100)]
    world.time.advance_to(300)
    assert world.rechecked()[3:] == [("d", 300)]
    assert world.time.pending == 0


def test_a_time_that_is_past_comes_at_once() -> None:
    world = World()
    world.time.advance_to(100)
    world.schedule("a", 30)
    assert world.time.waits == [0.0]
    world.time.advance(1)
    assert [name for name, _ in world.rechecked()] == ["a"]


def test_a_timer_that_fires_early_is_set_again() -> None:
    world = World()
    world.schedule("a", 10)
    world.recheck._fire()  # pyright: ignore[reportPrivateUsage]  as a loop may, by its own resolution
    assert world.reentered == []
    world.time.advance_to(10)
    assert world.rechecked() == [("a", 10)]


def test_an_event_re_enters_as_one_of_its_own() -> None:
    world = World()
    event = object_event("a", b'{"a": 1}', uid="u", version="7", initial=True)
    world.recheck.schedule(event, at(10))
    world.time.advance_to(10)
    ((found, _),) = world.reentered
    assert isinstance(event.payload, ObjectState)
    assert found == replace(
        event,
        received_at_ns=int(at(10).timestamp()) * SECOND,
        payload=replace(event.payload, change=Change.TIMER),
    )


# Cancelling.


@pytest.mark.parametrize("newer", [object_event("a"), tombstone_event("a")])
def test_a_newer_event_of_the_key_cancels_and_passes(newer: RawEvent) -> None:
    world = World()
    world.schedule("a", 10)
    world.schedule("b", 10)
    admission = Admission(newer)

    world.admitted.on_next(admission)

    assert world.passed == [admission]
    assert len(world.recheck) == 1
    world.time.advance_to(10)
    assert world.rechecked() == [("b", 10)]


def test_an_event_without_a_key_cancels_nothing_and_is_not_rechecked() -> None:
    world = World()
    world.schedule("a", 10)
    nameless = replace(object_event("a"), key=None)
    world.admitted.on_next(Admission(nameless))
    world.recheck.schedule(nameless, at(10))
    assert len(world.recheck) == 1


@pytest.mark.parametrize(("first", "second"), [(10, 50), (50, 10)])
def test_a_key_has_one_recheck_the_newest(first: float, second: float) -> None:
    world = World()
    world.schedule("a", first, size=1)
    newest = world.schedule("a", second, size=2)
    assert (len(world.recheck), world.recheck.bytes) == (1, newest.size_bytes)
    world.time.advance_to(100)
    assert world.rechecked() == [("a", second)]
    assert world.reentered[0][0].raw == newest.raw


def test_what_is_cancelled_is_not_pending_and_cancelling_again_does_nothing() -> None:
    world = World()
    world.schedule("a", 10)
    world.recheck.cancel("shop/a")
    world.recheck.cancel("shop/a")
    assert (len(world.recheck), world.recheck.bytes) == (0, 0)
    world.time.advance_to(10)
    assert (world.reentered, world.time.pending) == ([], 0)


def test_stopping_cancels_everything_and_nothing_is_scheduled_any_more() -> None:
    world = World()
    for name in "ab":
        world.schedule(name, 10)

    world.admissions.dispose()

    assert (len(world.recheck), world.recheck.bytes, world.time.pending) == (0, 0, 0)
    world.schedule("c", 10)
    world.time.advance_to(100)
    assert (world.reentered, len(world.recheck), world.time.pending) == ([], 0, 0)


def test_stopping_while_rechecks_re_enter_ends_them() -> None:
    world = World()
    for name in "abc":
        world.schedule(name, 10)
    world.admitted.subscribe(lambda _: world.recheck.stop())
    world.time.advance_to(100)
    assert world.rechecked() == [("a", 10)]
    assert world.time.pending == 0


@pytest.mark.parametrize("completes", [True, False])
def test_completion_and_errors_of_the_source_pass_and_stop(*, completes: bool) -> None:
    world = World()
    world.schedule("a", 10)
    seen: list[str] = []
    admitted: Subject[Admission] = Subject()
    admitted.pipe(world.recheck.cancel_outdated()).subscribe(
        on_error=lambda error: seen.append(str(error)), on_completed=lambda: seen.append("|")
    )
    if completes:
        admitted.on_completed()
    else:
        admitted.on_error(OSError("broken"))
    assert seen == ["|" if completes else "broken"]
    assert (len(world.recheck), world.time.pending) == (0, 0)


# Bounds.


def test_beyond_the_capacity_only_the_key_is_kept_and_the_object_is_read_again() -> None:
    assert CAPACITY_BYTES == 32 * 1024 * 1024
    size = object_event("a", b"").size_bytes
    world = World(capacity_bytes=2 * size)
    for name in "abc":
        world.schedule(name, 10)
    assert (len(world.recheck), world.recheck.bytes) == (3, 2 * size)
    world.recheck.cancel("shop/a")
    world.schedule("d", 10)
    world.time.advance_to(10)
    assert world.rechecked() == [("b", 10), ("d", 10)]
    assert world.reread == [("shop/c", 10)]
    assert world.recheck.bytes == 0


def test_an_event_that_takes_the_place_of_its_older_one_needs_no_room_beside_it() -> None:
    size = object_event("a", b"").size_bytes
    world = World(capacity_bytes=size)
    world.schedule("a", 10)
    world.schedule("a", 20)
    world.time.advance_to(20)
    assert (world.rechecked(), world.reread) == ([("a", 20)], [])


def test_a_key_that_is_read_again_frees_no_bytes_it_never_took() -> None:
    world = World(capacity_bytes=0)
    world.schedule("a", 10)
    world.recheck.cancel("shop/a")
    assert world.recheck.bytes == 0
    world.schedule("a", 10)
    world.admitted.on_next(Admission(object_event("a")))
    world.time.advance_to(10)
    assert (world.reread, world.recheck.bytes) == ([], 0)


def test_after_a_batch_the_loop_runs_other_callbacks() -> None:
    world = World()
    count = 2 * BATCH + 50
    for number in range(count):
        world.schedule(str(number), 10)
    assert BATCH == 100
    seen: list[int] = []
    world.time.advance_to(9.999)
    world.time.call_later(0.001, lambda: seen.append(len(world.reentered)))
    world.time.advance_to(10)
    world.time.waits.clear()
    assert (seen, len(world.reentered)) == ([BATCH], BATCH)

    for expected in (2 * BATCH, count):
        world.time.advance(1)
        assert len(world.reentered) == expected
    assert world.time.waits == [0.0]
    assert world.rechecked() == [(str(n), pytest.approx(10)) for n in range(count)]
    assert (len(world.recheck), world.recheck.bytes, world.time.pending) == (0, 0, 0)


def test_a_batch_counts_what_is_read_again_too() -> None:
    world = World(capacity_bytes=0)
    for number in range(BATCH + 1):
        world.schedule(str(number), 10)
    world.time.advance_to(10)
    assert len(world.reread) == BATCH
    world.time.advance(1)
    assert len(world.reread) == BATCH + 1


def test_a_batch_of_exactly_so_many_leaves_no_timer() -> None:
    world = World()
    for number in range(BATCH):
        world.schedule(str(number), 10)
    world.time.advance_to(10)
    assert (len(world.reentered), world.time.pending) == (BATCH, 0)


def test_an_event_that_raises_where_it_re_enters_does_not_strand_the_others() -> None:
    world = World()
    for name in "abc":
        world.schedule(name, 10)
    world.schedule("d", 20)

    def poison(admission: Admission) -> None:
        if admission.event.key == "shop/a":
            raise ArithmeticError("poison")

    world.admitted.subscribe(poison)
    with pytest.raises(ArithmeticError):
        world.time.advance_to(10)
    world.time.advance_to(21)
    assert [name for name, _ in world.rechecked()] == ["a", "b", "c", "d"]


Step = tuple[str, int, int]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["schedule", "newer", "pass"]), st.integers(0, 3), st.integers(0, 40)
        ),
        max_size=40,
    )
)
def test_any_history_rechecks_what_a_plain_table_of_times_would(steps: list[Step]) -> None:
    world = World()
    pending: dict[str, int] = {}
    expected: list[tuple[str, int]] = []

    def come_due() -> None:
        now = world.time.now_ns / SECOND
        for name, due in sorted(pending.items()):
            if due <= now:
                expected.append((name, due))
                del pending[name]

    for step, number, seconds in steps:
        name, now = str(number), world.time.now_ns // SECOND
        if step == "schedule":
            moment = now + seconds + 1
            world.schedule(name, moment)
            pending[name] = -(-moment // 10) * 10
        elif step == "newer":
            world.admitted.on_next(Admission(object_event(name)))
            pending.pop(name, None)
        else:
            world.time.advance_to(now + seconds)
            come_due()
        assert len(world.recheck) == len(pending)
        assert (world.time.pending > 0) or not pending
    world.time.advance_to(world.time.now_ns / SECOND + 100)
    come_due()
    assert sorted(world.rechecked()) == sorted(expected)


# What names a time.


def classified(name: str, seconds: float | None) -> Classified:
    event = object_event(name)
    assert event.subject is not None
    recheck_at = None if seconds is None else at(seconds)
    return Classified(event, event.subject, recheck_at=recheck_at)


class Named:
    """What was classified, on its way to the filter."""

    def __init__(self) -> None:
        self.world = World()
        self.ledger = Ledger()
        self.passed: list[Delivery[Classified | Removal]] = []
        self.source: Subject[Delivery[Classified | Removal]] = Subject()
        self.source.pipe(self.world.recheck.schedule_named()).subscribe(self.passed.append)

    def offer(self, value: Classified | Removal, *, outdated: bool = False) -> None:
        ticket = Ticket(self.ledger, lambda: 0)
        ticket.outdated = outdated
        delivery = Delivery(value, ticket)
        self.source.on_next(delivery)
        assert self.passed[-1] is delivery
        assert ticket.marks == [], "it decides nothing about the event"
        ticket.settle(STORED)


def test_what_names_a_time_is_scheduled_and_all_pass() -> None:
    named = Named()
    named.offer(classified("a", 10))
    named.offer(classified("b", None))
    named.offer(removal_of())
    assert len(named.world.recheck) == 1
    named.world.time.advance_to(10)
    assert named.world.rechecked() == [("a", 10)]


def test_an_event_that_a_newer_one_waits_behind_is_not_scheduled() -> None:
    named = Named()
    named.offer(classified("a", 10), outdated=True)
    assert len(named.world.recheck) == 0


# In a pipeline.

DUE_SECONDS = 300


class Patient(GenericDecoder):
    """Finds an object high once it is old enough, and until then names the time when it will be."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def classify(self, event: RawEvent, head: Head, *, now: datetime) -> Classified:
        assert isinstance(event.payload, ObjectState)
        self.changes.append(event.payload.change)
        found = super().classify(event, head, now=now)
        if now < at(DUE_SECONDS):
            found.recheck_at = at(DUE_SECONDS)
            return found
        found.severity, found.priority = "high", priority_of(None, severity="high")
        return found


class Sink:
    """Stores what comes at once, or when a test says so."""

    def __init__(self, parts: Parts) -> None:
        self.severities: list[str] = []
        self.removals = 0
        self._state = parts.state

    def accept(self, delivery: DescribedDelivery) -> None:
        value = delivery.value
        if isinstance(value, Observation):
            self.severities.append(value.classified.severity)
            self._state.put(value.identity, stored_of(value.fingerprint))
        else:
            self.removals += 1
            self._state.forget(value.identity)
        delivery.settle(STORED)


class Composed:
    """The composed operators of a pipeline around a subject in place of its source."""

    def __init__(self, *, throttle: Throttle | None = None) -> None:
        self.time, self.decoder = WallTime(), Patient()
        self.plan = plan_of(throttle=throttle, buffer=Buffer(in_flight=1))
        self.parts = Parts.of(self.plan)
        self.sink = Sink(self.parts)
        self.source: Subject[Admission] = Subject()
        self.settled: list[tuple[Change, Ending]] = []
        self.recheck = RecheckTimer(
            now=self.time.now,
            call_later=self.time.call_later,
            reenter=self.offer,
            request_reread=lambda key: pytest.fail(f"{key} is read again"),
        )
        self.subscription = compose(
            self.plan,
            self.source,
            self.sink,
            parts=self.parts,
            decoder=self.decoder,
            recheck=self.recheck,
            clock=self.time.clock,
            call_later=self.time.call_later,
            now=self.time.now,
        ).subscribe()

    def offer(self, event: RawEvent) -> None:
        self.source.on_next(Admission(event, self._settled))

    def _settled(self, event: RawEvent, outcome: Outcome) -> None:
        if isinstance(event.payload, ObjectState):
            self.settled.append((event.payload.change, outcome.ending))

    @property
    def counts(self) -> tuple[int, int, int]:
        ledger = self.parts.ledger
        return ledger.received, ledger.in_flight, ledger.balance


def test_an_unchanged_object_is_classified_again_counted_and_written() -> None:
    world = Composed()
    world.offer(object_event("w"))
    assert (world.sink.severities, world.counts) == (["medium"], (1, 0, 0))
    world.time.advance_to(DUE_SECONDS - 0.001)
    assert world.counts == (1, 0, 0)

    world.time.advance_to(DUE_SECONDS)

    assert world.decoder.changes == [Change.MODIFIED, Change.TIMER]
    assert world.sink.severities == ["medium", "high"]
    assert world.counts == (2, 0, 0)
    assert world.settled == [(Change.MODIFIED, Ending.STORED), (Change.TIMER, Ending.STORED)]
    assert (len(world.recheck), world.time.pending) == (0, 0)


def test_an_object_that_is_read_again_keeps_one_recheck() -> None:
    world = Composed()
    for version in "123":
        world.offer(object_event("w", version=version))
    assert (len(world.recheck), world.sink.severities) == (1, ["medium"])
    assert [ending for _, ending in world.settled] == [Ending.STORED, *[Ending.DEDUPLICATED] * 2]
    world.time.advance_to(DUE_SECONDS)
    assert world.decoder.changes == [*[Change.MODIFIED] * 3, Change.TIMER]


def test_an_object_that_is_removed_is_not_classified_again() -> None:
    world = Composed()
    world.offer(object_event("w"))
    world.offer(tombstone_event("w"))
    world.time.advance_to(DUE_SECONDS)
    assert world.decoder.changes == [Change.MODIFIED]
    assert (world.sink.severities, world.sink.removals) == (["medium"], 1)
    assert (world.counts, len(world.recheck)) == ((2, 0, 0), 0)


def test_a_state_with_a_newer_one_behind_it_is_not_classified_again_the_newer_one_is() -> None:
    # The throttle holds the second state in flight, ahead of classification, while the third waits behind it.
    world = Composed(throttle=Throttle(per_second=1, burst=1))
    world.offer(object_event("other"))
    world.offer(object_event("w", b'{"spec": 1}', version="1"))
    world.offer(object_event("w", b'{"spec": 2}', version="2"))
    world.time.advance_to(1)
    assert len(world.recheck) == 1, "the other's alone"
    world.time.advance_to(2)
    assert len(world.recheck) == 2
    world.time.advance_to(DUE_SECONDS + 2)
    assert world.decoder.changes == [*[Change.MODIFIED] * 3, *[Change.TIMER] * 2]
    assert world.counts == (5, 0, 0)


def test_a_kept_state_never_replaces_a_newer_one_that_waits() -> None:
    world = Composed(throttle=Throttle(per_second=0.001, burst=1))
    world.offer(object_event("w", b'{"severity": "LOW"}', version="1"))
    world.offer(object_event("other"))
    world.offer(object_event("w", b'{"severity": "CRITICAL"}', version="2"))
    world.time.advance_to(DUE_SECONDS)
    assert world.decoder.changes == [Change.MODIFIED], "the newer one cancelled it at admission"
    assert world.counts == (3, 2, 0)
    world.subscription.dispose()
    assert world.parts.ledger.endings[Ending.INTERRUPTED, "stopped"] == 2


def test_disposing_a_pipeline_stops_its_rechecks() -> None:
    world = Composed()
    world.offer(object_event("w"))
    world.subscription.dispose()
    world.time.advance_to(DUE_SECONDS)
    assert world.counts == (1, 0, 0)
    assert (len(world.recheck), world.time.pending) == (0, 0)
