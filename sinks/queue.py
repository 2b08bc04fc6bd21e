"""The write queue of one pipeline: order per identity, one decision at its head, retry by class, suspensions.

Writes of one identity are carried out one after another; the credits of the pipeline bound how many queues there are. A
retry stays in its queue, on the same ticket; each attempt and each wait is a mark on the timeline. What a destination
does is an ``Executor``; everything here is shared by all destinations.

A suspension stops the writes to a namespace, or all writes, until its cause is over: missing rights, an exhausted
quota, a missing definition. Meanwhile subjects are spilled without a request and read again later; one write every
30 s tests whether the cause is over. One namespace never delays another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock, WallClock
from operators.flow.delivery import DescribedDelivery, Ticket, detail_of, failure
from operators.flow.trace import Trace
from operators.model.identity import Identity
from operators.model.observation import Observation, Removal
from operators.model.outcome import NEWER, STOPPED, Ending, Outcome, Suspension
from operators.model.state import ObservationState, timestamp
from operators.reconcile import (
    Delete,
    MergeEvidence,
    ObservationChange,
    ReconcilePolicy,
    Resolve,
    Upsert,
    reconcile,
)
from sinks.retry import OCCURRENCES, Retry, Tries
from sinks.sink import (
    Applied,
    Executor,
    Missing,
    Rejected,
    StoredRead,
    Suspended,
    TryAgain,
)

log = logging.getLogger(__name__)

RETRY_EVERY_SECONDS = 30
ALL_NAMESPACES = "*"
"""The scope of a suspension of all writes; no namespace has this name."""


class Suspensions:
    """The open suspensions by scope: a namespace, or all; bounded by the namespaces that are written to."""

    def __init__(self, clock: Clock, *, on_resumed: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._on_resumed = on_resumed
        self._open: dict[str, Suspension] = {}
        self._attempt_at_ns: dict[str, int] = {}

    def __iter__(self) -> Iterator[Suspension]:
        """The open suspensions, for conditions and metrics."""
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        """How many suspensions are open."""
        return len(self._open)

    def check(self, namespace: str) -> Outcome | None:
        """Return how a write into a namespace ends without a request, or None if it may be tried."""
        for scope in (ALL_NAMESPACES, namespace):
            suspension = self._open.get(scope)
            if suspension is not None and self._clock() < self._attempt_at_ns[scope]:
                return spilled(suspension)
        return None

    def begin_probe(self, namespace: str) -> None:
        """Make a write the probe: until it is answered, other writes under the same suspension are spilled."""
        for scope in (ALL_NAMESPACES, namespace):
            if scope in self._open:
                self._attempt_at_ns[scope] = self._next()

    def suspend(self, scope: str | None, *, reason: str, detail: str) -> Outcome:
        """Open a suspension, or keep it open after a failed probe; return how the event that caused it ends.

        ``scope`` None suspends all writes.
        """
        scope = scope or ALL_NAMESPACES
        retry_at_ns = self._attempt_at_ns[scope] = self._next()
        suspension = self._open.get(scope)
        if suspension is None:
            suspension = Suspension(f"{reason} {scope}", detail=detail, retry_at_ns=retry_at_ns)
            self._open[scope] = suspension
            log.warning(
                "writes suspended",
                extra={
                    "scope": scope,
                    "detail": detail,
                    "retry_every_seconds": RETRY_EVERY_SECONDS,
                },
            )
        suspension.retry_at_ns = retry_at_ns
        suspension.detail = detail
        return spilled(suspension)

    def resume(self, namespace: str) -> None:
        """Close the suspensions that a successful write into a namespace ends: the namespace's, and that of all."""
        self._close(ALL_NAMESPACES, namespace)

    def forget(self, namespace: str) -> None:
        """Close the suspension of a namespace that no longer exists."""
        self._close(namespace)

    def _close(self, *scopes: str) -> None:
        closed = [scope for scope in scopes if scope in self._open]
        for scope in closed:
            self._open.pop(scope).is_open = False
            del self._attempt_at_ns[scope]
            log.warning("writes resumed", extra={"scope": scope})
        if closed:
            self._on_resumed()

    def _next(self) -> int:
        return self._clock() + RETRY_EVERY_SECONDS * NANOSECONDS_PER_SECOND


def spilled(suspension: Suspension) -> Outcome:
    """Make the outcome of an event whose subject is to be read again after a suspension."""
    return Outcome(Ending.COALESCED, "spilled", suspension.detail, suspension=suspension)


@dataclass(slots=True)
class _Queue:
    """The deliveries of one identity in order, and the task that writes them."""

    waiting: deque[DescribedDelivery] = field(default_factory=deque[DescribedDelivery])
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class QueueContext:
    """What the queues of all pipelines of a process share: clocks, chance, and the suspensions."""

    suspensions: Suspensions
    clock: Clock
    now: WallClock
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class WriteQueue:
    """Orders the writes of one pipeline by identity, and settles each delivery by the executor's result."""

    def __init__(
        self,
        executor: Executor,
        state: ObservationState,
        *,
        policy: ReconcilePolicy,
        context: QueueContext,
        retry: Retry = OCCURRENCES,
    ) -> None:
        self._executor = executor
        self._state = state
        self._policy = policy
        self._context = context
        self._retry = retry
        self._queues: dict[Identity, _Queue] = {}
        self._successes = 0
        self._closed = False

    def accept(self, delivery: DescribedDelivery) -> None:
        """Put a delivery into its identity's queue; after ``close`` it ends ``interrupted``."""
        if self._closed:
            delivery.settle(STOPPED)
            return
        identity = delivery.value.identity
        self._state.begin_write(identity)
        queue = self._queues.get(identity)
        if queue is None:
            queue = self._queues[identity] = _Queue()
            queue.waiting.append(delivery)
            queue.task = asyncio.create_task(self._run(identity, queue))
        else:
            queue.waiting.append(delivery)

    async def close(self) -> None:
        """Stop writing; what is not settled ends ``interrupted``."""
        self._closed = True
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that was cancelled before its first step runs no finally.
        never_begun, self._queues = self._queues, {}
        for identity, queue in never_begun.items():
            self._settle_all(identity, queue)

    async def _run(self, identity: Identity, queue: _Queue) -> None:
        waiting = queue.waiting
        try:
            while waiting:
                head = waiting[0]
                head.ticket.mark("queue")
                outcome = await self._finish(head)
                waiting.popleft()
                # Before the settlement: its callbacks may admit the next event, which must see no write under way.
                self._state.end_write(identity)
                head.settle(outcome)
        finally:
            # No await between the last look at `waiting` and this removal: an accepted delivery would never be settled.
            del self._queues[identity]
            self._settle_all(identity, queue)

    def _settle_all(self, identity: Identity, queue: _Queue) -> None:
        for delivery in queue.waiting:
            self._state.end_write(identity)
            delivery.settle(STOPPED)

    async def _finish(self, delivery: DescribedDelivery) -> Outcome:
        try:
            return await self._write(delivery.value, delivery.ticket)
        except Exception as error:  # noqa: BLE001  a defect fails its event, never the queue
            return failure("sink", error)

    async def _write(self, value: Observation | Removal, ticket: Ticket) -> Outcome:
        successes, tries = self._successes, None
        while True:
            suspended = self._context.suspensions.check(value.namespace)
            if suspended is not None:
                return suspended
            step = await self._attempt(value, ticket)
            if isinstance(step, Outcome):
                return step
            tries = tries or self._tries(value, successes)
            tries.record_failure(self._successes)
            if tries.exhausted:
                detail = detail_of(step.detail)
                return Outcome(Ending.DEAD_LETTERED, "gave_up", detail, step.error_type)
            if not ticket.superseded:
                await self._wait(step, tries, ticket)
            if ticket.superseded:
                return NEWER

    def _tries(self, value: Observation | Removal, successes: int) -> Tries:
        is_occurrence = isinstance(value, Observation) and value.occurrence is not None
        retry = self._retry if is_occurrence else None
        return Tries(successes, random=self._context.random, retry=retry)

    async def _wait(self, failed: TryAgain, tries: Tries, ticket: Ticket) -> None:
        context = self._context
        seconds = tries.wait_seconds(
            context.clock(), retry_after_seconds=failed.retry_after_seconds
        )
        try:
            await context.sleep(seconds)
        finally:
            ticket.mark("retry wait", seconds)

    async def _attempt(self, value: Observation | Removal, ticket: Ticket) -> Outcome | TryAgain:
        """Decide and execute once; return how the event ends, or why it is to be tried again."""
        change = reconcile(value, self._state, policy=self._policy, now=self._context.now())
        if isinstance(change, Outcome):
            return change
        self._context.suspensions.begin_probe(value.namespace)
        self._prepare(change, ticket.trace)
        result = await self._executor.execute(change, ticket=ticket)
        if isinstance(result, Applied):
            return self._applied(change, result, ticket.trace)
        if isinstance(result, StoredRead):
            self._state.restore_evicted(change.identity, result.stored)
            return await self._attempt(value, ticket)
        if isinstance(result, Missing):
            self._state.mark_missing(change.identity)
            # What was to be resolved does not exist: decided anew at once, without a request.
            again = reconcile(value, self._state, policy=self._policy, now=self._context.now())
            return again if isinstance(again, Outcome) else TryAgain("404", result.detail, 0.0)
        return self._not_applied(change, result, value.namespace)

    def _prepare(self, change: ObservationChange, trace: Trace | None) -> None:
        """Count the attempt, and reserve the trace before a request refers to it."""
        if trace is None:
            return
        stored = self._state.get(change.identity)
        trace.observation = _namespace_of(change), change.name, stored.uid if stored else ""
        trace.attempts += 1
        trace.reserve()
        if isinstance(change, Upsert) and stored is None and trace.reserved:
            # Only the event that creates the Observation is named by it; later applies send the same value again.
            change.after.traceparent = trace.traceparent

    def _applied(self, change: ObservationChange, result: Applied, trace: Trace | None) -> Outcome:
        self._successes += 1
        self._context.suspensions.resume(_namespace_of(change))
        self._commit(change, result)
        if trace is not None and result.uid:
            namespace, name, _ = trace.observation
            trace.observation = namespace, name, result.uid
        rule = change.removal.rule if isinstance(change, Resolve) else ""
        return Outcome(Ending.STORED, rule, operation=result.operation)

    def _commit(self, change: ObservationChange, result: Applied) -> None:
        """Remember the confirmed change; an occurrence is remembered by its window, as long as that lasts."""
        identity, state = change.identity, self._state
        if isinstance(change, Delete):
            state.forget(identity)
        elif isinstance(change, Resolve):
            stored = state.get(identity)
            if stored is not None:
                state.put(identity, replace(stored, resolved=True))
        elif isinstance(change, (Upsert, MergeEvidence)):
            after = change.after
            after.uid = result.uid or after.uid
            occurrence = change.observation.occurrence
            if occurrence is None:
                state.put(identity, after)
            elif occurrence.window is not None:
                occurrence.window.uid, occurrence.window.traceparent = after.uid, after.traceparent

    def _not_applied(
        self, change: ObservationChange, result: Rejected | Suspended | TryAgain, namespace: str
    ) -> Outcome | TryAgain:
        suspensions, detail = self._context.suspensions, detail_of(result.detail)
        if isinstance(result, Suspended):
            return suspensions.suspend(result.scope, reason=result.reason, detail=detail)
        if isinstance(result, Rejected):
            if result.scope_is_gone:
                self._state.forget(change.identity)
                suspensions.forget(namespace)
            return Outcome(Ending.DEAD_LETTERED, result.reason, detail, result.error_type)
        if result.in_doubt:
            self._doubt(change)
        return result

    def _doubt(self, change: ObservationChange) -> None:
        """Record that what was sent may be stored; an occurrence is the same write at each attempt."""
        moment, traceparent = timestamp(self._context.now()), ""
        if isinstance(change, Upsert):
            if change.observation.occurrence is not None:
                return
            # What was sent, not the time of its failure: the next apply must not move firstSeen.
            moment, traceparent = change.after.first_seen, change.after.traceparent
        self._state.invalidate(
            change.identity, name=change.name, moment=moment, traceparent=traceparent
        )


def _namespace_of(change: ObservationChange) -> str:
    if isinstance(change, (Resolve, Delete)):
        return change.removal.namespace
    return change.observation.namespace
