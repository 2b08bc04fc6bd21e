from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from reactivex.subject import Subject as Source

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.observation import Observation, Occurrence, Subject
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.windows import Windows
from operators.once import Once, once

T0 = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
STORED = Outcome(Ending.STORED, operation="created")
DEAD = Outcome(Ending.DEAD_LETTERED, "gave_up")
UNWANTED = Outcome(Ending.FILTERED, "minSeverity HIGH")
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class World:
    def __init__(
        self, *, windows: Windows | None = None, window_seconds: float = 60, enabled: bool = True
    ) -> None:
        self.seconds = 0.0
        self.ledger = Ledger()
        self.windows = windows if windows is not None else Windows()
        self.passed: list[Delivery[Observation]] = []
        self.made = 0
        self.source = Source[Delivery[Observation]]()
        spec = Once(enabled=enabled, window_seconds=window_seconds)
        self.subscription = self.source.pipe(once(spec, self.windows, now=self.now)).subscribe(
            self.passed.append
        )

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.seconds)

    def offer(self, key: str = "k", occurrence: Occurrence | None = None) -> Ticket:
        self.made += 1
        happened = occurrence or Occurrence(f"u{self.made}", "1")
        about = Subject("v1", "Widget", "n", "w")
        observation = Observation(
            f"{key}-{happened.opening}", "n", "s", "security", "high", "custom_event", "t", about
        )
        observation.fingerprint, observation.occurrence = key, happened
        ticket = Ticket(self.ledger, lambda: 0)
        self.source.on_next(Delivery(observation, ticket))
        assert self.ledger.balance == 0
        return ticket

    def end(self, outcome: Outcome = STORED) -> str:
        delivery = self.passed.pop(0)
        occurrence = delivery.value.occurrence
        assert occurrence is not None
        assert occurrence.window is not None
        occurrence.window.traceparent = TRACE
        delivery.settle(outcome)
        assert self.ledger.balance == 0
        return delivery.value.name


def ended(ticket: Ticket) -> tuple[Ending, str] | None:
    return None if ticket.outcome is None else (ticket.outcome.ending, ticket.outcome.reason)


WITHIN = (Ending.DEDUPLICATED, "within window")
TOLD = (Ending.DEDUPLICATED, "told")


def test_within_the_window_an_equal_event_ends_and_after_it_opens_the_next() -> None:
    world = World()
    world.offer()
    first = world.end()
    world.seconds = 59.9
    duplicate = world.offer()
    assert ended(duplicate) == WITHIN
    assert duplicate.outcome is not None
    assert (duplicate.outcome.observation, duplicate.outcome.link) == (first, TRACE)
    world.seconds = 60
    assert ended(world.offer()) is None
    assert world.end() != first


def test_the_window_is_fixed_and_begins_when_its_first_event_was_seen() -> None:
    world = World()
    world.offer()
    world.seconds = 50
    world.end()
    assert ended(world.offer()) == WITHIN
    world.seconds = 60
    assert ended(world.offer()) is None


def test_behind_a_pending_key_equal_events_wait_and_others_do_not() -> None:
    world = World()
    world.offer()
    waiting = [world.offer(), world.offer()]
    assert ended(world.offer("other")) is None
    assert [ended(one) for one in waiting] == [None, None]
    assert [one.value.fingerprint for one in world.passed] == ["k", "other"]
    world.end()
    assert [ended(one) for one in waiting] == [WITHIN, WITHIN]
    assert [stage for stage, _, _ in waiting[0].marks] == ["dedup", "dedup wait"]


@pytest.mark.parametrize("outcome", [DEAD, UNWANTED, STOPPED])
def test_if_the_first_is_not_stored_the_next_goes_in_its_place(outcome: Outcome) -> None:
    world = World()
    world.offer()
    second, third = world.offer(), world.offer()
    world.end(outcome)
    assert (ended(second), ended(third)) == (None, None)
    assert world.end() == "k-u2/1"
    assert ended(third) == WITHIN


def test_a_key_that_failed_is_as_if_it_had_never_been() -> None:
    world = World()
    world.offer()
    world.end(DEAD)
    assert len(world.windows) == 0
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
    source = Source[Delivery[Observation]]()
    first: list[Delivery[Observation]] = []

    def fail(delivery: Delivery[Observation]) -> None:
        seen.append(delivery.value.name)
        if len(seen) == 1:
            first.append(delivery)
        else:
            delivery.settle(DEAD)

    source.pipe(once(Once(), Windows(), now=lambda: T0)).subscribe(fail)
    for number in range(3000):
        about = Subject("v1", "Widget", "n", "w")
        observation = Observation(
            f"{number}", "n", "s", "security", "high", "custom_event", "t", about
        )
        observation.fingerprint = "k"
        observation.occurrence = Occurrence(f"u{number}", "1")
        source.on_next(Delivery(observation, Ticket(ledger, lambda: 0)))
    first[0].settle(DEAD)
    assert seen == [str(number) for number in range(3000)]
    assert (ledger.in_flight, ledger.balance) == (0, 0)


def test_disposing_ends_what_waits_and_leaves_what_is_on_its_way() -> None:
    world = World()
    first, waiting = world.offer(), world.offer()
    world.subscription.dispose()
    assert ended(waiting) == (Ending.INTERRUPTED, "stopped")
    assert ended(first) is None
    world.end()
    assert len(world.windows) == 1, "a write that was confirmed is known all the same"
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


def test_the_same_event_told_again_is_no_news_even_after_the_window() -> None:
    world = World()
    world.offer(occurrence=Occurrence("u", "7"))
    world.end()
    world.seconds = 1000
    assert ended(world.offer(occurrence=Occurrence("u", "7"))) == TOLD
    assert ended(world.offer(occurrence=Occurrence("u", "8"))) is None


def test_a_list_that_shows_what_a_duplicate_said_is_no_news() -> None:
    world = World()
    world.offer(occurrence=Occurrence("u", "7"))
    world.end()
    assert ended(world.offer(occurrence=Occurrence("u", "9"))) == WITHIN
    world.seconds = 1000
    listed = Occurrence("u", "12", listed=True)
    assert ended(world.offer(occurrence=listed)) == TOLD
    assert ended(world.offer(occurrence=Occurrence("u", "12"))) == TOLD, "the list told it"


def test_each_is_its_own_where_deduplication_is_off_but_not_the_same_event_twice() -> None:
    world = World(enabled=False)
    tickets = [world.offer(), world.offer()]
    again = world.offer(occurrence=Occurrence("u1", "1"))
    assert [ended(one) for one in tickets] == [None, None]
    assert {world.end(), world.end()} == {"k-u1/1", "k-u2/1"}
    assert ended(again) == TOLD
    assert ended(world.offer()) is None


def test_an_event_that_is_no_occurrence_fails_alone() -> None:
    world = World()
    about = Subject("v1", "Widget", "n", "w")
    ticket = Ticket(world.ledger, lambda: 0)
    state = Observation("x", "n", "s", "security", "high", "custom_event", "t", about)
    world.source.on_next(Delivery(state, ticket))
    assert ended(ticket) == (Ending.FAILED, "dedup")
    assert ended(world.offer()) is None
