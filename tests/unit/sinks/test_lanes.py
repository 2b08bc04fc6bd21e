from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import pytest

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import Departure
from operators.model.index import Index, Known
from operators.model.observation import Observation, Subject, Tally
from operators.model.outcome import STOPPED, Ending, Outcome
from sinks.holds import Holds
from sinks.manifest import Owner
from sinks.observation import ObservationSink
from sinks.writer import Answer
from tests.kit.doubles import CREATED, OK, UNANSWERED, ScriptedWriter

SECOND = 1_000_000_000
T0 = "2026-11-20T05:00:00Z"
QUOTA = Answer(403, reason="Forbidden", message="forbidden: exceeded quota: tests")
MISSING = Answer(404, reason="NotFound", message='observations "x" not found')


class World:
    def __init__(self, *answers: Answer) -> None:
        self.now_ns = 0
        self.slept: list[float] = []
        self.writer = ScriptedWriter(*answers)
        self.index = Index()
        self.ledger = Ledger()
        self.released = 0
        self.holds = Holds(lambda: self.now_ns, on_release=self.release)
        self.while_asleep: Callable[[], Awaitable[None]] | None = None
        self.sink = ObservationSink(
            self.writer,
            self.index,
            owner=Owner("n", "ingester", 604800),
            holds=self.holds,
            clock=lambda: self.now_ns,
            now=lambda: datetime(2026, 11, 20, 6, 0, tzinfo=UTC),
            random=lambda: 0.0,
            sleep=self.sleep,
        )

    def release(self) -> None:
        self.released += 1

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += int(seconds * SECOND)
        await asyncio.sleep(0)
        if self.while_asleep is not None:
            await self.while_asleep()

    def give(self, observation: Observation) -> Ticket:
        ticket = Ticket(self.ledger, lambda: self.now_ns)
        self.sink.accept(Delivery(observation, ticket))
        return ticket

    async def end(self, *tickets: Ticket) -> list[Outcome]:
        async with asyncio.timeout(5):
            for ticket in tickets:
                ended = asyncio.Event()
                ticket.when_settled(lambda _, ended=ended: ended.set())
                if ticket.outcome is None:
                    await ended.wait()
        assert self.ledger.balance == 0
        return [ticket.outcome for ticket in tickets if ticket.outcome is not None]

    def specs(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(body)["spec"] for body in self.writer.bodies]


def observation(
    name: str = "x",
    *,
    namespace: str = "n",
    fingerprint: str = "f",
    gone: Departure | None = None,
    tally: Tally | None = None,
) -> Observation:
    return Observation(
        name=name,
        namespace=namespace,
        source="s",
        category="security",
        severity="high",
        event_type="custom_event",
        title="a title",
        subject=Subject("v1", "ConfigMap", namespace, name),
        fingerprint=fingerprint,
        details={},
        gone=gone,
        tally=tally,
    )


def test_a_lane_keeps_its_order_and_other_lanes_do_not_wait() -> None:
    async def main() -> None:
        world = World(Answer(503), CREATED, CREATED, OK)
        first, second = (world.give(observation(fingerprint=f)) for f in "ab")
        other = world.give(observation("y", fingerprint="other"))
        await world.end(first, second, other)
        assert [spec["fingerprint"] for spec in world.specs()] == ["a", "other", "a", "b"]

    asyncio.run(main())


def test_the_end_of_one_name_does_not_leave_its_lane_open() -> None:
    async def main() -> None:
        world = World(CREATED, OK)
        for fingerprint in "ab":
            (outcome,) = await world.end(world.give(observation(fingerprint=fingerprint)))
            assert outcome.ending is Ending.STORED
            assert len(world.sink._lanes) == 0  # pyright: ignore[reportPrivateUsage]  the bound

    asyncio.run(main())


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_closing_at_any_moment_ends_everything(turns: int) -> None:
    async def main() -> None:
        world = World()
        world.writer.gate = asyncio.Event()
        tickets = [world.give(observation(name)) for name in "xxy"]
        for _ in range(turns):
            await asyncio.sleep(0)
        await world.sink.close()
        assert [ticket.outcome for ticket in tickets] == [STOPPED] * 3
        assert (world.ledger.balance, world.ledger.in_flight) == (0, 0)

    asyncio.run(main())


def test_superseded_while_it_waits_it_ends_instead_of_trying_again() -> None:
    async def main() -> None:
        world = World(Answer(503), CREATED)
        ticket = world.give(observation())

        async def overtaken() -> None:
            ticket.superseded = True

        world.while_asleep = overtaken
        (outcome,) = await world.end(ticket)
        assert (outcome.ending, outcome.reason) == (Ending.COALESCED, "newer")
        assert len(world.writer.asked) == 1

    asyncio.run(main())


def test_a_retried_write_is_the_same_write() -> None:
    async def main() -> None:
        world = World(UNANSWERED, OK)
        (outcome,) = await world.end(world.give(observation()))
        assert outcome.ending is Ending.STORED
        assert world.writer.bodies[0] == world.writer.bodies[1]
        known = world.index.get("x")
        assert known is not None
        assert known.fingerprint == "f"

    asyncio.run(main())


def test_an_observation_that_is_gone_has_nothing_to_resolve() -> None:
    async def main() -> None:
        world = World(MISSING)
        world.index.put("x", Known("f", T0, T0))
        (outcome,) = await world.end(world.give(observation(gone=Departure.DELETED)))
        assert (outcome.ending, outcome.reason) == (Ending.FILTERED, "nothing to resolve")
        assert world.index.get("x") is None

    asyncio.run(main())


def test_evidence_of_a_vanished_observation_is_written_whole() -> None:
    async def main() -> None:
        world = World(MISSING, CREATED)
        later = "2026-11-20T07:00:00Z"
        world.index.put("x", Known("f", T0, later, evidence={"b": 2}, base=4, newest="b"))
        (outcome,) = await world.end(world.give(observation(tally=Tally("a", 3, T0))))
        assert outcome.operation == "created"
        (spec,) = world.specs()
        assert (spec["count"], spec["evidence"]) == (9, {"a": 3, "b": 2})
        assert (spec["evidenceBase"], spec["firstSeen"]) == (4, T0)

    asyncio.run(main())


def test_a_subject_that_came_back_is_resolved_no_more() -> None:
    async def main() -> None:
        world = World(OK)
        world.index.put("x", Known("f", T0, T0, resolved=True, traceparent="00-a-b-01"))
        await world.end(world.give(observation()))
        (spec,) = world.specs()
        assert "resolvedAt" not in spec
        assert spec["firstSeen"] == T0
        metadata = msgspec.json.decode(world.writer.bodies[0])["metadata"]
        assert metadata["annotations"] == {"tracing.k8s.io/traceparent": "00-a-b-01"}
        known = world.index.get("x")
        assert known is not None
        assert not known.resolved

    asyncio.run(main())


def test_under_a_hold_one_write_tries_and_the_others_are_put_aside() -> None:
    async def main() -> None:
        world = World(QUOTA)
        (first,) = await world.end(world.give(observation("a")))
        assert first.hold is not None
        world.now_ns += 30 * SECOND
        world.writer.gate = asyncio.Event()
        the_try, aside = world.give(observation("b")), world.give(observation("c"))
        (put_aside,) = await world.end(aside)
        assert put_aside.hold is first.hold
        assert (the_try.outcome, len(world.writer.asked)) == (None, 2)
        world.writer.gate.set()
        (stored,) = await world.end(the_try)
        assert stored.ending is Ending.STORED
        assert (first.hold.open, len(world.holds), world.released) == (False, 0, 1)

    asyncio.run(main())


def test_a_failed_try_keeps_the_same_hold_for_another_30_seconds() -> None:
    async def main() -> None:
        world = World(QUOTA, QUOTA)
        (first,) = await world.end(world.give(observation("a")))
        world.now_ns += 30 * SECOND
        (second,) = await world.end(world.give(observation("a")))
        assert second.hold is first.hold
        assert first.hold is not None
        assert first.hold.open
        assert first.hold.try_at_ns == 60 * SECOND
        world.now_ns += 29 * SECOND
        await world.end(world.give(observation("a")))
        assert len(world.writer.asked) == 2

    asyncio.run(main())


def test_a_defect_fails_its_event_and_not_the_lane() -> None:
    async def main() -> None:
        world = World(Answer(200, b"no JSON"), CREATED)
        world.index.put("x", Known("f", T0, T0))
        broken = world.give(observation(gone=Departure.DELETED))
        fine = world.give(observation(fingerprint="g"))
        failed, stored = await world.end(broken, fine)
        assert (failed.ending, failed.reason) == (Ending.FAILED, "sink")
        assert stored.ending is Ending.STORED

    asyncio.run(main())


def test_what_the_server_would_refuse_is_not_sent() -> None:
    async def main() -> None:
        world = World()
        bad = observation()
        bad.severity = "dreadful"
        (outcome,) = await world.end(world.give(bad))
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "invalid")
        assert world.writer.asked == []

    asyncio.run(main())
