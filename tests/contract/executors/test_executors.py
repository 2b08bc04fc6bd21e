"""What every executor promises to the queue, whatever its destination is; another executor joins by a factory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from operators.flow.delivery import Ledger, Ticket
from operators.model.event import RemovalReason
from operators.model.observation import Observation, Removal
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.reconcile import (
    Delete,
    MergeEvidence,
    ObservationChange,
    ReadStored,
    ReconcilePolicy,
    Resolve,
)
from sinks.memory import MemoryExecutor
from sinks.observations import ObservationExecutor
from sinks.sink import Applied, ExecutionResult, Executor, Missing, StoredRead
from tests.kit.observation_server import ObservationServer
from tests.unit.sinks.world import (
    MOMENT,
    OWNER,
    T0,
    World,
    counted,
    name_of,
    observation,
    occurred,
    removal,
    run,
    stored_of,
    upsert_of,
)

LATER = "2026-11-20T07:00:00Z"


@dataclass(frozen=True)
class Kind:
    """An executor of a kind over an empty destination."""

    name: str
    make: Callable[[], Executor]
    holds: bool
    """Whether what is written can be read again at the destination."""


KINDS = (
    Kind("memory", MemoryExecutor, holds=False),
    Kind(
        "observations",
        lambda: ObservationExecutor(ObservationServer(), owner=OWNER),
        holds=True,
    ),
)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


async def executed(executor: Executor, change: ObservationChange) -> ExecutionResult:
    ticket = Ticket(Ledger(), lambda: 0)
    result = await executor.execute(change, ticket=ticket)
    ticket.settle(Outcome(Ending.STORED))
    return result


async def operation(world: World, value: Observation | Removal) -> str:
    outcome = await world.end(value)
    assert outcome.ending is Ending.STORED
    return outcome.operation


def test_what_is_new_is_created_and_has_a_uid(kind: Kind) -> None:
    async def scene() -> None:
        result = await executed(kind.make(), upsert_of(observation()))
        assert isinstance(result, Applied)
        assert result.operation == "created"
        assert result.uid

    run(scene)


def test_what_was_created_is_updated_under_its_uid(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make())
        assert await operation(world, observation()) == "created"
        created = world.known(observation())
        assert await operation(world, observation(fingerprint="g")) == "updated"
        updated = world.known(observation())
        assert (updated.uid, updated.first_seen) == (created.uid, created.first_seen)
        assert updated.fingerprint == "g"

    run(scene)


def test_what_is_removed_is_resolved_and_opened_again_under_its_uid(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make())
        await operation(world, observation())
        created = world.known(observation())
        left = removal(reason=RemovalReason.LEFT_SELECTOR)
        assert await operation(world, left) == "resolved"
        assert world.known(observation()).resolved
        assert await operation(world, observation()) == "updated"
        assert world.known(observation()) == created

    run(scene)


def test_what_is_deleted_is_created_anew(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make(), policy=ReconcilePolicy(deletes=True))
        await operation(world, observation())
        assert await operation(world, removal()) == "deleted"
        assert world.state.get(observation().identity) is None
        assert await operation(world, observation()) == "created"

    run(scene)


def test_evidence_is_merged_without_the_text_of_the_older_event(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make())
        assert await operation(world, counted("b", 2, last_seen=LATER)) == "created"
        assert await operation(world, counted("a", 3, last_seen=MOMENT)) == "updated"
        known = world.known(counted())
        assert (known.evidence, known.count, known.newest) == ({"b": 2, "a": 3}, 5, "b")
        assert known.last_seen == LATER

    run(scene)


def test_an_occurrence_is_created_and_not_remembered(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make())
        assert await operation(world, occurred()) == "created"
        assert len(world.state) == 0

    run(scene)


def test_what_does_not_exist_restores_nothing_and_is_deleted_already(kind: Kind) -> None:
    async def scene() -> None:
        executor, value = kind.make(), observation()
        name = name_of(value)
        assert await executed(executor, ReadStored(value.identity, value, name)) == StoredRead(None)
        deleted = await executed(executor, Delete(value.identity, removal(), name))
        assert deleted == Applied("deleted")

    run(scene)


def test_what_does_not_exist_and_is_to_be_amended_is_missing(kind: Kind) -> None:
    """An executor that holds nothing cannot miss anything: it takes the change as it is."""

    async def scene() -> None:
        executor, value = kind.make(), counted("a", 3, last_seen=T0)
        name = name_of(value)
        after = stored_of(value, evidence={"a": 3})
        resolve = Resolve(observation().identity, removal(), name, MOMENT)
        merge = MergeEvidence(value.identity, value, after)
        for change, applied in ((resolve, "resolved"), (merge, "updated")):
            result = await executed(executor, change)
            if kind.holds:
                assert isinstance(result, Missing)
            else:
                assert result == Applied(applied)

    run(scene)


def test_what_vanished_meanwhile_ends_by_what_the_destination_answers(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make())
        world.state.put(observation().identity, stored_of(observation()))
        outcome = await world.end(removal())
        if kind.holds:
            assert (outcome.ending, outcome.reason) == (Ending.FILTERED, "nothing to resolve")
        else:
            assert outcome.operation == "resolved"
        assert not world.state.is_open(observation().identity)
        assert (await world.end(removal())).ending is Ending.FILTERED

    run(scene)


def test_what_is_stored_is_restored_as_it_was_confirmed(kind: Kind) -> None:
    async def scene() -> None:
        executor, value = kind.make(), counted("b", 2)
        world = World(executor=executor)
        await operation(world, value)
        confirmed = world.known(value)
        result = await executed(executor, ReadStored(value.identity, value, confirmed.name))
        assert result == StoredRead(confirmed if kind.holds else None)

    run(scene)


def test_every_attempt_of_one_change_gives_one_observation(kind: Kind) -> None:
    async def scene() -> None:
        executor = kind.make()
        change = upsert_of(observation())
        first, second = await executed(executor, change), await executed(executor, change)
        assert isinstance(first, Applied)
        assert isinstance(second, Applied)
        assert first.uid == second.uid

    run(scene)


def test_a_queue_that_closes_while_it_writes_ends_interrupted(kind: Kind) -> None:
    async def scene() -> None:
        world = World(executor=kind.make())
        ticket = world.accept(observation())
        await world.queue.close()
        assert ticket.outcome == STOPPED
        assert world.ledger.balance == world.ledger.in_flight == 0

    run(scene)
