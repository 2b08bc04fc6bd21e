"""The shutdown: its steps in order, its grace period, the second signal, and what the exit code means."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from typing import Any, cast

import pytest

from operators.flow.delivery import Ledger, Ticket
from operators.model.outcome import LOST, NEWER, STOPPED, Ending, Outcome
from streams.runtime.lifecycle import (
    EXIT_CLEAN,
    EXIT_LOST,
    EXIT_SECOND_SIGNAL,
    Signals,
    equation,
    shut_down,
)
from streams.runtime.pipeline import Pipeline
from tests.unit.streams.cluster.virtual import VirtualLoop, run

STORED = Outcome(Ending.STORED)
GRACE_SECONDS = 25.0


class Draining:
    """A pipeline as far as a shutdown sees it; its events settle after ``seconds``, or never."""

    def __init__(
        self, name: str, steps: list[str], *, events: int = 1, seconds: float | None = None
    ) -> None:
        self.ingester = name
        self.ledger = Ledger()
        self.tickets = [Ticket(self.ledger, lambda: 0) for _ in range(events)]
        self._steps = steps
        self._seconds = seconds

    @property
    def lost(self) -> int:
        return sum(self.ledger.ended(ending) for ending in LOST)

    def stop_intake(self) -> None:
        self._steps.append(f"stop {self.ingester}")

    async def drained(self) -> None:
        self._steps.append(f"drain {self.ingester}")
        if self._seconds is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(self._seconds)
        self.settle(STORED)
        self._steps.append(f"drained {self.ingester}")

    async def abandon(self) -> None:
        self._steps.append(f"abandon {self.ingester}")
        self.settle(STOPPED)

    def settle(self, outcome: Outcome) -> None:
        tickets, self.tickets = self.tickets, []
        for ticket in tickets:
            ticket.settle(outcome)


def stopping(*pipelines: Draining, second_signal_after: float | None = None) -> tuple[int, float]:
    """Shut down; return the exit code and how many seconds it took."""

    async def main(loop: VirtualLoop) -> tuple[int, float]:
        at_once = asyncio.Event()
        if second_signal_after is not None:
            loop.call_later(second_signal_after, at_once.set)
        code = await shut_down(
            cast("list[Pipeline]", list(pipelines)), grace_seconds=GRACE_SECONDS, at_once=at_once
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(one.ledger.in_flight == one.ledger.balance == 0 for one in pipelines)
        return code, loop.time()

    return run(main)


def test_all_intake_stops_before_any_drain_and_nothing_is_abandoned_before_it_ends() -> None:
    steps: list[str] = []
    a, b = Draining("a", steps, seconds=3.0), Draining("b", steps, seconds=1.0)
    assert stopping(a, b) == (EXIT_CLEAN, 3.0)
    assert steps == [
        *("stop a", "stop b"),
        *("drain a", "drain b", "drained b", "drained a"),
        *("abandon a", "abandon b"),
    ]


def test_a_pipeline_that_never_drains_is_abandoned_when_the_grace_is_over() -> None:
    steps: list[str] = []
    stuck, quick = Draining("stuck", steps, events=3), Draining("quick", steps, seconds=1.0)
    assert stopping(stuck, quick) == (EXIT_LOST, GRACE_SECONDS)
    assert steps[-3:] == ["drained quick", "abandon stuck", "abandon quick"]
    assert stuck.ledger.endings == {(Ending.INTERRUPTED, "stopped"): 3}
    assert quick.ledger.endings == {(Ending.STORED, ""): 1}


def test_a_second_signal_ends_the_drain_at_once() -> None:
    stuck = Draining("stuck", [])
    assert stopping(stuck, second_signal_after=2.0) == (EXIT_SECOND_SIGNAL, 2.0)
    assert stuck.ledger.ended(Ending.INTERRUPTED) == 1


def test_a_second_signal_after_the_drain_changes_nothing() -> None:
    assert stopping(Draining("a", [], seconds=1.0), second_signal_after=2.0) == (EXIT_CLEAN, 1.0)


def test_nothing_to_drain_takes_no_time() -> None:
    assert stopping() == (EXIT_CLEAN, 0.0)
    assert stopping(Draining("idle", [], events=0, seconds=0.0)) == (EXIT_CLEAN, 0.0)


@pytest.mark.parametrize("ending", Ending)
def test_the_exit_code_tells_what_was_lost_and_nothing_else(ending: Ending) -> None:
    pipeline = Draining("a", [], seconds=0.0)
    pipeline.settle(Outcome(ending))
    code, _ = stopping(pipeline)
    lost = {"dropped", "interrupted", "dead_lettered", "failed"}
    assert code == (EXIT_LOST if ending.value in lost else EXIT_CLEAN)
    assert (EXIT_CLEAN, EXIT_LOST, EXIT_SECOND_SIGNAL) == (0, 1, 130)


def test_a_drain_that_fails_ends_the_wait_and_not_the_shutdown() -> None:
    class Broken(Draining):
        async def drained(self) -> None:
            raise ZeroDivisionError

    broken = Broken("broken", [])
    assert stopping(broken) == (EXIT_LOST, 0.0)


@pytest.mark.parametrize(
    ("seconds", "message"), [(1.0, "drained"), (None, "drain ended, events left")]
)
def test_the_steps_are_logged_with_what_was_in_flight(
    caplog: pytest.LogCaptureFixture, seconds: float | None, message: str
) -> None:
    with caplog.at_level(logging.INFO, logger="streams.runtime.lifecycle"):
        stopping(Draining("a", [], events=2, seconds=seconds))
    messages = [record.message for record in caplog.records]
    assert messages == ["shutdown started, intake stopped", message, "stopped"]
    started, ended, stopped = map(vars, caplog.records)
    left = 0 if seconds is not None else 2
    assert (started["in_flight"], ended["in_flight"], stopped["lost"]) == (2, left, left)
    ending = "2 stored" if seconds is not None else "2 interrupted (stopped)"
    assert stopped["ledgers"] == {"a": f"2 received = {ending} + 0 in flight"}


def test_the_equation_of_a_ledger() -> None:
    ledger = Ledger()
    assert equation(ledger) == "0 received = 0 + 0 in flight"
    tickets = [Ticket(ledger, lambda: 0) for _ in range(4)]
    tickets[0].settle(STORED)
    tickets[1].settle(NEWER)
    tickets[2].settle(STORED)
    assert equation(ledger) == "4 received = 1 coalesced (newer) + 2 stored + 1 in flight"
    tickets[3].settle(STORED)


def test_the_first_signal_stops_and_the_second_stops_at_once() -> None:
    async def main() -> None:
        signals = Signals()
        signals.install()
        loop = asyncio.get_running_loop()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await signals.stop.wait()
            assert not signals.at_once.is_set()
            os.kill(os.getpid(), signal.SIGINT)
            await signals.at_once.wait()
            signals.received()
            assert signals.at_once.is_set()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    asyncio.run(within(main()))


async def within(scene: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(5):
        await scene
