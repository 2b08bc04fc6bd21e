from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.index import Index
from operators.model.observation import Observation, Occurrence, Subject, Window
from operators.model.outcome import Ending, Outcome
from sinks.holds import Holds
from sinks.manifest import Owner
from sinks.observation import ObservationSink
from sinks.retry import OCCURRENCES, Retry
from sinks.writer import Answer
from tests.kit.doubles import CREATED, OK, UNANSWERED, ScriptedWriter

OPENED = datetime(2026, 11, 20, 6, 0, 0, 250_000, tzinfo=UTC)
BUSY = Answer(503)


class World:
    """The sink an hour after the window opened."""

    def __init__(self, *answers: Answer, retry: Retry = OCCURRENCES) -> None:
        self.slept: list[float] = []
        self.writer = ScriptedWriter(*answers)
        self.index = Index()
        self.ledger = Ledger()
        self.sink = ObservationSink(
            self.writer,
            self.index,
            owner=Owner("n", "ingester", 604800),
            holds=Holds(lambda: 0),
            clock=lambda: 0,
            now=lambda: OPENED + timedelta(hours=1, seconds=len(self.slept)),
            random=lambda: 1.0,
            retry=retry,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    async def end(self, observation: Observation) -> Outcome:
        ticket, over = Ticket(self.ledger, lambda: 0), asyncio.Event()
        ticket.when_settled(lambda _: over.set())
        self.sink.accept(Delivery(observation, ticket))
        async with asyncio.timeout(5):
            await over.wait()
        assert self.ledger.balance == 0
        assert ticket.outcome is not None
        return ticket.outcome

    def specs(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(body)["spec"] for body in self.writer.bodies]


def happened(name: str = "x", *, version: str = "7") -> Observation:
    about = Subject("v1", "ConfigMap", "n", "c")
    made = Observation(name, "n", "s", "security", "high", "custom_event", "a title", about)
    made.fingerprint, made.details = "key", {"a": 1}
    window = Window("key", name, OPENED, OPENED + timedelta(seconds=60))
    made.occurrence = Occurrence("uid", version, window=window)
    return made


def test_it_is_written_once_with_when_it_was_seen_and_what_opened_it() -> None:
    async def main() -> None:
        created = Answer(201, b'{"metadata":{"uid":"made"}}')
        world = World(created)
        observation = happened()
        assert (await world.end(observation)).operation == "created"
        (spec,) = world.specs()
        seen = "2026-11-20T06:00:00Z"
        assert (spec["detectedAt"], spec["firstSeen"], spec["lastSeen"]) == (seen, seen, seen)
        assert (spec["count"], spec["fingerprint"]) == (1, "key")
        assert spec["occurrence"] == {
            "opening": "uid/7",
            "windowStart": "2026-11-20T06:00:00.250000Z",
            "windowEnd": "2026-11-20T06:01:00.250000Z",
        }
        assert len(world.index) == 0, "the index would grow without bound"
        assert observation.occurrence is not None
        assert observation.occurrence.window is not None
        assert observation.occurrence.window.uid == "made", "duplicates name it"

    asyncio.run(main())


@pytest.mark.parametrize("first", [UNANSWERED, BUSY])
def test_a_retry_is_the_same_write_and_leaves_no_doubt(first: Answer) -> None:
    async def main() -> None:
        world = World(first, OK)
        assert (await world.end(happened())).ending is Ending.STORED
        assert world.writer.bodies[0] == world.writer.bodies[1]
        assert len(world.index) == 0

    asyncio.run(main())


def test_while_nothing_succeeds_it_waits_two_minutes_and_no_longer() -> None:
    async def main() -> None:
        world = World(*[BUSY] * 8)
        outcome = await world.end(happened())
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "gave_up")
        assert len(world.writer.asked) == 8
        assert world.slept == [2, 4, 8, 16, 30, 30, 30]

    asyncio.run(main())


def test_how_long_it_waits_is_the_documents_choice() -> None:
    async def main() -> None:
        world = World(BUSY, BUSY, CREATED, retry=Retry(0.5, attempts=3))
        assert (await world.end(happened())).ending is Ending.STORED
        assert world.slept == [0.5, 1]
        impatient = World(BUSY, retry=Retry(0.5, attempts=1))
        assert (await impatient.end(happened())).ending is Ending.DEAD_LETTERED
        assert impatient.slept == []

    asyncio.run(main())


def test_a_subject_beside_it_waits_without_limit() -> None:
    async def main() -> None:
        world = World(*[BUSY] * 40, CREATED)
        subject = happened()
        subject.occurrence = None
        assert (await world.end(subject)).ending is Ending.STORED
        assert len(world.slept) == 40

    asyncio.run(main())
