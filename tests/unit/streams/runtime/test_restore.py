"""The state after a restart: restored from the cluster, compared with what is there now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from operators.model.identity import EventIdentity, Identity, IngesterKey
from operators.model.outcome import Ending
from operators.model.state import ObservationState
from sinks.responses import WriteResponse
from sinks.stored import StoredRecord
from streams.cluster.errors import ClusterError, UnreachableError
from streams.cluster.observations import ListRefusedError
from streams.cluster.response import Response as HttpResponse
from streams.runtime.restore import removed_meanwhile, restore, restore_with_retries
from tests.unit.streams.runtime.world import (
    MOMENT,
    NOW,
    Cluster,
    complete,
    pipeline_of,
    planned,
    stop,
)
from tests.unit.streams.sources.informer.world import World, play

OWNER = IngesterKey("n", "i")


def identity(name: str, *, source: str = "", resource: str = "maps") -> Identity:
    return Identity(OWNER, source, "", resource, "n", name)


# What is compared.


def test_open_subjects_that_are_not_there_were_removed() -> None:
    subjects = {identity("there"): "uid-1", identity("gone"): "uid-2"}

    assert removed_meanwhile(subjects, {"n/there", "n/new"}) == [("n/gone", "uid-2")]


# The list that the state is restored from.


def record(cluster: Cluster, subject: str) -> bytes:
    return msgspec.json.encode(cluster.stored["default", cluster.name(subject)])


def test_the_state_is_what_the_cluster_stores() -> None:
    async def main() -> None:
        cluster, state = Cluster(planned()), ObservationState()
        cluster.remember("open", uid="uid-open")
        cluster.remember("ended", uid="uid-ended", resolvedAt=MOMENT)
        event = EventIdentity("uid-x", "BackOff", "Warning", "kubelet")
        events = msgspec.structs.replace(cluster.identity(""), resource="events", event=event)
        cluster.remember("x", uid="", identity=events, evidence={"a": 3}, count=3)
        ingester = cluster.identity("open").ingester

        subjects = await restore(
            cluster.list_of(ingester), state, now=lambda: NOW, is_ours=lambda _: True
        )

        assert subjects == {cluster.identity("open"): "uid-open"}
        assert state.is_open(cluster.identity("open"))
        ended = state.get(cluster.identity("ended"))
        assert ended is not None
        assert ended.resolved
        counted = state.get(events)
        assert counted is not None
        assert (counted.evidence, counted.count) == ({"a": 3}, 3)
        assert len(state) == 3
        assert state.has_open("default/open")
        assert not state.has_open("default/ended")

    asyncio.run(main())


class Lists:
    """Fails as often as errors were given, each time after having listed the first record."""

    def __init__(self, cluster: Cluster, *errors: Exception) -> None:
        self.cluster = cluster
        self.errors = list(errors)
        self.lists = 0
        self.slept: list[float] = []
        self.failures: list[str] = []

    async def list_stored(self) -> AsyncIterator[StoredRecord]:
        self.lists += 1
        async for one in self.cluster.list_of(self.cluster.identity("").ingester):
            yield one
            if self.errors:
                raise self.errors.pop(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def restored(self, state: ObservationState) -> dict[Identity, str]:
        return await restore_with_retries(
            self.list_stored,
            state,
            clock=lambda: 0,
            now=lambda: NOW,
            random=lambda: 0.0,
            is_ours=lambda _: True,
            on_failure=lambda error: self.failures.append(str(error)),
            sleep=self.sleep,
        )


def test_nothing_is_restored_of_what_is_not_observed_now() -> None:
    async def main() -> None:
        cluster, state = Cluster(planned()), ObservationState()
        own, ingester = cluster.identity("own"), cluster.identity("own").ingester
        others = [
            msgspec.structs.replace(own, source="second"),
            msgspec.structs.replace(own, resource="secrets"),
        ]
        cluster.remember("own", uid="uid-own", identity=own)
        for number, other in enumerate(others):
            cluster.remember(f"other-{number}", uid="u", identity=other)

        subjects = await restore(
            cluster.list_of(ingester), state, now=lambda: NOW, is_ours=lambda one: one == own
        )

        assert subjects == {own: "uid-own"}
        assert [state.is_open(one) for one in (own, *others)] == [True, False, False]

    asyncio.run(main())


def test_a_list_that_breaks_off_restores_nothing() -> None:
    async def broken(records: AsyncIterator[StoredRecord]) -> AsyncIterator[StoredRecord]:
        async for one in records:
            yield one
        raise UnreachableError("cut")

    async def main() -> None:
        cluster, state = Cluster(planned()), ObservationState()
        cluster.remember("gone", uid="uid-gone")
        records = broken(cluster.list_of(cluster.identity("gone").ingester))

        with pytest.raises(UnreachableError):
            await restore(records, state, now=lambda: NOW, is_ours=lambda _: True)

        assert len(state) == 0

    asyncio.run(main())


def test_a_list_that_fails_is_tried_again_after_one_to_fifteen_seconds() -> None:
    async def main() -> None:
        cluster, state = Cluster(planned()), ObservationState()
        for name in "ab":
            cluster.remember(name, uid=f"uid-{name}")
        refused = ListRefusedError(HttpResponse(403, {}, b"not for you"))
        errors = [UnreachableError("no route"), refused, *[ClusterError("again")] * 4]
        lists = Lists(cluster, *errors)

        subjects = await lists.restored(state)

        assert subjects == {cluster.identity(name): f"uid-{name}" for name in "ab"}
        assert lists.slept == [1, 2, 4, 8, 15, 15]
        assert lists.failures[:2] == ["no route", "403: not for you"]
        assert (lists.lists, len(lists.failures), len(state)) == (7, 6, 2)

    asyncio.run(main())


def test_a_defect_is_not_tried_again() -> None:
    async def main() -> None:
        cluster = Cluster(planned())
        cluster.remember("a", uid="uid-a")
        lists = Lists(cluster, ZeroDivisionError())
        with pytest.raises(ZeroDivisionError):
            await lists.restored(ObservationState())
        assert lists.slept == []

    asyncio.run(main())


# Whole runs, one after another.


def test_a_selector_that_changed_between_two_runs_is_told_apart_from_deletions() -> None:
    async def scene(world: World) -> None:
        of = planned(labelSelector="in=yes")
        cluster = Cluster(of)
        for name, label in (("stays", "yes"), ("left", "no"), ("remade", "no"), ("old", "no")):
            cluster.remember(name, uid=world.api.put(name, **{"in": label}).uid)
        cluster.spec("remade")["identity"]["uid"] = "uid-before"
        del cluster.spec("old")["identity"]["uid"]
        cluster.remember("gone", uid="uid-gone")
        cluster.remember("ended", uid="uid-ended", resolvedAt=MOMENT)

        pipeline = pipeline_of(world, of, cluster)
        pipeline.start()
        await stop(world, pipeline)

        names = "left", "old", "remade", "gone"
        assert {name: cluster.spec(name)["resolvedReason"] for name in names} == {
            "left": "left_selector",
            "old": "left_selector",
            "remade": "deleted",
            "gone": "deleted",
        }
        assert "resolvedAt" not in cluster.spec("stays")
        assert "resolvedReason" not in cluster.spec("ended")
        assert len(cluster.applied) == 5

    world = play(scene)
    assert world.client.count("get") == 4


def test_without_a_selector_nothing_is_requested_of_what_is_gone() -> None:
    async def scene(world: World) -> None:
        of = planned()
        cluster = Cluster(of)
        cluster.remember("gone", uid="uid-gone")
        pipeline = pipeline_of(world, of, cluster)
        pipeline.start()
        await stop(world, pipeline)
        assert cluster.spec("gone")["resolvedReason"] == "deleted"
        assert cluster.spec("gone")["resolvedAt"] == MOMENT

    world = play(scene)
    assert world.client.count("get") == 0


def test_what_another_entry_or_a_former_resource_left_stays_as_it_is() -> None:
    async def scene(world: World) -> None:
        of = planned()
        cluster = Cluster(of)
        second = msgspec.structs.replace(cluster.identity("a"), source="second")
        former = msgspec.structs.replace(cluster.identity("a"), resource="secrets")
        for other in (second, former):
            cluster.remember("a", uid="uid-a", identity=other)
        before = dict(cluster.stored)
        pipeline = pipeline_of(world, of, cluster)
        pipeline.start()
        await stop(world, pipeline)
        assert (cluster.applied, cluster.stored) == ([], before)
        assert pipeline.ledger.received == 0

    play(scene)


def test_under_another_source_name_a_subject_continues_its_observation() -> None:
    async def scene(world: World) -> None:
        cluster = Cluster(planned())
        uid = world.api.put("c").uid
        cluster.remember("c", uid=uid)
        pipeline = pipeline_of(world, planned("others"), cluster)
        pipeline.start()
        await stop(world, pipeline)
        assert cluster.spec("c")["source"] == "others"
        assert cluster.spec("c")["firstSeen"] == MOMENT
        assert "resolvedAt" not in cluster.spec("c")
        assert len(cluster.stored) == 1

    play(scene)


def test_a_removal_is_tracked_while_there_is_an_observation_to_resolve() -> None:
    async def scene(world: World) -> None:
        of = planned()
        cluster = Cluster(of)
        cluster.remember("open", uid=world.api.put("open").uid)
        cluster.remember("ended", uid="uid-ended", resolvedAt=MOMENT)
        pipeline = pipeline_of(world, of, cluster)
        pipeline.start()
        await complete(world, pipeline)
        await pipeline.drained()
        (informer,) = world.manager.informers
        (subscription,) = informer.subscriptions
        names = "open", "ended", "never"
        assert {name: subscription.is_tracked(f"default/{name}") for name in names} == {
            "open": True,
            "ended": False,
            "never": False,
        }
        await stop(world, pipeline)

    play(scene)


async def lived(
    world: World, cluster: Cluster, *, seconds: float = 0.0
) -> dict[tuple[Ending, str], int]:
    """A run from start to stop so long after the first one, and how its events ended."""
    at = NOW + timedelta(seconds=seconds)
    pipeline = pipeline_of(world, planned(observe="occurrence"), cluster, at=at)
    pipeline.start()
    await stop(world, pipeline)
    return pipeline.ledger.endings


def test_after_a_restart_a_list_tells_only_what_happened_meanwhile() -> None:
    async def scene(world: World) -> None:
        cluster = Cluster(planned(observe="occurrence"))
        for name in ("same", "touched", "changed", "remade", "gone"):
            world.api.put(name, content="before")
        assert await lived(world, cluster) == {(Ending.STORED, ""): 5}

        cluster.requests.clear()
        world.api.put("touched", content="before")  # another version of the same content
        world.api.put("changed", content="after")
        world.api.delete("remade")
        world.api.put("remade", content="before")
        world.api.delete("gone")
        assert await lived(world, cluster, seconds=3600) == {
            (Ending.DEDUPLICATED, "already_counted"): 2,
            (Ending.STORED, ""): 2,
        }
        about = [
            cluster.stored["default", name]["spec"]["resource"]["name"] for name in cluster.applied
        ]
        assert sorted(about) == ["changed", "remade"]
        assert len(cluster.stored) == 7, "what happened before stays"

    play(scene)


@pytest.mark.parametrize(
    ("seconds", "ending"),
    [(59, (Ending.DEDUPLICATED, "within window")), (60, (Ending.STORED, ""))],
)
def test_a_window_outlives_the_process_that_opened_it(
    seconds: int, ending: tuple[Ending, str]
) -> None:
    async def scene(world: World) -> None:
        cluster = Cluster(planned(observe="occurrence"))
        world.api.put("c", content="before")
        await lived(world, cluster)
        world.api.delete("c")
        world.api.put("c", content="before")  # an equal event, of another object
        assert await lived(world, cluster, seconds=seconds) == {ending: 1}

    play(scene)


def test_what_is_read_again_counts_nothing_that_was_counted() -> None:
    async def scene(world: World) -> None:
        of = planned(observe="occurrence")
        cluster = Cluster(of)
        world.api.put("c", content="a")
        pipeline = pipeline_of(world, of, cluster)
        pipeline.start()
        await complete(world, pipeline)
        await pipeline.drained()
        (informer,) = world.manager.informers
        informer.subscriptions[0].mark_dirty("default/c")
        await world.until(lambda: pipeline.ledger.received == 2)
        await stop(world, pipeline)
        assert pipeline.ledger.endings == {
            (Ending.STORED, ""): 1,
            (Ending.DEDUPLICATED, "already_counted"): 1,
        }

    play(scene)


def test_what_a_quota_suspends_is_tried_again_when_its_suspension_is_tested() -> None:
    async def scene(world: World) -> None:
        of = planned()
        cluster = Cluster(of)
        cluster.remember("gone", uid="uid-gone")
        world.api.put("c")
        quota = WriteResponse(403, reason="Forbidden", message="exceeded quota: tests")
        cluster.responses.append(quota)
        pipeline = pipeline_of(world, of, cluster)
        pipeline.start()
        await stop(world, pipeline)
        endings = pipeline.ledger.endings
        assert endings[Ending.COALESCED, "spilled"] >= 1
        assert endings[Ending.STORED, ""] == 2
        assert cluster.spec("gone")["resolvedReason"] == "deleted"
        assert "resolvedAt" not in cluster.spec("c")

    play(scene)
