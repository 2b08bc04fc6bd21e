"""Order, retry, suspension and settlement: what the queue does for every destination."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from operators.flow.delivery import Ticket
from operators.flow.trace import Trace
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.state import IN_DOUBT
from operators.reconcile import ObservationChange, ReconcilePolicy, Resolve
from sinks.memory import MemoryExecutor
from sinks.responses import WriteResponse
from sinks.sink import Attempt, ExecutionResult, Missing
from tests.kit.doubles import CREATED, OK, UNANSWERED
from tests.unit.sinks.world import (
    NOT_FOUND,
    QUOTA,
    SECOND,
    T0,
    TRACEPARENT,
    World,
    counted,
    observation,
    read_of,
    removal,
    run,
    stored_of,
)

TEXT_404 = WriteResponse(404, message="404 page not found")


def test_one_identity_keeps_its_order_and_others_do_not_wait() -> None:
    async def scene() -> None:
        world = World(WriteResponse(503), CREATED, CREATED, OK)
        first, second = (world.accept(observation(fingerprint=f)) for f in "ab")
        other = world.accept(observation("y", fingerprint="other"))
        await world.settled(first, second, other)
        assert [spec["fingerprint"] for spec in world.specs] == ["a", "other", "a", "b"]

    run(scene)


def test_what_is_written_ahead_makes_an_equal_state_a_duplicate() -> None:
    async def scene() -> None:
        world = World(CREATED)
        first, second = world.accept(observation()), world.accept(observation())
        stored, same = await world.settled(first, second)
        assert (stored.operation, same.ending) == ("created", Ending.DEDUPLICATED)
        assert world.verbs == ["apply"]

    run(scene)


def test_a_queue_ends_with_its_last_delivery() -> None:
    async def scene() -> None:
        world = World(CREATED, OK)
        for fingerprint in "ab":
            outcome = await world.end(observation(fingerprint=fingerprint))
            assert outcome.ending is Ending.STORED
            assert len(world.queue._queues) == 0  # pyright: ignore[reportPrivateUsage]  the bound

    run(scene)


@pytest.mark.parametrize("turns", [0, 1, 3])
def test_closing_at_any_moment_ends_everything(turns: int) -> None:
    async def scene() -> None:
        world = World()
        world.writer.gate = asyncio.Event()
        tickets = [world.accept(observation(name)) for name in "xxy"]
        for _ in range(turns):
            await asyncio.sleep(0)
        await world.queue.close()
        tickets.append(world.accept(observation("z")))
        assert [ticket.outcome for ticket in tickets] == [STOPPED] * 4
        assert (world.ledger.balance, world.ledger.in_flight) == (0, 0)
        assert not world.state.is_writing(observation().identity)

    run(scene)


def test_an_identity_is_being_written_until_its_last_delivery_is_settled() -> None:
    async def scene() -> None:
        world = World()
        world.writer.gate = asyncio.Event()
        first, second = (world.accept(observation(fingerprint=f)) for f in "ab")
        seen: list[bool] = []
        identity = observation().identity
        for ticket in (first, second):
            ticket.when_settled(lambda _: seen.append(world.state.is_writing(identity)))
        assert world.state.is_writing(identity)
        world.writer.gate.set()
        await world.settled(first, second)
        assert seen == [True, False]  # what the last callback admits sees no write under way

    run(scene)


def test_superseded_while_it_waits_it_ends_instead_of_trying_again() -> None:
    async def scene() -> None:
        world = World(WriteResponse(503), CREATED)
        ticket = world.accept(observation())

        async def superseded() -> None:
            ticket.superseded = True

        world.while_asleep = superseded
        (outcome,) = await world.settled(ticket)
        assert (outcome.ending, outcome.reason) == (Ending.COALESCED, "newer")
        assert len(world.writer.asked) == 1

    run(scene)


def test_superseded_before_it_waits_it_does_not_wait() -> None:
    async def scene() -> None:
        world = World(WriteResponse(503), CREATED)
        ticket = world.accept(observation())
        ticket.superseded = True
        (outcome,) = await world.settled(ticket)
        assert outcome.ending is Ending.COALESCED
        assert world.slept == []

    run(scene)


def test_retry_after_is_honoured_and_every_attempt_is_a_mark() -> None:
    async def scene() -> None:
        world = World(
            WriteResponse(
                429, reason="TooManyRequests", retry_after_seconds=7.0, waited_seconds=1.5
            ),
            UNANSWERED,
            WriteResponse(503),
            CREATED,
        )
        ticket = world.accept(observation())
        (outcome,) = await world.settled(ticket)
        assert outcome.ending is Ending.STORED
        assert world.slept[0] == 7.0
        attempts = [detail for stage, _, detail in ticket.marks if stage == "write"]
        assert attempts == [
            Attempt("PATCH", 429, 1.5),
            Attempt("PATCH"),
            Attempt("PATCH", 503),
            Attempt("PATCH", 201),
        ]
        waits = [detail for stage, _, detail in ticket.marks if stage == "retry wait"]
        assert waits == world.slept
        assert [stage for stage, _, _ in ticket.marks].count("queue") == 1

    run(scene)


def test_a_wait_that_is_interrupted_is_a_mark_too() -> None:
    async def scene() -> None:
        world = World(WriteResponse(503))
        ticket = world.accept(observation())
        asleep = asyncio.Event()

        async def for_ever() -> None:
            asleep.set()
            await asyncio.Event().wait()

        world.while_asleep = for_ever
        await asleep.wait()
        await world.queue.close()
        assert ticket.outcome == STOPPED
        assert ticket.marks[-1][0] == "retry wait"

    run(scene)


def test_the_waits_double_up_to_thirty_seconds() -> None:
    async def scene() -> None:
        world = World(*[WriteResponse(503)] * 10, CREATED, random=1.0)
        assert (await world.end(observation())).ending is Ending.STORED
        assert world.slept == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]

    run(scene)


def test_half_of_a_wait_is_jitter() -> None:
    async def scene() -> None:
        world = World(*[WriteResponse(503)] * 8, CREATED, random=0.0)
        assert (await world.end(observation())).ending is Ending.STORED
        assert world.slept == [0.25, 0.5, 1, 2, 4, 8, 15, 15]

    run(scene)


@pytest.mark.parametrize(
    ("requested", "random", "waited"),
    [(0.0, 0.0, 0.0), (0.1, 0.0, 0.1), (300.0, 0.0, 300.0), (3600.0, 0.0, 300.0), (7.0, 1.0, 8.0)],
)
def test_a_retry_after_counts_up_to_five_minutes_and_a_second_more(
    requested: float, random: float, waited: float
) -> None:
    async def scene() -> None:
        busy = WriteResponse(429, reason="TooManyRequests", retry_after_seconds=requested)
        world = World(busy, CREATED, random=random)
        assert (await world.end(observation())).ending is Ending.STORED
        assert world.slept == [waited]

    run(scene)


def test_while_others_succeed_eight_failures_are_the_objects_fault() -> None:
    async def scene() -> None:
        world = World(*[WriteResponse(500)] * 50)

        async def another_succeeds() -> None:
            world.writer.answers.appendleft(CREATED)
            await world.end(observation("other", fingerprint=str(len(world.slept))))

        world.while_asleep = another_succeeds
        outcome = await world.end(observation())
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "gave_up")
        assert outcome.error_type == "500"
        assert len(world.slept) == 8  # the first failure came before any success

    run(scene)


def test_while_nothing_succeeds_a_subject_waits_without_limit() -> None:
    async def scene() -> None:
        world = World(*[WriteResponse(503)] * 40, CREATED)
        assert (await world.end(observation())).ending is Ending.STORED
        assert len(world.slept) == 40

    run(scene)


def test_an_observation_that_does_not_exist_has_nothing_to_resolve() -> None:
    async def scene() -> None:
        world = World(NOT_FOUND)
        world.state.put(observation().identity, stored_of(observation()))
        outcome = await world.end(removal())
        assert (outcome.ending, outcome.reason) == (Ending.FILTERED, "nothing to resolve")
        assert world.state.get(observation().identity) is None
        assert (world.verbs, world.slept) == (["read"], [])

    run(scene)


def test_evidence_of_an_observation_that_does_not_exist_is_written_whole() -> None:
    async def scene() -> None:
        world = World(NOT_FOUND, CREATED)
        older = counted("a", 3, last_seen=T0)
        later = "2026-11-20T07:00:00Z"
        world.state.put(
            older.identity,
            stored_of(older, last_seen=later, evidence={"b": 2}, base=4, newest="b"),
        )
        outcome = await world.end(older)
        assert outcome.operation == "created"
        (spec,) = world.specs
        assert (spec["count"], spec["evidence"]) == (9, {"a": 3, "b": 2})
        assert (spec["evidenceBase"], spec["firstSeen"]) == (4, T0)
        assert world.slept == [0.0]

    run(scene)


def test_a_defect_fails_its_event_and_not_its_queue() -> None:
    class Broken(MemoryExecutor):
        async def execute(self, change: ObservationChange, *, ticket: Ticket) -> ExecutionResult:
            if isinstance(change, Resolve):
                raise RuntimeError("a defect")  # noqa: TRY004
            return await super().execute(change, ticket=ticket)

    async def scene() -> None:
        world = World(executor=Broken())
        world.state.put(observation().identity, stored_of(observation()))
        broken = world.accept(removal())
        fine = world.accept(observation(fingerprint="g"))
        failed, stored = await world.settled(broken, fine)
        assert (failed.ending, failed.reason) == (Ending.FAILED, "sink")
        assert stored.ending is Ending.STORED

    run(scene)


def test_a_read_that_is_no_observation_is_tried_again() -> None:
    async def scene() -> None:
        read = msgspec.json.encode(
            {
                "metadata": {"name": "x", "namespace": "n", "resourceVersion": "1"},
                "spec": {"source": "s"},
            }
        )
        world = World(WriteResponse(200, b"<html>"), WriteResponse(200, read), CREATED)
        world.state.put(observation().identity, stored_of(observation()))
        outcome = await world.end(removal())
        assert (outcome.ending, outcome.operation) == (Ending.STORED, "resolved")

    run(scene)


def test_an_executor_that_never_finds_what_it_is_to_resolve_ends() -> None:
    class NeverThere:
        async def execute(
            self,
            change: ObservationChange,
            *,
            ticket: Ticket,  # noqa: ARG002  nothing is requested
        ) -> ExecutionResult:
            return Missing(change.name)

    async def scene() -> None:
        world = World(executor=NeverThere())
        world.state.put(observation().identity, stored_of(observation()))
        assert (await world.end(removal())).reason == "nothing to resolve"

    run(scene)


# What a request without an answer leaves behind.


@pytest.mark.parametrize("resolved", [None, True])
def test_a_write_in_doubt_may_have_been_carried_out(resolved: bool | None) -> None:  # noqa: FBT001
    async def scene() -> None:
        world = World(UNANSWERED)
        value = observation()
        if resolved is not None:
            world.state.put(value.identity, stored_of(value, resolved=resolved))
        ticket = world.accept(value)
        ticket.superseded = True
        (outcome,) = await world.settled(ticket)
        assert outcome.ending is Ending.COALESCED
        # A removal that follows must read, not take it that nothing is there.
        world.writer.answers.extend([read_of(value, stored_of(value)), OK])
        assert (await world.end(removal())).operation == "resolved"

    run(scene)


def test_a_deletion_in_doubt_may_have_been_carried_out() -> None:
    async def scene() -> None:
        world = World(WriteResponse(504), CREATED, policy=ReconcilePolicy(deletes=True))
        world.state.put(observation().identity, stored_of(observation()))
        ticket = world.accept(removal())
        ticket.superseded = True
        (outcome,) = await world.settled(ticket)
        assert outcome.ending is Ending.COALESCED
        assert world.known(observation()).fingerprint == IN_DOUBT
        assert (await world.end(observation())).ending is Ending.STORED

    run(scene)


def test_a_request_that_was_refused_leaves_no_doubt() -> None:
    async def scene() -> None:
        world = World(WriteResponse(429))
        ticket = world.accept(observation())
        ticket.superseded = True
        await world.settled(ticket)
        assert world.state.get(observation().identity) is None

    run(scene)


# Suspensions.


def test_a_quota_suspends_its_namespace_alone_with_one_test_every_30_seconds() -> None:
    async def scene() -> None:
        world = World(QUOTA)
        first = await world.end(observation())
        assert first.must_reread
        assert first.suspension is not None
        assert (await world.end(observation("y"))).must_reread
        assert len(world.writer.asked) == 1
        assert (await world.end(observation("z", namespace="m"))).ending is Ending.STORED
        world.now_ns += 31 * SECOND
        assert (await world.end(observation("y"))).ending is Ending.STORED
        assert not first.suspension.is_open
        assert (await world.end(observation())).ending is Ending.STORED

    run(scene)


@pytest.mark.parametrize("deletes", [True, False])
def test_ending_an_observation_closes_the_suspension_of_its_namespace(*, deletes: bool) -> None:
    async def scene() -> None:
        value = observation()
        world = World(QUOTA, policy=ReconcilePolicy(deletes=deletes))
        first = await world.end(observation("y"))
        assert first.suspension is not None
        world.writer.answers.append(OK if deletes else read_of(value, stored_of(value)))
        world.state.put(value.identity, stored_of(value))
        world.now_ns += 31 * SECOND
        assert (await world.end(removal())).ending is Ending.STORED
        assert not first.suspension.is_open

    run(scene)


def test_the_one_test_is_not_spent_on_what_requests_nothing() -> None:
    async def scene() -> None:
        world = World(QUOTA)
        assert (await world.end(observation())).must_reread
        world.now_ns += 31 * SECOND
        assert (await world.end(removal("y"))).ending is Ending.FILTERED
        assert (await world.end(observation())).ending is Ending.STORED

    run(scene)


def test_while_suspended_one_write_tests_and_the_others_are_spilled() -> None:
    async def scene() -> None:
        world = World(QUOTA)
        first = await world.end(observation("a"))
        assert first.suspension is not None
        world.now_ns += 30 * SECOND
        world.writer.gate = asyncio.Event()
        test, aside = world.accept(observation("b")), world.accept(observation("c"))
        (spilled,) = await world.settled(aside)
        assert spilled.suspension is first.suspension
        assert (test.outcome, len(world.writer.asked)) == (None, 2)
        world.writer.gate.set()
        (stored,) = await world.settled(test)
        assert stored.ending is Ending.STORED
        assert (first.suspension.is_open, len(world.suspensions), world.resumed) == (False, 0, 1)

    run(scene)


def test_a_failed_test_keeps_the_suspension_for_another_30_seconds() -> None:
    async def scene() -> None:
        world = World(QUOTA, QUOTA)
        first = await world.end(observation("a"))
        world.now_ns += 30 * SECOND
        second = await world.end(observation("a"))
        assert second.suspension is first.suspension
        assert first.suspension is not None
        assert first.suspension.is_open
        assert first.suspension.retry_at_ns == 60 * SECOND
        world.now_ns += 29 * SECOND
        await world.end(observation("a"))
        assert len(world.writer.asked) == 2
        world.now_ns += SECOND
        await world.end(observation("a"))
        assert len(world.writer.asked) == 3

    run(scene)


def test_a_suspension_ends_with_its_namespace() -> None:
    async def scene() -> None:
        terminating = WriteResponse(403, reason="Forbidden", causes=("NamespaceTerminating",))
        world = World(QUOTA, terminating)
        assert (await world.end(observation())).must_reread
        world.now_ns += 31 * SECOND
        assert (await world.end(observation())).reason == "namespace_gone"
        assert len(world.suspensions) == 0

    run(scene)


def test_a_namespace_that_is_gone_takes_what_is_known_with_it() -> None:
    async def scene() -> None:
        world = World(WriteResponse(404, reason="NotFound", message='namespaces "n" not found'))
        world.state.put(observation().identity, stored_of(observation()))
        outcome = await world.end(observation(fingerprint="g"))
        assert (outcome.ending, outcome.reason) == (Ending.DEAD_LETTERED, "namespace_gone")
        assert world.state.get(observation().identity) is None

    run(scene)


def test_a_missing_definition_suspends_everything() -> None:
    async def scene() -> None:
        world = World(TEXT_404)
        first = await world.end(observation())
        assert first.must_reread
        other = await world.end(observation("z", namespace="m"))
        assert other.must_reread
        assert other.suspension is first.suspension
        assert len(world.writer.asked) == 1

    run(scene)


# Traces.


def traced(world: World) -> tuple[Trace, list[int]]:
    """The trace of an event, and how often its export was reserved."""
    reserved: list[int] = []

    def reserve() -> bool:
        reserved.append(len(world.writer.asked))
        return True

    event = observation().classified.event
    return Trace(10, 1 << 63, 0, reserve, event.payload, event.subject, 0), reserved


def test_the_event_that_creates_an_observation_is_named_by_it_and_later_ones_keep_that() -> None:
    async def scene() -> None:
        world = World(WriteResponse(201, b'{"metadata":{"uid":"made"}}'), OK)
        ticket = world.accept(observation())
        ticket.trace, reserved = traced(world)
        await world.settled(ticket)
        assert reserved == [0], "before the request that refers to it"
        assert ticket.trace.observation == ("n", world.known(observation()).name, "made")
        assert ticket.trace.attempts == 1
        created = world.bodies[0]["metadata"]["annotations"]["tracing.k8s.io/traceparent"]
        assert created == ticket.trace.traceparent
        second = world.accept(observation(fingerprint="g"))
        second.trace, _ = traced(world)
        await world.settled(second)
        assert world.bodies[1]["metadata"]["annotations"]["tracing.k8s.io/traceparent"] == created

    run(scene)


def test_an_observation_that_was_created_untraced_stays_so() -> None:
    async def scene() -> None:
        world = World(CREATED)
        world.state.put(observation().identity, stored_of(observation()))
        ticket = world.accept(observation(fingerprint="g"))
        ticket.trace, _ = traced(world)
        await world.settled(ticket)
        assert "annotations" not in world.bodies[0]["metadata"]
        world.state.put(
            observation().identity, replace(stored_of(observation()), traceparent=TRACEPARENT)
        )
        duplicate = await world.end(observation())
        assert duplicate == Outcome(
            Ending.DEDUPLICATED,
            "unchanged",
            observation=stored_of(observation()).name,
            link=TRACEPARENT,
        )

    run(scene)


def test_accepting_requests_nothing_itself() -> None:
    async def scene() -> None:
        world = World()
        ticket = world.accept(observation())
        assert (ticket.outcome, world.writer.asked) == (None, [])
        await world.settled(ticket)

    run(scene)
