from __future__ import annotations

from operators.model.event import RemovalReason
from operators.model.observation import Observation, Removal
from operators.model.outcome import Ending
from operators.model.state import StoredObservation
from operators.reconcile import EVIDENCE_NAMES, ReconcilePolicy
from sinks.memory import KEPT, MemoryExecutor
from tests.unit.sinks.world import (
    MOMENT,
    World,
    counted,
    name_of,
    observation,
    occurred,
    removal,
    run,
)


def world_of(executor: MemoryExecutor, policy: ReconcilePolicy | None = None) -> World:
    return World(executor=executor, policy=policy)


async def ended(world: World, value: Observation | Removal) -> tuple[str, str]:
    outcome = await world.end(value)
    return outcome.ending.value, outcome.operation or outcome.reason


def test_it_keeps_the_newest_in_order_and_settles_each() -> None:
    async def scene() -> None:
        executor = MemoryExecutor(capacity=2)
        world = world_of(executor)
        for name in "abc":
            assert await ended(world, observation(name)) == ("stored", "created")
        assert [kept.identity.name for kept in executor.written] == ["b", "c"]
        assert world.ledger.ended(Ending.STORED) == 3

    run(scene)


def test_a_thousand_are_kept_unless_another_number_is_chosen() -> None:
    assert MemoryExecutor().written.maxlen == KEPT == 1000


def test_what_was_written_is_known() -> None:
    async def scene() -> None:
        world = world_of(MemoryExecutor())
        value = observation("a")
        assert await ended(world, value) == ("stored", "created")
        name = name_of(value)
        assert world.known(value) == StoredObservation("f", MOMENT, MOMENT, name=name, uid=name)
        assert await ended(world, value) == ("deduplicated", "unchanged")
        assert await ended(world, observation("a", fingerprint="g")) == ("stored", "updated")

    run(scene)


def test_an_occurrence_is_known_by_its_window_and_not_by_its_identity() -> None:
    async def scene() -> None:
        world = world_of(MemoryExecutor())
        value = occurred("a")
        assert await ended(world, value) == ("stored", "created")
        assert len(world.state) == 0
        assert value.occurrence is not None
        assert value.occurrence.window is not None
        assert value.occurrence.window.uid == value.occurrence.window.name

    run(scene)


def test_a_removal_resolves_what_is_known_once() -> None:
    async def scene() -> None:
        executor = MemoryExecutor()
        world = world_of(executor)
        await ended(world, observation("a"))

        assert await ended(world, removal("a")) == ("stored", "resolved")
        assert not world.state.is_open(observation("a").identity)
        assert await ended(world, removal("a")) == ("filtered", "nothing to resolve")
        assert len(executor.written) == 2
        assert isinstance(executor.written[-1], Removal)
        assert await ended(world, observation("a")) == ("stored", "updated")
        assert world.state.is_open(observation("a").identity)

    run(scene)


def test_an_evicted_subject_is_written_anew() -> None:
    async def scene() -> None:
        world = World(executor=MemoryExecutor(), resolved_entries=1)
        for subject in ("a", "b"):
            await ended(world, observation(subject))
            await ended(world, removal(subject))
        assert world.state.get(observation("a").identity) is None
        assert await ended(world, observation("a")) == ("stored", "created")

    run(scene)


def test_a_removal_deletes_where_the_policy_deletes_and_no_rule_rejected() -> None:
    async def scene() -> None:
        world = world_of(MemoryExecutor(), ReconcilePolicy(deletes=True))
        await ended(world, observation("a"))
        await ended(world, observation("b"))
        assert await ended(world, removal("a")) == ("stored", "deleted")
        assert world.state.get(observation("a").identity) is None
        unwanted = removal("b", reason=RemovalReason.FILTERED, rule="minSeverity HIGH")
        assert await ended(world, unwanted) == ("stored", "resolved")

    run(scene)


def test_the_evidence_of_kubernetes_events_is_counted_in_bounds() -> None:
    async def scene() -> None:
        world = world_of(
            MemoryExecutor(), ReconcilePolicy(event_exists=lambda _namespace, _name: False)
        )
        for number in range(EVIDENCE_NAMES + 5):
            await ended(world, counted(f"event-{number}", 2))

        known = world.known(counted())
        assert known.count == 2 * (EVIDENCE_NAMES + 5)
        assert len(known.evidence or {}) == EVIDENCE_NAMES

    run(scene)
