"""The whole walk, from admission to settlement, into a destination that is slow, fails and answers in any order.

Law, bounds, order and liveness hold at every moment; at the end each subject's last state is what is stored. Source,
time and destination are the test's own, all between them is the product's; the mutants at its seams must die.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from reactivex import Observable, abc
from reactivex import operators as rx_ops
from reactivex.subject import Subject as RxSubject

import operators.deduplicate
import operators.reconcile
from operators.buffer import Buffer, KeyedBuffer, WhenFull
from operators.deduplicate import Deduplication
from operators.flow.capacity import Credits
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.delivery import Admission, Delivery, Operator, Ticket
from operators.flow.trace import Trace
from operators.model.event import (
    RECORD_BYTES,
    Change,
    ObjectRef,
    ObjectState,
    RawEvent,
    RemovalReason,
    Tombstone,
)
from operators.model.identity import Identity, observation_name
from operators.model.observation import Classified, Observation, Removal
from operators.model.outcome import LOST, NEWER, SPILLED, Ending, Outcome
from operators.model.spec import DecisionOrder, OnDelete
from operators.model.state import ObservationState, StoredObservation
from operators.reconcile import (
    NOTHING_TO_RESOLVE,
    ObservationChange,
    ReadStored,
    ReconcilePolicy,
    Resolve,
    Upsert,
)
from operators.rules.lists import Filters, RuleSet
from operators.throttle import Throttle, ThrottleQueue, WhenOver
from sinks.queue import QueueContext, Suspensions, Tries, WriteQueue
from sinks.sink import Applied, ExecutionResult, Rejected, Sink, Suspended, TryAgain
from streams.config.plan import Plan
from streams.runtime.pipeline import Parts, origin_of, policy_of
from tests.kit.composed import NOW, Edges, composed
from tests.kit.machines import dies, reach, survive, survivors
from tests.kit.plans import plan_of
from tests.kit.raw_events import WIDGETS, object_event, tombstone_event
from tests.kit.slow_executor import SlowExecutor
from tests.kit.timers import VirtualTime

NAMES = "abcd"
NAMESPACE = "shop"
T0 = "2026-11-26T05:00:00Z"
WALKS, STEPS = 120, 25
MUTANT_WALKS = 250
FLOOR = 5
CAPACITY_BYTES = 8 * RECORD_BYTES
LONGEST_WAIT_NS = 31 * NANOSECONDS_PER_SECOND
"""Beyond every backoff and every pause between two tests of a suspension."""

WANTED, OTHER, UNWANTED, BROKEN, TORN = (
    b'{"severity": "HIGH"}',
    b'{"severity": "CRITICAL"}',
    b'{"severity": "LOW"}',
    b"{",
    b'{"severity": "HIGH", "x": "\xff"}',
)
"""The last has a head that can be read, and a body that cannot."""
LARGE = b'{"severity": "HIGH", "x": "%b"}' % (b"x" * CAPACITY_BYTES)
BODIES = (*[WANTED] * 5, *[OTHER] * 4, *[UNWANTED] * 4, BROKEN, TORN, LARGE)
What = Change | RemovalReason
CHANGES: tuple[What, ...] = (
    *[Change.MODIFIED] * 4,
    Change.RESYNC,
    RemovalReason.DELETED,
    RemovalReason.LEFT_SELECTOR,
)
OFFER = st.tuples(st.sampled_from(NAMES), st.sampled_from(CHANGES), st.sampled_from(BODIES))
RESTORED = (None, None, (WANTED, False), (UNWANTED, False), (WANTED, True))
"""What is there at the start: a state, and whether its Observation is resolved."""
THROTTLES = (
    None,
    Throttle(per_second=1),
    Throttle(per_second=2, burst=2),
    Throttle(per_second=4, burst=3, when_over=WhenOver.END),
)
INVALID = Rejected("invalid", "the API server refuses it", "422")
QUOTA = Suspended(NAMESPACE, "403", "exceeded quota")
NOT_DONE = TryAgain("503", "busy")
IN_DOUBT = TryAgain("unanswered", "the connection broke", in_doubt=True)
Answer = tuple[str, ExecutionResult | None, bool]
"""What it is called, the result (None: carried out), and whether a request with that result is lost."""
ANSWERS: tuple[Answer, ...] = (
    *[("done", None, False)] * 8,
    ("invalid", INVALID, True),
    ("suspended", QUOTA, True),
    ("not done", NOT_DONE, True),
    ("in doubt, lost", IN_DOUBT, True),
    ("in doubt, carried out", IN_DOUBT, False),
)
reached: Counter[str] = Counter()


def identity_of(name: str) -> Identity:
    origin = origin_of(plan_of())
    return origin.identity(WIDGETS.group, WIDGETS.resource, namespace=NAMESPACE, name=name)


def raw_event(name: str, what: What, raw: bytes, *, version: int = 1) -> RawEvent:
    if isinstance(what, RemovalReason):
        return tombstone_event(name, namespace=NAMESPACE, reason=what, version=str(version))
    return object_event(name, raw, namespace=NAMESPACE, change=what, version=str(version))


def fingerprint_of(raw: bytes, name: str) -> str:
    """What the genuine operators make of a state."""

    class Taking:
        def accept(self, delivery: Delivery[Observation | Removal]) -> None:
            assert isinstance(delivery.value, Observation)
            taken.append(delivery.value.fingerprint)
            delivery.settle(Outcome(Ending.STORED))

    taken: list[str] = []
    plan, time, source = plan_of(), VirtualTime(), RxSubject[Admission]()
    edges = Edges(time.clock, time.call_later)
    composed(plan, source, Taking(), parts=Parts.of(plan), edges=edges).subscribe()
    source.on_next(Admission(raw_event(name, Change.ADDED, raw)))
    return taken[0]


FINGERPRINTS = {
    (raw, name): fingerprint_of(raw, name) for raw in (WANTED, OTHER, UNWANTED) for name in NAMES
}


class OneByOne:
    """Passes deliveries on to the queue, and records two of one subject that are beyond the buffer at once."""

    def __init__(self, queue: WriteQueue) -> None:
        self.faults: list[str] = []
        self._queue = queue
        self._unsettled: Counter[Identity] = Counter()

    def accept(self, delivery: Delivery[Observation | Removal]) -> None:
        identity = delivery.value.identity
        self._unsettled[identity] += 1
        if self._unsettled[identity] > 1:
            self.faults.append("two states of one subject in flight")
        delivery.ticket.when_settled(lambda _: self._unsettled.subtract([identity]))
        self._queue.accept(delivery)


class Walking(RuleBasedStateMachine):
    @initialize(
        capacity=st.integers(2, 9),
        limit=st.integers(1, 4),
        policy=st.sampled_from([WhenFull.SPILL, WhenFull.SPILL, *WhenFull]),
        pace=st.sampled_from(THROTTLES),
        order=st.sampled_from(DecisionOrder),
        on_delete=st.sampled_from([OnDelete.RESOLVE, OnDelete.RESOLVE, OnDelete.DELETE]),
        filters=st.booleans(),
        resolved_entries=st.sampled_from([1, 1, 50]),
        parting=st.sampled_from(ANSWERS[-6:]),
        restored=st.fixed_dictionaries(dict.fromkeys(NAMES, st.sampled_from(RESTORED))),
    )
    def begin(
        self,
        *,
        capacity: int,
        limit: int,
        policy: WhenFull,
        pace: Throttle | None,
        order: DecisionOrder,
        on_delete: OnDelete,
        filters: bool,
        resolved_entries: int,
        parting: Answer,
        restored: dict[str, tuple[bytes, bool] | None],
    ) -> None:
        self.filters, self.deletes = filters, on_delete is OnDelete.DELETE
        self.parting = parting
        """What the first requests are answered once the walk is over: each name's last event meets it."""
        plan = plan_of(
            buffer=Buffer(capacity=capacity, capacity_bytes=CAPACITY_BYTES, in_flight=limit),
            throttle=pace,
            filters=Filters(min_severity="HIGH" if filters else None),
            deduplication=Deduplication(window_seconds=2),
            order=order,
            on_delete=on_delete,
        )
        state = ObservationState(resolved_entries=resolved_entries)
        self.parts = replace(Parts.of(plan), state=state)
        self.loop = asyncio.new_event_loop()
        self.time = VirtualTime()
        self.executor = SlowExecutor()
        self.faults: list[str] = []
        self.offered: dict[str, tuple[int, What, bytes]] = {}
        self.removals: set[int] = set()
        self.endings: dict[int, Outcome] = {}
        self.numbers: dict[int, int] = {}
        """When an event began to its number."""
        self.written: dict[object, int] = {}
        """By key: the number of the last event that the queue settled."""
        self.count = self.completed = 0
        self.stopped = self.finished = False
        self.source: RxSubject[Admission] = RxSubject()
        there = {name: known for name, known in restored.items() if known is not None}
        for name, (raw, is_resolved) in there.items():
            self.restore(name, raw, resolved=is_resolved)
        self.subscribe(plan, policy)
        for name, (raw, _) in there.items():
            self.push(name, Change.ADDED, raw)

    def restore(self, name: str, raw: bytes, *, resolved: bool) -> None:
        identity = identity_of(name)
        called = observation_name(identity, readable=name)
        stored = StoredObservation(
            FINGERPRINTS[raw, name], T0, T0, resolved=resolved, name=called, uid="u"
        )
        self.executor.cluster[identity] = stored
        self.parts.state.put(identity, replace(stored))

    def subscribe(self, plan: Plan, policy: WhenFull) -> None:
        self.queue = WriteQueue(
            self.executor,
            self.parts.state,
            policy=policy_of(plan),
            context=QueueContext(
                Suspensions(self.time.clock),
                clock=self.time.clock,
                now=self.now,
                random=lambda: 0.5,
                sleep=self.sleep,
            ),
        )
        sink = OneByOne(self.queue)
        self.faults = sink.faults
        edges = Edges(
            self.time.clock, self.time.call_later, now=self.now, on_settle=self.at_settlement
        )
        self.subscription = composed(
            plan, self.source, sink, parts=self.parts, edges=edges, when_full=policy
        ).subscribe(on_completed=self.complete)

    def now(self) -> datetime:
        return NOW + timedelta(microseconds=self.time.now_ns // 1000)

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        self.time.call_later(seconds, lambda: woken.done() or woken.set_result(None))
        await woken

    def do(self, action: Callable[[], object]) -> None:
        """Act on the loop, then let it run until every queue waits for an answer or for time."""

        async def act() -> None:
            action()
            for _ in range(4 * (self.parts.ledger.in_flight + 1)):
                await asyncio.sleep(0)

        self.loop.run_until_complete(act())

    def complete(self) -> None:
        self.completed += 1

    def at_settlement(self, ticket: Ticket) -> None:
        """Before any other callback: what is settled by the queue is not being written any more, and in order."""
        if all(stage != "queue" for stage, *_ in ticket.marks):
            return
        key, number = str(ticket.key), self.numbers[ticket.began_ns]
        if self.parts.state.is_writing(identity_of(key.partition("/")[2])):
            self.faults.append("settled while it is being written")
        if number < self.written.get(key, 0):
            self.faults.append("an older state was written after a newer one")
        self.written[key] = number

    def settled(self, raw: RawEvent, outcome: Outcome) -> None:
        assert isinstance(raw.payload, ObjectState | Tombstone)
        number = int(raw.payload.version)
        if number in self.endings:
            self.faults.append("settled twice")
        self.endings[number] = outcome
        may_delete = self.deletes and number in self.removals
        if outcome.operation in {"deleted", "resolved"}:
            expected = "deleted" if may_delete else "resolved"
            if outcome.operation != expected:
                self.faults.append(f"{outcome.operation} in place of {expected}")
        feature = outcome.operation or f"{outcome.ending} {outcome.reason}"
        if outcome.operation == "resolved" and outcome.reason:
            feature = "resolved by a rule"
        elif outcome.ending is Ending.DROPPED:
            feature = "dropped"
        elif outcome.suspension is not None:
            feature = "suspended"
        reached[feature] += 1
        event(feature)

    def push(self, name: str, what: What, raw: bytes) -> None:
        self.count += 1
        self.offered[name] = self.count, what, raw
        if isinstance(what, RemovalReason):
            self.removals.add(self.count)
        self.time.advance(1)
        self.numbers[self.time.now_ns] = self.count
        admission = Admission(raw_event(name, what, raw, version=self.count), self.settled)
        self.do(lambda: self.source.on_next(admission))

    @precondition(lambda self: not (self.stopped or self.finished))
    @rule(offers=st.lists(OFFER, min_size=1, max_size=5))
    def offer(self, offers: list[tuple[str, What, bytes]]) -> None:
        for offer in offers:
            self.push(*offer)

    @precondition(lambda self: self.executor.pending)
    @rule(
        places=st.lists(st.integers(0, 3), min_size=1, max_size=3),
        answer=st.sampled_from(ANSWERS),
    )
    def answer(self, places: list[int], answer: Answer) -> None:
        called, result, lost = answer
        for place in places:
            if self.executor.pending:
                self.answer_one(place % len(self.executor.pending), result, lost=lost)
                reached[called] += 1

    def answer_one(self, place: int, result: ExecutionResult | None, *, lost: bool) -> None:
        change = self.executor.pending[place].change
        if isinstance(change, ReadStored):
            reached["read before it is written"] += 1
            if isinstance(result, TryAgain):
                result, lost = replace(result, in_doubt=False), True  # a read changes nothing
        self.do(lambda: self.executor.answer(place, result, lost=lost))

    @rule(quarters=st.integers(1, 12))
    def advance(self, quarters: int) -> None:
        self.do(lambda: self.time.advance(quarters * NANOSECONDS_PER_SECOND // 4))

    @precondition(lambda self: self.count > 15)
    @rule(closes=st.booleans())
    def stop(self, *, closes: bool) -> None:
        if self.stopped:
            return
        self.stopped = True
        self.do(self.subscription.dispose)
        if closes:
            reached["closed while some are written"] += bool(self.executor.pending)
            self.loop.run_until_complete(self.queue.close())
            assert not self.parts.ledger.in_flight, "closed, and not settled"

    @precondition(lambda self: self.count > 20)
    @rule()
    def finish(self) -> None:
        if not (self.stopped or self.finished):
            self.finished = True
            reached["finished"] += 1
            self.do(self.source.on_completed)

    @invariant()
    def keeps_the_law_and_the_bounds(self) -> None:
        if not hasattr(self, "parts"):
            return
        ledger, room, credits_ = self.parts.ledger, self.parts.room, self.parts.credits
        assert self.faults == []
        assert ledger.balance == 0
        assert ledger.received == self.count
        assert Counter((it.ending, it.reason) for it in self.endings.values()) == ledger.endings
        assert ledger.in_flight == room.items == self.count - len(self.endings) <= room.capacity
        assert 0 <= room.bytes <= room.capacity_bytes
        assert len(self.executor.pending) <= credits_.taken <= credits_.limit
        assert ledger.ended(Ending.FAILED) == 0
        over = self.finished and not self.stopped and not ledger.in_flight
        assert self.completed == over or self.stopped

    def teardown(self) -> None:
        if not hasattr(self, "parts"):
            return
        try:
            self.prove()
        finally:
            self.loop.run_until_complete(self.queue.close())
            self.loop.close()

    def prove(self) -> None:
        self.part()
        self.quiesce()
        assert len(self.endings) == self.count, "an event was lost"
        if not (self.stopped or self.finished):
            self.read_again()
        parts = self.parts
        assert parts.ledger.in_flight == parts.room.items == parts.credits.taken == 0
        for name, offered in list(self.offered.items()):
            self.has_the_last_word(name, *offered)
            self.is_not_written_twice(name, *offered)

    def part(self) -> None:
        """Answer what is requested, and no more, by the parting answer."""
        _, result, lost = self.parting
        for _ in range(len(self.executor.pending)):
            self.answer_one(0, result, lost=lost)

    def quiesce(self) -> None:
        """Liveness: nothing waits for ever once the destination answers and time passes."""
        for _ in range(3 * (self.parts.ledger.in_flight + 2)):
            if not self.parts.ledger.in_flight:
                break
            for _ in range(4 * self.count):
                if not self.executor.pending:
                    break
                self.do(lambda: self.executor.answer(0))
            self.do(lambda: self.time.advance(LONGEST_WAIT_NS))
            self.keeps_the_law_and_the_bounds()
        assert not self.parts.ledger.in_flight, "an event waits for ever"

    def read_again(self) -> None:
        """What an informer does for what was spilled: its subjects come once more when there is room."""
        for name, (number, what, raw) in list(self.offered.items()):
            if self.endings[number].reason == SPILLED.reason:
                reached["read again"] += 1
                self.do(lambda: self.time.advance(LONGEST_WAIT_NS))
                self.push(name, what, raw)
                self.quiesce()

    def is_settled_well(self, number: int) -> bool:
        ending = self.endings[number].ending
        return ending not in LOST and ending not in {Ending.THROTTLED, Ending.COALESCED}

    def has_the_last_word(self, name: str, number: int, what: What, raw: bytes) -> None:
        ending = self.endings[number]
        assert ending != NEWER, "there is no newer state"
        if not self.is_settled_well(number):
            return
        is_wanted = raw in {WANTED, OTHER} or (raw == UNWANTED and not self.filters)
        stored = self.executor.open.get(identity_of(name))
        if isinstance(what, Change) and is_wanted:
            assert stored == FINGERPRINTS[raw, name], (ending, raw)
        else:
            assert stored is None, (ending, raw)
        reached["last words"] += 1

    def is_not_written_twice(self, name: str, number: int, what: What, raw: bytes) -> None:
        """What the cluster shows costs nothing: no request, no second Observation."""
        if self.stopped or self.finished or not self.is_settled_well(number):
            return
        if identity_of(name) not in self.executor.open or isinstance(what, RemovalReason):
            return
        self.do(lambda: self.time.advance(LONGEST_WAIT_NS))
        self.push(name, Change.MODIFIED, raw)
        ending = self.endings.get(self.count)
        assert ending is not None, "what is unchanged is written again"
        assert (ending.ending, ending.reason) == (Ending.DEDUPLICATED, "unchanged")
        reached["not written twice"] += 1


FEATURES = (
    *("created", "updated", "resolved", "deleted", "resolved by a rule", "deduplicated unchanged"),
    *("filtered minSeverity HIGH", "filtered nothing to resolve", "coalesced newer"),
    *("coalesced spilled", "dropped", "throttled over_rate", "interrupted stopped"),
    *("dead_lettered undecodable", "dead_lettered too_large", "dead_lettered invalid"),
    *("suspended", "not done", "in doubt, lost", "in doubt, carried out"),
    *("read before it is written", "closed while some are written"),
    *("finished", "read again", "last words", "not written twice"),
)


@pytest.mark.timeout(240)
def test_the_whole_walk_keeps_what_is_promised() -> None:
    reach(survive(Walking, walks=WALKS, steps=STEPS), reached, FEATURES, floor=FLOOR)


Walked = Delivery[Any]


def unbounded(credits_: Credits) -> Operator[Walked, Walked]:
    """Takes no credit."""
    del credits_
    return lambda source: source


def keeping(credits_: Credits) -> Operator[Walked, Walked]:
    """Gives no credit back."""
    return rx_ops.do_action(lambda _: credits_.take())


def unfiltered(rules: RuleSet, state: ObservationState) -> Operator[Walked, Walked]:
    del rules, state
    return lambda source: source


def twice(sink: Sink) -> Operator[Walked, Walked]:
    def give(delivery: Walked) -> None:
        sink.accept(delivery)
        sink.accept(delivery)

    return rx_ops.do_action(give)


def silent(_name: str, decide: Callable[[Any], Any], **_: Any) -> Operator[Any, Any]:
    """Ends without settling."""
    return silent_of_delivery(_name, lambda delivery: decide(delivery.value))


def silent_of_delivery(_name: str, decide: Callable[[Any], Any], **_: Any) -> Operator[Any, Any]:
    """Ends without settling."""

    def operator(source: Observable[Any]) -> Observable[Any]:
        def subscribe(observer: abc.ObserverBase[Any], _: Any = None) -> abc.DisposableBase:
            def on_next(delivery: Delivery[Any]) -> None:
                verdict = decide(delivery)
                if not isinstance(verdict, Outcome):
                    observer.on_next(delivery.carry(verdict))

            return source.subscribe(on_next, observer.on_error, observer.on_completed)

        return Observable(subscribe)

    return operator


def content(_rules: RuleSet, _classified: Classified) -> bool:
    return True


def closed(_state: ObservationState, _identity: Identity) -> bool:
    return False


def never_evicted(_state: ObservationState, _identity: Identity) -> bool:
    return False


DEDUPLICATE = operators.deduplicate.deduplicate_subjects


def hasty(state: ObservationState, decide: Callable[[Any], object], **how: Any) -> Any:
    """Remembers before the sink has confirmed."""

    def decide_hastily(value: Observation | Removal) -> object:
        decision = decide(value)
        if decision is None and isinstance(value, Observation):
            name = observation_name(value.identity, readable=value.identity.name)
            state.put(value.identity, StoredObservation(value.fingerprint, T0, T0, name=name))
        return decision

    return DEDUPLICATE(state, decide_hastily, **how)


def unasked(state: ObservationState, decide: Callable[[Any], object], **how: Any) -> Any:
    """Ends an unchanged state that the filter no longer wants."""
    del how
    return DEDUPLICATE(state, decide)


UNCHANGED = operators.reconcile._is_unchanged  # pyright: ignore[reportPrivateUsage]
UPSERT = operators.reconcile._upsert  # pyright: ignore[reportPrivateUsage]
WITHOUT_WRITE = operators.reconcile.outcome_without_write
REMOVED = operators.reconcile._removed  # pyright: ignore[reportPrivateUsage]


def final(observation: Observation, stored: StoredObservation, **_: Any) -> bool:
    """Takes what is resolved for what is known."""
    return stored.fingerprint == observation.fingerprint


def writing_all(_observation: Observation, _stored: StoredObservation, **_: Any) -> bool:
    """Takes nothing for unchanged."""
    return False


def trusting(observation: Observation, stored: StoredObservation, **how: Any) -> bool:
    """Takes a state that may not have been written for one that was."""
    return UNCHANGED(observation, stored, **how) or not stored.fingerprint


def rewriting(observation: Observation, _stored: StoredObservation | None, **how: Any) -> Upsert:
    """Creates what exists: an apply removes what it omits."""
    return UPSERT(observation, None, **how)


def still_resolved(
    observation: Observation, stored: StoredObservation | None, **how: Any
) -> Upsert:
    """Leaves what appears again resolved."""
    change = UPSERT(observation, stored, **how)
    change.after.resolved = stored is not None and stored.resolved
    return change


def immortal(value: Observation | Removal, state: ObservationState, **how: Any) -> Outcome | None:
    """Never resolves."""
    return NOTHING_TO_RESOLVE if isinstance(value, Removal) else WITHOUT_WRITE(value, state, **how)


def careless() -> None:
    """Stands where the outcome of a removal of nothing is: resolves without looking at the state."""


def resolving(removal: Removal, _stored: StoredObservation | None, **_: Any) -> ObservationChange:
    """Resolves what is to be deleted."""
    name = observation_name(removal.identity, readable=removal.subject.name)
    return Resolve(removal.identity, removal, name, T0)


def deleting_all(
    removal: Removal, stored: StoredObservation | None, *, policy: ReconcilePolicy, now: datetime
) -> ObservationChange:
    """Deletes what a rule no longer wants, although it was not removed."""
    return REMOVED(replace_reason(removal), stored, policy=policy, now=now)


def replace_reason(removal: Removal) -> Removal:
    subject: ObjectRef = removal.subject
    return Removal(removal.identity, removal.namespace, subject, RemovalReason.DELETED)


class Overtaking(KeyedBuffer):
    def _waiting(self, key: object) -> dict[object, Delivery[RawEvent]]:
        del key
        return self._ready


class Starving(KeyedBuffer):
    """Forgets what waits behind."""

    def _settled(self, ticket: Ticket) -> None:
        self._in_flight.pop(ticket.key, None)
        super()._settled(ticket)


class Stuck(ThrottleQueue[RawEvent]):
    """Sets its timer once."""

    def _fire(self) -> None:
        super()._fire()
        if self._timer is not None:
            self._timer.cancel()


class SettlingEarly(WriteQueue):
    """Settles an event before its write is counted as ended."""

    async def _run(self, identity: Identity, queue: Any) -> None:
        waiting = queue.waiting
        try:
            while waiting:
                head = waiting[0]
                head.ticket.mark("queue")
                outcome = await self._finish(head)
                waiting.popleft()
                head.settle(outcome)
                self._state.end_write(identity)
        finally:
            del self._queues[identity]
            self._settle_all(identity, queue)


class CommittingEarly(WriteQueue):
    """Remembers before the answer."""

    def _prepare(self, change: ObservationChange, trace: Trace | None) -> None:
        super()._prepare(change, trace)
        self._commit(change, Applied("created"))


class Forgetful(WriteQueue):
    """Does not remember what was written."""

    def _commit(self, change: ObservationChange, result: Applied) -> None: ...


class Undoubting(WriteQueue):
    """Takes an unanswered request for one that was not carried out."""

    def _doubt(self, change: ObservationChange) -> None: ...


class Restless(WriteQueue):
    """Takes a suspended write for one that is done."""

    def _not_applied(self, *how: Any, **more: Any) -> Outcome | TryAgain:
        step = super()._not_applied(*how, **more)
        suspended = isinstance(step, Outcome) and step.suspension is not None
        return Outcome(Ending.STORED, operation="updated") if suspended else step


class GivingUp(WriteQueue):
    """Tries once."""

    async def _wait(self, failed: TryAgain, tries: Tries, ticket: Ticket) -> None:
        del failed, tries
        ticket.superseded = True


class Abandoning(WriteQueue):
    """Leaves what waits unsettled when it closes."""

    def _settle_all(self, identity: Identity, queue: Any) -> None: ...


QUEUE = f"{__name__}.WriteQueue"
MUTANTS: tuple[tuple[str, Any], ...] = (
    ("streams.runtime.pipeline.backpressure", unbounded),
    ("streams.runtime.pipeline.backpressure", keeping),
    ("streams.runtime.pipeline.filter_observations", unfiltered),
    ("streams.runtime.pipeline.write_to", twice),
    ("streams.runtime.pipeline.deduplicate_subjects", hasty),
    ("streams.runtime.pipeline.deduplicate_subjects", unasked),
    ("operators.decode.stage", silent),
    ("operators.decode.stage_of_delivery", silent_of_delivery),
    ("operators.filter.stage", silent),
    ("operators.rules.lists.RuleSet.passes", content),
    ("operators.model.state.ObservationState.is_open", closed),
    ("operators.model.state.ObservationState.was_evicted", never_evicted),
    ("operators.reconcile._is_unchanged", final),
    ("operators.reconcile._is_unchanged", writing_all),
    ("operators.reconcile._is_unchanged", trusting),
    ("operators.reconcile._upsert", rewriting),
    ("operators.reconcile._upsert", still_resolved),
    ("operators.reconcile.outcome_without_write", immortal),
    ("operators.reconcile.NOTHING_TO_RESOLVE", careless),
    ("operators.reconcile._removed", resolving),
    ("operators.reconcile._removed", deleting_all),
    ("operators.buffer.KeyedBuffer", Overtaking),
    ("operators.buffer.KeyedBuffer", Starving),
    ("operators.throttle.ThrottleQueue", Stuck),
    (QUEUE, SettlingEarly),
    (QUEUE, CommittingEarly),
    (QUEUE, Forgetful),
    (QUEUE, Undoubting),
    (QUEUE, Restless),
    (QUEUE, GivingUp),
    (QUEUE, Abandoning),
)


@pytest.mark.timeout(240)
def test_a_walk_with_a_defect_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    alive = [
        f"{place}: {mutant}"
        for place, mutant in MUTANTS
        if survivors((mutant,), place=place, check=kills, patch=monkeypatch)
    ]
    assert alive == []


def kills() -> bool:
    return dies(Walking, steps=STEPS, walks=MUTANT_WALKS)
