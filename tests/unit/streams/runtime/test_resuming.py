"""A source over the model API server: what it remembers of a run before, and what it makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from operators.decode import subject_name
from operators.model.outcome import Ending
from sinks.dead_letters import DeadLetters
from sinks.holds import Holds
from sinks.writer import Answer, Correlation
from streams.cluster.observations import Observations, Stored
from streams.config.ingester import Ingester
from streams.config.plan import Plan, plan
from streams.runtime.pipeline import specs_of
from streams.runtime.running import RunningSource, Surroundings
from tests.kit import acceptance
from tests.unit.streams.sources.informer.world import World, play

MOMENT = "2026-11-20T06:00:00Z"
NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def planned(source: str = "maps", **informer: str) -> Plan:
    gvr = {"group": "", "version": "v1", "resource": "configmaps"}
    document = acceptance.ingester(
        source=source, informer={"gvr": gvr, "namespace": "default", **informer}
    )
    return plan(Ingester.model_validate(document))


class Remembered(Observations):
    """The Observations of the run before, in memory; an apply replaces one."""

    def __init__(self, how: Plan) -> None:
        self.found: dict[str, dict[str, Any]] = {}
        self.applied: list[str] = []
        self.refusals: list[Answer] = []
        """Answered first, one to each apply."""
        self._plan = how

    def name(self, subject: str) -> str:
        spec, how = specs_of(self._plan).normalise, self._plan
        return subject_name(spec, how.group, how.resource, namespace="default", name=subject)

    def remember(self, subject: str, *, uid: str, **spec: str) -> None:
        name = self.name(subject)
        self.found[name] = {
            "metadata": {"name": name, "namespace": "default", "resourceVersion": "7"},
            "spec": {
                "source": self._plan.source,
                "category": "operations",
                "severity": "medium",
                "eventType": "change",
                "firstSeen": MOMENT,
                "lastSeen": MOMENT,
                "fingerprint": "before",
                "resource": {"kind": "ConfigMap", "namespace": "default", "name": subject},
                "details": {"metadata": {"name": subject, "uid": uid}},
                **spec,
            },
        }

    def spec(self, subject: str) -> dict[str, Any]:
        return self.found[self.name(subject)]["spec"]

    async def own(self, label: str) -> AsyncIterator[Stored]:
        assert label == "default.case"
        for one in tuple(self.found.values()):
            yield msgspec.convert(one, Stored)

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> Answer:
        assert (namespace, correlation) == ("default", None)
        if self.refusals:
            return self.refusals.pop()
        self.applied.append(name)
        self.found[name] = msgspec.json.decode(body)
        return Answer(200, body)

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        assert (namespace, correlation) == ("default", None)
        return Answer(200, msgspec.json.encode(self.found[name]))


def running(
    world: World, how: Plan, observations: Observations, *, at: datetime = NOW
) -> RunningSource:
    clock = world.loop.clock
    return RunningSource(
        how,
        Surroundings(
            manager=world.manager,
            observations=observations,
            holds=Holds(clock),
            dead_letters=DeadLetters(now=lambda: NOW),
            clock=clock,
            now=lambda: at,
            random=lambda: 0.0,
        ),
    )


async def stopped(world: World, source: RunningSource) -> None:
    """Wait until all is told and settled, and stop."""
    await world.until(lambda: source.complete)
    subscription = source.subscription
    assert subscription is not None
    await world.until(lambda: not subscription.dirty_count)
    await source.drained()
    assert source.ledger.balance == subscription.book.balance == 0
    assert subscription.book.received == source.ledger.received
    source.stop_intake()
    await source.abandon()


def test_a_selector_that_changed_between_two_runs_is_told_apart_from_deletions() -> None:
    async def scene(world: World) -> None:
        how = planned(labelSelector="in=yes")
        cluster = Remembered(how)
        for name, label in (("stays", "yes"), ("left", "no"), ("remade", "no"), ("old", "no")):
            cluster.remember(name, uid=world.api.put(name, **{"in": label}).uid)
        cluster.spec("remade")["details"]["metadata"]["uid"] = "uid-before"
        del cluster.spec("old")["details"]["metadata"]["uid"]
        cluster.remember("gone", uid="uid-gone")
        cluster.remember("ended", uid="uid-ended", resolvedAt=MOMENT)

        source = running(world, how, cluster)
        source.start()
        await stopped(world, source)

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


def test_without_a_selector_nobody_is_asked() -> None:
    async def scene(world: World) -> None:
        how = planned()
        cluster = Remembered(how)
        cluster.remember("gone", uid="uid-gone")
        source = running(world, how, cluster)
        source.start()
        await stopped(world, source)
        assert cluster.spec("gone")["resolvedReason"] == "deleted"

    world = play(scene)
    assert world.client.count("get") == 0


def test_a_departure_matters_while_there_is_an_observation_to_resolve() -> None:
    async def scene(world: World) -> None:
        how = planned()
        cluster = Remembered(how)
        cluster.remember("open", uid=world.api.put("open").uid)
        cluster.remember("ended", uid="uid-ended", resolvedAt=MOMENT)
        source = running(world, how, cluster)
        source.start()
        await world.until(lambda: source.complete)
        subscription = source.subscription
        assert subscription is not None
        names = "open", "ended", "never"
        assert {name: subscription.matters(f"default/{name}") for name in names} == {
            "open": True,
            "ended": False,
            "never": False,
        }
        await stopped(world, source)

    play(scene)


def happening() -> Plan:
    gvr = {"group": "", "version": "v1", "resource": "configmaps"}
    informer = {"gvr": gvr, "namespace": "default"}
    document = acceptance.ingester(observe="occurrence", informer=informer)
    return plan(Ingester.model_validate(document))


async def lived(
    world: World, cluster: Remembered, *, at: datetime
) -> dict[tuple[Ending, str], int]:
    """A run from start to stop, and how its events ended."""
    source = running(world, happening(), cluster, at=at)
    source.start()
    await stopped(world, source)
    return source.ledger.endings


def test_after_a_restart_a_list_tells_only_what_happened_meanwhile() -> None:
    async def scene(world: World) -> None:
        cluster = Remembered(happening())
        for name in ("same", "touched", "changed", "remade", "gone"):
            world.api.put(name, content="before")
        assert await lived(world, cluster, at=NOW) == {(Ending.STORED, ""): 5}

        cluster.applied.clear()
        world.api.put("touched", content="before")  # another version of the same content
        world.api.put("changed", content="after")
        world.api.delete("remade")
        world.api.put("remade", content="before")
        world.api.delete("gone")
        later = NOW + timedelta(hours=1)
        assert await lived(world, cluster, at=later) == {
            (Ending.DEDUPLICATED, "told"): 2,
            (Ending.STORED, ""): 2,
        }
        about = [cluster.found[name]["spec"]["resource"]["name"] for name in cluster.applied]
        assert sorted(about) == ["changed", "remade"]
        assert len(cluster.found) == 7, "what happened before stays"

    play(scene)


@pytest.mark.parametrize(
    ("seconds", "ending"),
    [(59, (Ending.DEDUPLICATED, "within window")), (60, (Ending.STORED, ""))],
)
def test_a_window_outlives_the_process_that_opened_it(
    seconds: int, ending: tuple[Ending, str]
) -> None:
    async def scene(world: World) -> None:
        cluster = Remembered(happening())
        world.api.put("c", content="before")
        await lived(world, cluster, at=NOW)
        world.api.delete("c")
        world.api.put("c", content="before")  # an equal event, of another object
        assert await lived(world, cluster, at=NOW + timedelta(seconds=seconds)) == {ending: 1}

    play(scene)


def test_what_is_read_again_tells_nothing_that_was_told() -> None:
    async def scene(world: World) -> None:
        cluster = Remembered(happening())
        world.api.put("c", content="a")
        source = running(world, happening(), cluster, at=NOW)
        source.start()
        await world.until(lambda: source.complete)
        subscription = source.subscription
        assert subscription is not None
        subscription.mark_dirty("default/c")
        await world.until(lambda: source.ledger.received == 2)
        await stopped(world, source)
        assert source.ledger.endings == {
            (Ending.STORED, ""): 1,
            (Ending.DEDUPLICATED, "told"): 1,
        }

    play(scene)


def test_under_another_source_a_subject_goes_on_and_its_old_observation_is_resolved() -> None:
    async def scene(world: World) -> None:
        cluster = Remembered(planned())
        names = [f"c{number:03}" for number in range(120)]
        for name in names:
            cluster.remember(name, uid=world.api.put(name).uid)
        cluster.remember("gone", uid="uid-gone")
        cluster.remember("ended", uid="uid-ended", resolvedAt=MOMENT)
        stranger = {**cluster.found[cluster.name("gone")], "metadata": {"name": "x" * 30}}
        cluster.found["x" * 30] = stranger

        source = running(world, planned("others"), cluster)
        source.start()
        await world.until(lambda: source.ledger.received == 2 * len(names) + 1)
        await stopped(world, source)

        for name in (*names, "gone"):
            assert cluster.spec(name)["resolvedReason"] == "source renamed"
        assert "resolvedReason" not in cluster.spec("ended")
        assert "resolvedReason" not in stranger["spec"]
        new = Remembered(planned("others"))
        assert all("resolvedAt" not in cluster.found[new.name(name)]["spec"] for name in names)

    play(scene)


def test_what_a_quota_puts_aside_is_tried_again() -> None:
    async def scene(world: World) -> None:
        cluster = Remembered(planned())
        cluster.remember("c", uid="uid-c")
        cluster.refusals.append(Answer(403, reason="Forbidden", message="exceeded quota: tests"))
        source = running(world, planned("others"), cluster)
        source.start()
        await world.until(lambda: source.ledger.received == 2)
        await stopped(world, source)
        assert cluster.spec("c")["resolvedReason"] == "source renamed"

    play(scene)
