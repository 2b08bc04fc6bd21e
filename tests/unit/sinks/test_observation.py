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
from operators.model.outcome import Ending, Outcome, is_spilled
from sinks.asking import Attempt
from sinks.change import WhenGone
from sinks.holds import Holds
from sinks.manifest import Owner
from sinks.observation import ObservationSink
from sinks.writer import Answer
from tests.kit.doubles import CREATED, OK, UNANSWERED, ScriptedWriter

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
SECOND = 1_000_000_000
T0 = "2026-11-20T05:00:00Z"
QUOTA = Answer(403, reason="Forbidden", message="forbidden: exceeded quota: tests")
TEXT_404 = Answer(404, message="404 page not found")
STORED_ONE = msgspec.json.encode(
    {"metadata": {"name": "x", "namespace": "n", "resourceVersion": "7"}, "spec": {"source": "s"}}
)


class World:
    def __init__(self, *answers: Answer, when_gone: WhenGone = WhenGone.RESOLVE) -> None:
        self.now_ns = 0
        self.slept: list[float] = []
        self.writer = ScriptedWriter(*answers)
        self.index = Index()
        self.ledger = Ledger()
        self.holds = Holds(lambda: self.now_ns)
        self.when_slept: Callable[[], Awaitable[None]] | None = None
        self.sink = ObservationSink(
            self.writer,
            self.index,
            owner=Owner("n", "ingester", 604800),
            holds=self.holds,
            clock=lambda: self.now_ns,
            now=lambda: NOW,
            random=lambda: 0.0,
            when_gone=when_gone,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += int(seconds * SECOND)
        await asyncio.sleep(0)
        if self.when_slept is not None:
            await self.when_slept()

    def give(self, observation: Observation) -> Ticket:
        ticket = Ticket(self.ledger, lambda: self.now_ns)
        self.sink.accept(Delivery(observation, ticket))
        return ticket

    async def end(self, observation: Observation) -> Outcome:
        ticket = self.give(observation)
        outcome = await settled(ticket)
        assert self.ledger.balance == 0
        return outcome


async def settled(ticket: Ticket) -> Outcome:
    over = asyncio.Event()
    ticket.when_settled(lambda _: over.set())
    if ticket.outcome is None:
        await over.wait()
    assert ticket.outcome is not None
    return ticket.outcome


def observation(
    name: str = "x",
    *,
    namespace: str = "n",
    fingerprint: str = "f",
    gone: Departure | None = None,
    unwanted_by: str = "",
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
        details={"a": 1},
        gone=gone,
        unwanted_by=unwanted_by,
        tally=tally,
    )


def known(**fields: object) -> Known:
    return Known(**({"fingerprint": "f", "first_seen": T0, "last_seen": T0} | fields))  # pyright: ignore[reportArgumentType]  a test's short hand


def test_created_then_updated_keeps_when_it_was_first_seen() -> None:
    async def main() -> None:
        world = World(CREATED, OK)
        assert (await world.end(observation())).operation == "created"
        world.index.put("x", known())
        assert (await world.end(observation(fingerprint="g"))).operation == "updated"
        assert msgspec.json.decode(world.writer.bodies[1])["spec"]["firstSeen"] == T0

    asyncio.run(main())


def test_resolving_reads_writes_the_whole_and_reads_again_after_a_conflict() -> None:
    async def main() -> None:
        read = Answer(200, STORED_ONE)
        world = World(read, Answer(409, reason="Conflict"), read, OK)
        world.index.put("x", known())
        outcome = await world.end(observation(gone=Departure.LEFT_SELECTOR))
        assert outcome.operation == "resolved"
        assert [verb for verb, _ in world.writer.asked] == ["read", "apply", "read", "apply"]
        sent = msgspec.json.decode(world.writer.bodies[-1])
        assert sent["metadata"]["resourceVersion"] == "7"
        assert sent["spec"]["resolvedReason"] == "left_selector"
        assert sent["spec"]["source"] == "s"
        again = await world.end(observation(gone=Departure.DELETED))
        assert (again.ending, again.reason) == (Ending.FILTERED, "nothing to resolve")

    asyncio.run(main())


@pytest.mark.parametrize("when_gone", WhenGone)
def test_what_a_filter_wants_no_longer_is_resolved_by_the_rules_name(when_gone: WhenGone) -> None:
    async def main() -> None:
        world = World(Answer(200, STORED_ONE), OK, when_gone=when_gone)
        world.index.put("x", known())
        unwanted = observation(gone=Departure.UNWANTED, unwanted_by="minSeverity HIGH")

        assert await world.end(unwanted) == Outcome(
            Ending.STORED, "minSeverity HIGH", operation="resolved"
        )
        sent = msgspec.json.decode(world.writer.bodies[-1])["spec"]
        assert sent["resolvedReason"] == "minSeverity HIGH"
        assert not world.index.is_open("x")

    asyncio.run(main())


def test_deleting_instead_of_resolving() -> None:
    async def main() -> None:
        world = World(OK, when_gone=WhenGone.DELETE)
        world.index.put("x", known())
        assert (await world.end(observation(gone=Departure.DELETED))).operation == "deleted"
        assert world.index.get("x") is None

    asyncio.run(main())


def test_retry_after_is_honoured_and_every_attempt_is_a_mark() -> None:
    async def main() -> None:
        world = World(
            Answer(429, reason="TooManyRequests", retry_after_seconds=7.0, waited_seconds=1.5),
            UNANSWERED,
            Answer(503),
            CREATED,
        )
        ticket = world.give(observation())
        outcome = await settled(ticket)
        assert outcome.ending is Ending.STORED
        assert world.slept[0] == 7.0
        attempts = [detail for stage, _, detail in ticket.marks if stage == "write"]
        assert attempts == [
            Attempt("PATCH", 429, 1.5),
            Attempt("PATCH"),
            Attempt("PATCH", 503),
            Attempt("PATCH", 201),
        ]
        assert len([stage for stage, _, _ in ticket.marks if stage == "retry wait"]) == 3

    asyncio.run(main())


def test_what_nobody_answered_may_have_been_written() -> None:
    async def main() -> None:
        world = World(UNANSWERED)
        ticket = world.give(observation())
        ticket.superseded = True
        outcome = await settled(ticket)
        assert outcome.ending is Ending.COALESCED
        # a departure that follows must look, not assume that nothing is there
        world.writer.answers.extend([Answer(200, STORED_ONE), OK])
        assert (await world.end(observation(gone=Departure.DELETED))).operation == "resolved"

    asyncio.run(main())


def test_a_subject_made_again_may_have_been_written_too() -> None:
    async def main() -> None:
        world = World(UNANSWERED, Answer(200, STORED_ONE), OK)
        world.index.put("x", known(resolved=True))
        ticket = world.give(observation())
        ticket.superseded = True
        assert (await settled(ticket)).ending is Ending.COALESCED
        assert (await world.end(observation(gone=Departure.DELETED))).operation == "resolved"

    asyncio.run(main())


def test_what_a_server_at_fault_was_told_to_delete_may_be_gone() -> None:
    async def main() -> None:
        world = World(Answer(504), CREATED, when_gone=WhenGone.DELETE)
        world.index.put("x", known())
        ticket = world.give(observation(gone=Departure.DELETED))
        ticket.superseded = True
        assert (await settled(ticket)).ending is Ending.COALESCED
        told = world.index.get("x")
        assert told is not None
        assert told.fingerprint != "f"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(500, message="etcdserver: request is too large"), "too_large"),
        (Answer(413), "too_large"),
        (Answer(500, message="failed to create typed patch object (n/x)"), "invalid"),
        (Answer(422, reason="Invalid"), "invalid"),
        (Answer(400, reason="BadRequest"), "invalid"),
        (Answer(403, reason="Forbidden", causes=("NamespaceTerminating",)), "namespace_gone"),
        (Answer(404, reason="NotFound", message='namespaces "n" not found'), "namespace_gone"),
    ],
)
def test_the_objects_own_fault_ends_it_at_once(answer: Answer, reason: str) -> None:
    async def main() -> None:
        world = World(answer)
        outcome = await world.end(observation())
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, reason)
        assert len(world.writer.asked) == 1

    asyncio.run(main())


def test_while_others_succeed_eight_failures_are_the_objects_fault() -> None:
    async def main() -> None:
        world = World(*[Answer(500)] * 50)

        async def another_succeeds() -> None:
            world.writer.answers.appendleft(CREATED)
            await world.end(observation("other", fingerprint=str(len(world.slept))))

        world.when_slept = another_succeeds
        outcome = await world.end(observation())
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "gave_up")

    asyncio.run(main())


def test_while_nothing_succeeds_a_subject_waits() -> None:
    async def main() -> None:
        world = World(*[Answer(503)] * 40, CREATED)
        assert (await world.end(observation())).ending is Ending.STORED
        assert len(world.slept) == 40
        assert max(world.slept) <= 30

    asyncio.run(main())


def test_a_quota_holds_its_namespace_alone_with_one_try_every_30_seconds() -> None:
    async def main() -> None:
        world = World(QUOTA)
        first = await world.end(observation())
        assert is_spilled(first)
        assert first.hold is not None
        assert is_spilled(await world.end(observation("y")))
        assert len(world.writer.asked) == 1
        assert (await world.end(observation("z", namespace="m"))).ending is Ending.STORED
        world.now_ns += 31 * SECOND
        assert (await world.end(observation("y"))).ending is Ending.STORED
        assert not first.hold.open
        assert (await world.end(observation())).ending is Ending.STORED

    asyncio.run(main())


def test_the_one_try_is_not_spent_on_what_asks_for_nothing() -> None:
    async def main() -> None:
        world = World(QUOTA)
        assert is_spilled(await world.end(observation()))
        world.now_ns += 31 * SECOND
        assert (await world.end(observation("y", gone=Departure.DELETED))).ending is Ending.FILTERED
        assert (await world.end(observation())).ending is Ending.STORED

    asyncio.run(main())


def test_a_hold_ends_with_its_namespace() -> None:
    async def main() -> None:
        terminating = Answer(403, reason="Forbidden", causes=("NamespaceTerminating",))
        world = World(QUOTA, terminating)
        assert is_spilled(await world.end(observation()))
        world.now_ns += 31 * SECOND
        assert (await world.end(observation())).reason == "namespace_gone"
        assert len(world.holds) == 0

    asyncio.run(main())


def test_a_missing_definition_holds_everything() -> None:
    async def main() -> None:
        world = World(TEXT_404)
        assert is_spilled(await world.end(observation()))
        assert is_spilled(await world.end(observation("z", namespace="m")))

    asyncio.run(main())


def test_an_older_event_only_adds_to_the_evidence() -> None:
    async def main() -> None:
        world = World(Answer(200, STORED_ONE), OK)
        world.index.put("x", known(evidence={"b": 2}, last_seen="2026-11-20T07:00:00Z", newest="b"))
        outcome = await world.end(observation(tally=Tally("a", 3, "2026-11-20T06:00:00Z")))
        assert outcome.operation == "updated"
        sent = msgspec.json.decode(world.writer.bodies[0])["spec"]
        assert (sent["count"], sent["evidence"]) == (5, {"a": 3, "b": 2})
        assert sent["source"] == "s"
        told = await world.end(observation(tally=Tally("a", 3, "2026-11-20T06:00:00Z")))
        assert told.ending is Ending.DEDUPLICATED

    asyncio.run(main())


def test_an_event_of_the_same_second_with_a_fraction_is_the_newer_one() -> None:
    async def main() -> None:
        world = World(OK)
        world.index.put("x", known(evidence={"b": 2}, last_seen="2026-11-20T06:00:00Z", newest="b"))
        await world.end(observation(tally=Tally("a", 3, "2026-11-20T06:00:00.900000Z")))
        sent = msgspec.json.decode(world.writer.bodies[0])["spec"]
        assert sent["lastSeen"] == "2026-11-20T06:00:00.900000Z"

    asyncio.run(main())


def test_closing_interrupts_what_has_not_ended() -> None:
    async def main() -> None:
        world = World()
        world.writer.gate = asyncio.Event()
        tickets = [
            world.give(observation("x")),
            world.give(observation("x")),
            world.give(observation("y")),
        ]
        await asyncio.sleep(0)
        await world.sink.close()
        tickets.append(world.give(observation("z")))
        assert {t.outcome.ending for t in tickets if t.outcome} == {Ending.INTERRUPTED}
        assert all(t.outcome for t in tickets)
        assert world.ledger.balance == 0
        assert world.ledger.in_flight == 0

    asyncio.run(main())
