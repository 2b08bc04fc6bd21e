"""The sink that matters: Observations as custom resources, one server-side apply per change.

One lane per Observation name: its writes are made one after another, in order; the credits of the pipeline bound the
lanes. A retry stays in its lane, on the same ticket; each attempt and each wait is a mark on the timeline.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from operators.flow.clock import Clock, WallClock
from operators.flow.delivery import Delivery, Ticket
from operators.flow.stage import detail_of, failure
from operators.model.index import Index
from operators.model.observation import Observation
from operators.model.outcome import NEWER, STOPPED, Ending, Outcome
from sinks.change import Requests, WhenGone, change_of, promised
from sinks.holds import EVERYTHING, Holds
from sinks.manifest import Owner
from sinks.retry import OCCURRENCES, SUBJECTS, Retry, Tries
from sinks.verdict import Verdict, verdict_of
from sinks.writer import Answer, UnansweredError, Writer

Lane = deque[Delivery[Observation]]


class ObservationSink:
    """Writes Observations, and settles each delivery by what the API server says."""

    def __init__(
        self,
        writer: Writer,
        index: Index,
        *,
        owner: Owner,
        holds: Holds,
        clock: Clock,
        now: WallClock,
        random: Callable[[], float],
        when_gone: WhenGone = WhenGone.RESOLVE,
        is_alive: Callable[[str, str], bool] = lambda _namespace, _name: True,
        retry: Retry = OCCURRENCES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._requests = Requests(writer, index, owner=owner, now=now, is_alive=is_alive)
        self._index = index
        self._holds = holds
        self._clock = clock
        self._random = random
        self._when_gone = when_gone
        self._retry = retry
        self._sleep = sleep
        self._lanes: dict[str, tuple[Lane, asyncio.Task[None]]] = {}
        self._successes = 0
        self._closed = False

    def accept(self, delivery: Delivery[Observation]) -> None:
        """Put a delivery into its Observation's lane; after ``close`` it ends ``interrupted``."""
        if self._closed:
            delivery.settle(STOPPED)
            return
        name = delivery.value.name
        if name in self._lanes:
            self._lanes[name][0].append(delivery)
            return
        lane: Lane = deque((delivery,))
        self._lanes[name] = lane, asyncio.create_task(self._run(name, lane))

    async def close(self) -> None:
        """Stop writing; what has not ended ends ``interrupted``."""
        self._closed = True
        tasks = [task for _, task in self._lanes.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that was cancelled before its first step runs no finally.
        never_begun, self._lanes = self._lanes, {}
        for lane, _ in never_begun.values():
            for delivery in lane:
                delivery.settle(STOPPED)

    async def _run(self, name: str, lane: Lane) -> None:
        try:
            while lane:
                lane[0].ticket.mark("lane")
                outcome = await self._end(lane[0])
                lane.popleft().settle(outcome)
        finally:
            del self._lanes[name]
            for delivery in lane:
                delivery.settle(STOPPED)

    async def _end(self, delivery: Delivery[Observation]) -> Outcome:
        try:
            return await self._write(delivery.value, delivery.ticket)
        except Exception as error:  # noqa: BLE001  a defect fails its event, never the lane
            return failure("sink", error)

    async def _write(self, observation: Observation, ticket: Ticket) -> Outcome:
        retry = SUBJECTS if observation.occurrence is None else self._retry
        tries = Tries(self._successes, random=self._random, retry=retry)
        while True:
            barred = self._holds.bars(observation.namespace)
            if barred is not None:
                return barred
            step = await self._attempt(observation, ticket, tries)
            if isinstance(step, Outcome):
                return step
            if not ticket.superseded:
                await self._wait(step, ticket)
            if ticket.superseded:
                return NEWER

    async def _wait(self, seconds: float, ticket: Ticket) -> None:
        try:
            await self._sleep(seconds)
        finally:
            ticket.mark("retry wait", seconds)

    async def _attempt(
        self, observation: Observation, ticket: Ticket, tries: Tries
    ) -> Outcome | float:
        """Try once: how the event ends, or how many seconds to wait before the next try."""
        change = change_of(observation, self._index, when_gone=self._when_gone)
        if isinstance(change, Outcome):
            return change
        self._holds.claim(observation.namespace)
        try:
            answer = await self._requests.carry_out(change, observation, ticket=ticket)
        except UnansweredError as error:
            self._doubt(observation, ticket)
            return self._later(tries, error_type="unanswered", detail=str(error), asked=None)
        if isinstance(answer, Outcome):
            return self._succeeded(observation, answer)
        is_fault = answer.status >= 500 and verdict_of(answer) is Verdict.LATER  # noqa: PLR2004
        if is_fault:  # it may have been carried out
            self._doubt(observation, ticket)
        return self._judge(answer, observation, tries=tries)

    def _doubt(self, observation: Observation, ticket: Ticket) -> None:
        """What was sent may be there, and the trace it names with it; an occurrence is the same write at each try."""
        if observation.occurrence is not None:
            return
        moment, traceparent = self._requests.stamp(), promised(ticket.trace)
        self._index.doubt(observation.name, moment=moment, traceparent=traceparent)

    def _succeeded(self, observation: Observation, outcome: Outcome) -> Outcome:
        if outcome.ending is Ending.STORED:
            self._successes += 1
            self._holds.release(observation.namespace)
        return outcome

    def _judge(self, answer: Answer, observation: Observation, *, tries: Tries) -> Outcome | float:
        verdict = verdict_of(answer)
        if verdict in {Verdict.HOLD_NAMESPACE, Verdict.HOLD_ALL}:
            scope = EVERYTHING if verdict is Verdict.HOLD_ALL else observation.namespace
            return self._holds.hold(scope, reason=str(answer.status), detail=_said(answer))
        if verdict is Verdict.NAMESPACE_GONE:
            self._index.forget(observation.name)
            self._holds.forget(observation.namespace)
        if verdict in _DEAD:
            return Outcome(Ending.DEAD_LETTERED, _DEAD[verdict], _said(answer), str(answer.status))
        asked = 0.0 if verdict in {Verdict.AGAIN, Verdict.MISSING} else answer.retry_after_seconds
        return self._later(tries, error_type=str(answer.status), detail=_said(answer), asked=asked)

    def _later(
        self, tries: Tries, *, error_type: str, detail: str, asked: float | None
    ) -> Outcome | float:
        tries.failed(self._successes)
        if tries.over:
            return Outcome(Ending.DEAD_LETTERED, "gave_up", detail_of(detail), error_type)
        return tries.wait_seconds(asked)


_DEAD = {
    Verdict.TOO_LARGE: "too_large",
    Verdict.INVALID: "invalid",
    Verdict.NAMESPACE_GONE: "namespace_gone",
}


def _said(answer: Answer) -> str:
    return detail_of(f"{answer.status} {answer.reason}: {answer.message}")
