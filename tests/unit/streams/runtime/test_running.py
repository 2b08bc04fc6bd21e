from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from operators.flow.clock import utc_now
from operators.model.outcome import Ending, Outcome
from sinks.dead_letters import DeadLetters
from sinks.holds import Holds
from streams.cluster.observations import Observations, Stored
from streams.config.load import load
from streams.config.plan import plan
from streams.runtime.running import RunningSource, Surroundings, WhenEnded
from streams.sources.informer.manager import InformerManager
from tests.kit.doubles import ScriptedWriter
from tests.kit.model_api import ModelApi
from tests.kit.model_client import ModelClient

EXAMPLES = Path(__file__).parents[4] / "deploy" / "examples"


class NoneStored(ScriptedWriter):
    """A cluster without Observations, that takes all."""

    async def own(self, label: str) -> AsyncIterator[Stored]:
        del label
        for stored in ():
            yield stored


class Unusable(NoneStored):
    """A defect."""

    async def own(self, label: str) -> AsyncIterator[Stored]:
        async for stored in super().own(label):
            yield stored
        raise ZeroDivisionError


def source(
    client: ModelClient, *listeners: WhenEnded, stored: NoneStored | None = None
) -> RunningSource:
    """The ConfigMaps of the model API server."""
    around = Surroundings(
        manager=InformerManager(
            client, discover=client.discover, clock=time.monotonic_ns, random=random.random
        ),
        observations=cast("Observations", cast("Any", stored or NoneStored())),
        holds=Holds(time.monotonic_ns),
        dead_letters=DeadLetters(now=utc_now),
        clock=time.monotonic_ns,
        now=utc_now,
        random=random.random,
        listeners=listeners,
    )
    loaded = load([EXAMPLES / "configmaps.yaml"], default_namespace="default")
    return RunningSource(plan(loaded.ingesters[0]), around)


def test_every_listener_is_told_of_an_ending_after_the_books() -> None:
    heard: list[tuple[str, str, Outcome | None, int]] = []

    async def scene() -> None:
        told = asyncio.Event()

        def listener(name: str) -> WhenEnded:
            return lambda one, ticket: heard.append(
                (name, one.ingester, ticket.outcome, one.ledger.in_flight)
            )

        api = ModelApi()
        api.put("c", **{"zen-streams/watch": "yes"})
        running = source(
            ModelClient(api),
            listener("first"),
            listener("second"),
            lambda _one, _ticket: told.set(),
        )
        running.start()
        await told.wait()
        running.stop_intake()
        await running.abandon()

    asyncio.run(scene())
    assert [(name, ingester, in_flight) for name, ingester, _, in_flight in heard] == [
        ("first", "default/watched-configmaps", 0),
        ("second", "default/watched-configmaps", 0),
    ]
    assert {outcome and outcome.ending for _, _, outcome, _ in heard} == {Ending.STORED}


def test_a_listener_that_raises_keeps_no_room_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene() -> None:
        told = asyncio.Event()

        def broken(_one: RunningSource, _ticket: object) -> None:
            told.set()
            raise ZeroDivisionError

        api = ModelApi()
        api.put("c", **{"zen-streams/watch": "yes"})
        running = source(ModelClient(api), broken)
        running.start()
        await told.wait()
        await running.drained()
        assert (running.ledger.ended(Ending.STORED), running.ledger.balance) == (1, 0)
        assert running.room.items == 0
        running.stop_intake()
        await running.abandon()

    asyncio.run(scene())
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert record.message == "an ending could not be told"
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError


def test_a_source_that_dies_says_so_once_and_one_that_is_stopped_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def errors() -> list[logging.LogRecord]:
        return [one for one in caplog.records if one.levelno == logging.ERROR]

    async def scene() -> None:
        stopped = source(ModelClient(ModelApi()))
        stopped.start()
        await asyncio.sleep(0)
        stopped.stop_intake()
        await stopped.abandon()
        assert errors() == []

        broken = source(ModelClient(ModelApi()), stored=Unusable())
        broken.start()
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        assert isinstance(broken.failure, ZeroDivisionError)
        broken.stop_intake()
        await broken.abandon()

    asyncio.run(scene())
    (record,) = errors()
    assert vars(record)["task"] == "source default/watched-configmaps"
    assert record.exc_info
    assert record.exc_info[0] is ZeroDivisionError
