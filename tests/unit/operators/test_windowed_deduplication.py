"""Of equal occurrences one passes in each window, and the others wait until it is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace
from reactivex.subject import Subject

from operators.deduplicate import WindowedDeduplication, deduplicate_occurrences
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.identity import OccurrenceIdentity, observation_name
from operators.model.observation import Observation, Occurrence, Removal, Window
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.state import ObservationState
from tests.unit.operators.observed import TRACE, WIDGET, observation_of, removal_of

T0 = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
STORED = Outcome(Ending.STORED, operation="created")
DEAD = Outcome(Ending.DEAD_LETTERED, "gave_up")
UNWANTED = Outcome(Ending.FILTERED, "minSeverity HIGH")

Value = Observation | Removal


def occurred(key: str, occurrence: Occurrence) -> Observation:
    identity = replace(WIDGET, occurrence=OccurrenceIdentity(key, occurrence.opened))
    return observation_of(identity, fingerprint=key, occurrence=occurrence)


def opened_by(delivery: Delivery[Value]) -> str:
    """The key and the event of what passed: ``k-u1/1``."""
    observation = delivery.value
    assert isinstance(observation, Observation)
    assert observation.occurrence is not None
    return f"{observation.fingerprint}-{observation.occurrence.opened}"


class World:
    def __init__(
        self, *, state: ObservationState | None = None, window_seconds: float = 60.0
    ) -> None:
        self.seconds = 0.0
        self.ledger = Ledger()
        self.state = state if state is not None else ObservationState()
        self.passed: list[Delivery[Value]] = []
        self.made = 0
        self.source: Subject[Delivery[Value]] = Subject()
        self.subscription = self.source.pipe(
            deduplicate_occurrences(self.state, window_seconds=window_seconds, now=self.now)
        ).subscribe(self.passed.append)

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds)

    def offer(self, key: str = "k", occurrence: Occurrence | None = None) -> Ticket:
        self.made += 1
        return self.admit(occurred(key, occurrence or Occurrence(f"u{self.made}", "1")))

    def admit(self, value: Value) -> Ticket:
        ticket = Ticket(self.ledger, lambda: 0)
        self.source.on_next(Delivery(value, ticket))
        assert self.ledger.balance == 0
        return ticket

    def end(self, outcome: Outcome = STORED) -> str:
        """Settle what passed first, as a sink does: the window is stored with its trace and uid."""
        delivery = self.passed.pop(0)
        observation = delivery.value
        assert isinstance(observation, Observation)
        assert observation.occurrence is not None
        window = observation.occurrence.window
        assert window is not None
        assert window.name == observation_name(observation.identity, readable="w")
        window.uid, window.traceparent = f"uid of {window.name}", TRACE
        delivery.settle(outcome)
        assert self.ledger.balance == 0
        return opened_by(delivery)


def ended(ticket: Ticket) -> tuple[Ending, str] | None:
    return None if ticket.outcome is None else (ticket.outcome.ending, ticket.outcome.reason)


WITHIN = (Ending.DEDUPLICATED, "within window")
COUNTED = (Ending.DEDUPLICATED, "already_counted")


def test_within_the_window_an_equal_event_ends_and_after_it_opens_the_next() -> None:
    world = World()
    first = world.offer()
    name = observation_name(world.passed[0].value.identity, readable="w")
    world.end()
    world.seconds = 59.9
    duplicate = world.offer()
    assert ended(duplicate) == WITHIN
    assert duplicate.outcome is not None
    assert (duplicate.outcome.observation, duplicate.outcome.link) == (name, TRACE)
    assert duplicate.outcome.observation_uid == f"uid of {name}"
    assert duplicate.marks == [("deduplicate", 0, duplicate.outcome)]
    assert first.marks == [("deduplicate", 0, {"dedup.verdict": "new"})]
    world.seconds = 60
    assert ended(world.offer()) is None
    assert observation_name(world.passed[0].value.identity, readable="w") != name
    assert world.end() == "k-u3/1"


def test_the_window_is_fixed_and_begins_when_its_first_event_was_seen() -> None:
    world = World()
    world.offer()
    world.seconds = 50
    world.end()
    assert ended(world.offer()) == WITHIN
    world.seconds = 60
    assert ended(world.offer()) is None


def test_behind_a_pending_key_equal_events_are_parked_and_others_are_not() -> None:
    world = World()
    world.offer()
    waiting = [world.offer(), world.offer()]
    assert ended(world.offer("other")) is None
    assert [ended(one) for one in waiting] == [None, None]
    assert [opened_by(one) for one in world.passed] == ["k-u1/1", "other-u4/1"]
    world.end()
    assert [ended(one) for one in waiting] == [WITHIN, WITHIN]
    assert waiting[0].marks == [
        ("deduplicate", 0, {"dedup.verdict": "parked"}),
        ("deduplicate wait", 0, waiting[0].outcome),
    ]


@pytest.mark.parametrize("outcome", [DEAD, UNWANTED, STOPPED])
def test_if_the_first_is_not_stored_the_next_passes_in_its_place(outcome: Outcome) -> None:
    world = World()
    world.offer()
    second, third = world.offer(), world.offer()
    world.end(outcome)
    assert (ended(second), ended(third)) == (None, None)
    assert second.marks[-1] == ("deduplicate wait", 0, {"dedup.verdict": "new"})
    assert world.end() == "k-u2/1"
    assert ended(third) == WITHIN


class RaisingOnce(ObservationState):
    """Raises at the second look for a window: of the first parked event, once it is decided anew."""

    looks = 0

    def window(self, key: str, moment: datetime) -> Window | None:
        self.looks += 1
        if self.looks == 2:
            raise ValueError("broken")
        return super().window(key, moment)


def test_a_parked_event_that_raises_fails_alone() -> None:
    world = World(state=RaisingOnce())
    world.offer()
    second, third = world.offer(), world.offer()
    world.end()
    assert ended(second) == (Ending.FAILED, "deduplicate")
    assert ended(third) == WITHIN
    assert world.ledger.in_flight == 0


def test_a_key_that_failed_is_as_if_it_had_never_been() -> None:
    world = World()
    world.offer()
    world.end(DEAD)
    assert len(world.state) == 0
    assert ended(world.offer()) is None


def test_what_came_after_the_window_is_no_duplicate_however_long_the_write_took() -> None:
    world = World()
    world.offer()
    world.seconds = 59
    within = world.offer()
    world.seconds = 61
    after, again = world.offer(), world.offer()
    world.seconds = 100
    world.end()
    assert ended(within) == WITHIN
    assert (ended(after), ended(again)) == (None, None)
    assert world.end() == "k-u3/1"
    assert ended(again) == WITHIN


def test_a_long_row_of_failures_does_not_nest() -> None:
    ledger, seen = Ledger(), list[str]()
    source: Subject[Delivery[Value]] = Subject()
    first: list[Delivery[Value]] = []

    def fail(delivery: Delivery[Value]) -> None:
        seen.append(opened_by(delivery))
        if len(seen) == 1:
            first.append(delivery)
        else:
            delivery.settle(DEAD)

    source.pipe(
        deduplicate_occurrences(ObservationState(), window_seconds=60.0, now=lambda: T0)
    ).subscribe(fail)
    for number in range(3000):
        observation = occurred("k", Occurrence(f"u{number}", "1"))
        source.on_next(Delivery(observation, Ticket(ledger, lambda: 0)))
    first[0].settle(DEAD)
    assert seen == [f"k-u{number}/1" for number in range(3000)]
    assert (ledger.in_flight, ledger.balance) == (0, 0)


def test_disposing_ends_what_waits_and_leaves_what_is_in_flight() -> None:
    world = World()
    first, waiting = world.offer(), world.offer()
    world.subscription.dispose()
    assert ended(waiting) == (Ending.INTERRUPTED, "stopped")
    assert waiting.marks[-1][0] == "deduplicate wait"
    assert ended(first) is None
    world.end()
    assert len(world.state) == 1, "a write that was confirmed is known all the same"
    assert world.ledger.in_flight == 0


def test_disposing_in_the_middle_of_a_row_ends_each_once() -> None:
    world = World()
    world.offer()
    waiting = [world.offer() for _ in range(3)]
    waiting[0].when_settled(lambda _: world.subscription.dispose())
    world.end()
    assert [ended(one) for one in waiting] == [WITHIN, WITHIN, WITHIN]
    behind = World()
    behind.offer()
    second, third = behind.offer(), behind.offer()
    behind.passed[0].ticket.when_settled(lambda _: behind.subscription.dispose())
    behind.end(DEAD)
    assert {ended(second), ended(third)} == {(Ending.INTERRUPTED, "stopped")}
    assert (behind.ledger.in_flight, behind.ledger.balance) == (0, 0)


def test_the_same_event_again_is_no_duplicate_of_another_even_after_the_window() -> None:
    world = World()
    world.offer(occurrence=Occurrence("u", "7"))
    world.end()
    world.seconds = 1000
    assert ended(world.offer(occurrence=Occurrence("u", "7"))) == COUNTED
    assert ended(world.offer(occurrence=Occurrence("u", "8"))) is None


def test_a_list_that_shows_what_a_duplicate_reported_reports_nothing() -> None:
    world = World()
    world.offer(occurrence=Occurrence("u", "7"))
    world.end()
    assert ended(world.offer(occurrence=Occurrence("u", "9"))) == WITHIN
    world.seconds = 1000
    listed = Occurrence("u", "12", listed=True)
    assert ended(world.offer(occurrence=listed)) == COUNTED
    assert ended(world.offer(occurrence=Occurrence("u", "12"))) == COUNTED, "the list counted it"


def test_the_same_event_as_a_duplicate_is_counted_even_after_the_window() -> None:
    world = World()
    world.offer(occurrence=Occurrence("u", "7"))
    world.end()
    assert ended(world.offer(occurrence=Occurrence("u", "9"))) == WITHIN
    world.seconds = 1000
    assert ended(world.offer(occurrence=Occurrence("u", "9"))) == COUNTED


def test_what_comes_after_the_stop_ends() -> None:
    ledger, passed = Ledger(), list[Delivery[Value]]()
    windowed = WindowedDeduplication(
        ObservationState(), window_seconds=60.0, now=lambda: T0, emit=passed.append
    )
    windowed.stop()
    ticket = Ticket(ledger, lambda: 0)
    windowed.admit(Delivery(occurred("k", Occurrence("u", "1")), ticket))
    assert (ticket.outcome, passed) == (STOPPED, [])


def test_each_is_its_own_where_deduplication_is_off_but_not_the_same_event_twice() -> None:
    world = World(window_seconds=0.0)
    tickets = [world.offer(), world.offer()]
    again = world.offer(occurrence=Occurrence("u1", "1"))
    assert [ended(one) for one in tickets] == [None, None]
    assert {world.end(), world.end()} == {"k-u1/1", "k-u2/1"}
    assert ended(again) == COUNTED
    assert ended(world.offer()) is None


def test_windows_that_are_over_are_removed_as_events_come() -> None:
    world = World()
    for key in "abc":
        world.offer(key)
        world.end()
    assert len(world.state) == 3
    world.seconds = 60
    world.offer("d")
    assert len(world.state) == 0


@pytest.mark.parametrize("value", [observation_of(), removal_of()])
def test_an_event_that_is_no_occurrence_fails_alone(value: Value) -> None:
    world = World()
    ticket = world.admit(value)
    assert ended(ticket) == (Ending.FAILED, "deduplicate")
    assert ticket.outcome is not None
    assert ticket.outcome.detail.endswith("found a subject, allowed: an occurrence")
    assert ended(world.offer()) is None
