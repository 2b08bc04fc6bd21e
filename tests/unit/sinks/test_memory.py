from __future__ import annotations

from datetime import UTC, datetime

from operators.decoders.kubernetes_event import EVIDENCE_NAMES
from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import Departure
from operators.model.index import Index, Known
from operators.model.observation import Observation, Occurrence, Subject, Tally
from operators.model.outcome import Ending
from sinks.memory import MemorySink

NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)
T0 = "2026-11-26T06:00:00Z"


class World:
    def __init__(self, capacity: int = 5) -> None:
        self.ledger, self.index = Ledger(), Index()
        self.sink = MemorySink(self.index, now=lambda: NOW, capacity=capacity)

    def give(
        self,
        name: str,
        *,
        gone: Departure | None = None,
        tally: Tally | None = None,
        occurrence: Occurrence | None = None,
    ) -> tuple[str, str]:
        subject = Subject("v1", "Pod", "n", name)
        observation = Observation(
            name, "n", "s", "security", "high", "custom_event", "", subject, fingerprint="f"
        )
        observation.gone, observation.tally = gone, tally
        observation.occurrence = occurrence
        ticket = Ticket(self.ledger, lambda: 0)
        self.sink.accept(Delivery(observation, ticket))
        assert ticket.outcome is not None
        return ticket.outcome.ending.value, ticket.outcome.operation or ticket.outcome.reason


def test_it_keeps_the_newest_in_order_and_settles_each() -> None:
    world = World(capacity=2)

    assert [world.give(name) for name in "abc"] == [("stored", "created")] * 3

    assert [kept.name for kept in world.sink.observations] == ["b", "c"]
    assert world.ledger.ended(Ending.STORED) == 3


def test_what_it_took_is_known() -> None:
    world = World()

    world.give("a")

    assert world.index.get("a") == Known("f", T0, T0)
    assert world.give("a") == ("stored", "updated")


def test_what_happened_is_known_by_its_window_and_not_by_its_name() -> None:
    world = World()

    assert world.give("a", occurrence=Occurrence("uid", "1")) == ("stored", "created")

    assert len(world.index) == 0


def test_a_departure_resolves_what_is_known_once() -> None:
    world = World()
    world.give("a")

    assert world.give("a", gone=Departure.DELETED) == ("stored", "resolved")
    assert not world.index.is_open("a")
    assert world.give("a", gone=Departure.DELETED) == ("filtered", "nothing to resolve")
    assert len(world.sink.observations) == 2
    assert world.give("a") == ("stored", "updated")
    assert world.index.is_open("a")


def test_the_evidence_of_kubernetes_events_is_counted_in_bounds() -> None:
    world = World()
    for number in range(EVIDENCE_NAMES + 5):
        world.give("a", tally=Tally(f"event-{number}", 2, T0))

    known = world.index.get("a")
    assert known is not None
    assert known.count == 2 * (EVIDENCE_NAMES + 5)
    assert len(known.evidence or {}) == EVIDENCE_NAMES
