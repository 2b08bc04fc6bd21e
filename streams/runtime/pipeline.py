"""One pipeline: the walk of an event as one expression, and its life from the restored state to the drain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from reactivex import Observable, abc

from operators.backpressure import backpressure
from operators.buffer import WhenFull, bounded_buffer
from operators.decode import PipelineOrigin, classify, describe
from operators.decoders.registry import Decoder, decoder_for
from operators.deduplicate import deduplicate_occurrences, deduplicate_subjects
from operators.filter import filter_described, filter_observations
from operators.flow.capacity import Credits, Room
from operators.flow.clock import CallLater, Clock, WallClock
from operators.flow.delivery import (
    Admission,
    BeginTrace,
    Delivery,
    Ledger,
    Operator,
    Settled,
    Ticket,
    deliver,
)
from operators.flow.histogram import StageTimings
from operators.model.identity import Identity, IngesterKey
from operators.model.observation import Classified, Observation, Removal
from operators.model.outcome import FAULTS, LOST
from operators.model.spec import DecisionOrder, Observe, OnDelete
from operators.model.state import ObservationState
from operators.recheck import RecheckTimer
from operators.reconcile import ReconcilePolicy, outcome_without_write
from operators.rules.lists import RuleSet
from operators.throttle import throttle
from sinks.dead_letters import DeadLetters
from sinks.observations import ObservationExecutor, Owner
from sinks.queue import QueueContext, Suspensions, WriteQueue
from sinks.sink import Sink, write_to
from streams.cluster.observations import Observations
from streams.config.plan import Plan, SourceSpec
from streams.observability.metrics import PipelineStatus
from streams.observability.spans import Span
from streams.runtime.restore import removed_meanwhile, restore_with_retries
from streams.runtime.tracing import TRACING_OFF, ProcessTracing
from streams.sources.informer.manager import InformerManager, log_task_failure, task_failure
from streams.sources.informer.source import InformerSource
from streams.sources.informer.subscription import SubscriptionOptions
from streams.sources.informer.target import WatchTarget
from streams.sources.source import RereadableSource, Source, SourceStatus

log = logging.getLogger(__name__)

Decision = Operator[Delivery[Classified | Removal], Delivery[Observation | Removal]]

OnEnded = Callable[["Pipeline", Ticket], None]
"""Called for every event of a pipeline that was settled, after the ledger; it must not raise."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one pipeline counts and holds: its ledger, room, credits, and the state of its Observations."""

    ledger: Ledger
    room: Room
    credits: Credits
    state: ObservationState

    @classmethod
    def of(cls, plan: Plan) -> Parts:
        """Create the empty parts of a new pipeline."""
        buffer = plan.pipeline.buffer
        room = Room(buffer.capacity, capacity_bytes=buffer.bytes)
        return cls(Ledger(), room, Credits(buffer.credits), ObservationState())


@dataclass(frozen=True, slots=True)
class PipelineContext:
    """What all pipelines of a process share."""

    manager: InformerManager
    observations: Observations
    suspensions: Suspensions
    dead_letters: DeadLetters
    clock: Clock
    now: WallClock
    now_ns: Callable[[], int]
    """Wall-clock nanoseconds, for the time at which an event was received."""
    random: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    traces: ProcessTracing = TRACING_OFF
    listeners: tuple[OnEnded, ...] = ()


def compose(
    plan: Plan,
    source: Observable[Admission],
    sink: Sink,
    *,
    parts: Parts,
    decoder: Decoder,
    recheck: RecheckTimer | None,
    clock: Clock,
    call_later: CallLater,
    now: WallClock,
    on_settle: Settled | None = None,
    begin_trace: BeginTrace | None = None,
) -> Observable[Delivery[Observation | Removal]]:
    """Join a source to a sink: what holds events, then what decides. One pipe types seven operators at most."""
    spec = plan.pipeline
    origin, rules = origin_of(plan), RuleSet(spec.filters)
    admitted = source if recheck is None else source.pipe(recheck.cancel_outdated())
    held = admitted.pipe(
        deliver(parts.ledger, clock=clock, on_settle=on_settle, begin_trace=begin_trace),
        bounded_buffer(parts.room, parts.credits, when_full=when_full_of(plan)),
        backpressure(parts.credits),
    )
    if spec.throttle is not None:
        held = held.pipe(
            throttle(
                spec.throttle,
                waiting_maximum=parts.credits.limit,
                clock=clock,
                call_later=call_later,
            )
        )
    classified = held.pipe(classify(origin, decoder, now=now, reads=rules.reads))
    if recheck is not None:
        classified = classified.pipe(recheck.schedule_named())
    return classified.pipe(
        _decisions(plan, origin, decoder, rules=rules, state=parts.state, now=now),
        write_to(sink),
    )


def _decisions(
    plan: Plan,
    origin: PipelineOrigin,
    decoder: Decoder,
    *,
    rules: RuleSet,
    state: ObservationState,
    now: WallClock,
) -> Decision:
    """Filter and deduplication in the order of the document; what deduplication compares is described first.

    For subjects the order changes the marks alone (an open Observation that the filter rejects is resolved either way),
    except for a body that cannot be decoded: with deduplication first it is decoded, wanted or not.
    """
    described = describe(origin, decoder)
    if plan.pipeline.order is DecisionOrder.DEDUP_FIRST:
        unique = _deduplication(plan, state, now=now, wanted=rules.passes)
        return lambda source: source.pipe(described, unique, filter_described(rules, state))
    unique = _deduplication(plan, state, now=now)
    return lambda source: source.pipe(filter_observations(rules, state), described, unique)


def _deduplication(
    plan: Plan,
    state: ObservationState,
    *,
    now: WallClock,
    wanted: Callable[[Classified], bool] = lambda _: True,
) -> Operator[Delivery[Observation | Removal], Delivery[Observation | Removal]]:
    spec = plan.pipeline.deduplication
    if plan.pipeline.observe is Observe.OCCURRENCE:
        seconds = spec.window_duration.total_seconds() if spec.enabled else 0.0
        return deduplicate_occurrences(state, window_seconds=seconds, now=now)
    policy = policy_of(plan)
    return deduplicate_subjects(
        state,
        lambda value: outcome_without_write(value, state, policy=policy, now=now()),
        wanted=wanted,
    )


def origin_of(plan: Plan) -> PipelineOrigin:
    """Which pipeline the events of a plan belong to."""
    identity, spec = plan.identity, plan.pipeline
    return PipelineOrigin(
        IngesterKey(identity.namespace, identity.name),
        plan.source_name,
        entry=identity.source,
        occurrences=spec.observe is Observe.OCCURRENCE,
        ignores_removals=spec.on_delete is OnDelete.IGNORE,
        compared_fields=spec.deduplication.compared_fields,
    )


def policy_of(
    plan: Plan, *, event_exists: Callable[[str, str], bool] = lambda _namespace, _name: True
) -> ReconcilePolicy:
    """The settings of a plan that decide what is written; ``deduplication`` does not apply to Kubernetes Events."""
    spec = plan.pipeline
    return ReconcilePolicy(
        deduplicates=spec.deduplication.enabled,
        refresh_seconds=spec.deduplication.window_duration.total_seconds(),
        deletes=spec.on_delete is OnDelete.DELETE,
        event_exists=event_exists,
    )


def owner_of(plan: Plan) -> Owner:
    """The Ingester that the Observations of a plan belong to."""
    identity = plan.identity
    key = IngesterKey(identity.namespace, identity.name)
    return Owner(key, plan.pipeline.ttl_seconds, uid=identity.uid)


def target_of(spec: SourceSpec) -> WatchTarget:
    """What the informer of a source spec lists and watches. Raises ``ValueError`` without a gvr."""
    gvr = spec.gvr
    if gvr is None:
        raise ValueError("an informer without spec.informer.gvr cannot be run")
    return WatchTarget(
        gvr.group,
        gvr.version,
        gvr.resource,
        namespace=spec.namespace or "",
        label_selector=spec.label_selector or "",
        field_selector=spec.field_selector or "",
    )


def when_full_of(plan: Plan) -> WhenFull:
    """What happens to an event without room: an informer's subject is read again."""
    return plan.pipeline.buffer.policy(rereadable=True)


def _rereadable(source: Source) -> RereadableSource | None:
    return source if isinstance(source, RereadableSource) else None


class Pipeline:
    """Runs a plan: restores its state, runs its source into its sink, and drains."""

    def __init__(self, plan: Plan, context: PipelineContext) -> None:
        self.plan = plan
        self.ingester = plan.identity.key
        self.source_name = plan.source_name
        self.timings = StageTimings()
        self.condition = "Starting"
        """What the pipeline does, for a person; the source's own status goes before it while that is not up."""
        self.complete = False
        """Whether the state was restored, the first list read, and what was removed meanwhile found."""
        self.parts = Parts.of(plan)
        self._context = context
        self._origin = origin_of(plan)
        target = target_of(plan.source)
        self._group_resource = target.group, target.resource
        self._decoder = decoder_for(target.group, target.resource)
        rules = RuleSet(plan.pipeline.filters)
        self._source: Source = InformerSource(
            context.manager,
            target,
            name=plan.source_name,
            options=SubscriptionOptions(
                self.parts.room,
                resync_seconds=plan.source.resync_seconds,
                is_tracked=self.parts.state.has_open,
                head=self._decoder.head,
                reads=rules.reads,
            ),
            now_ns=context.now_ns,
        )
        # Once: a check against a protocol takes 30 us, and is needed for every Kubernetes Event.
        self._rereadable = _rereadable(self._source)
        self._sink = self._write_queue()
        self._tracer = context.traces.source(
            plan, kind=self._source.kind, when_full=when_full_of(plan)
        )
        self._subscription: abc.DisposableBase | None = None
        self._task: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._empty = asyncio.Event()

    @property
    def ledger(self) -> Ledger:
        """Counts of what was received, and how it ended."""
        return self.parts.ledger

    def status(self) -> PipelineStatus:
        """Report what a scrape reads."""
        parts = self.parts
        return PipelineStatus(
            source=self.plan.source_name,
            ingester=self.ingester,
            ledger=parts.ledger,
            room=parts.room,
            state_entries=len(parts.state),
            state_evicted=parts.state.evicted,
            timings=self.timings,
            status=self._source.status(),
        )

    def source_status(self) -> SourceStatus:
        """Report the status of the source."""
        return self._source.status()

    @property
    def description(self) -> str:
        """What prevents reading, for a person; else what the pipeline does."""
        status = self._source.status()
        return f"{status.reason}: {status.message}" if status.reason else self.condition

    @property
    def lost(self) -> int:
        """How many events ended without their content being stored although it was wanted."""
        return sum(self.parts.ledger.ended(ending) for ending in LOST)

    @property
    def failure(self) -> BaseException | None:
        """The exception that ended the source or the pipeline's own task: a defect, for the liveness probe."""
        return self._error or (task_failure(self._task) if self._task is not None else None)

    def start(self) -> None:
        """Start; what prevents the start becomes the condition, and is tried again."""
        self._task = asyncio.create_task(self._run(), name=f"source {self.ingester}")
        self._task.add_done_callback(log_task_failure)

    def stop_intake(self) -> None:
        """Take in nothing any more; what is in flight continues."""
        if self._task is not None:
            self._task.cancel()
        self._source.stop_intake()
        self.condition = "Draining"

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        while self.parts.ledger.in_flight:
            self._empty.clear()
            await self._empty.wait()

    async def abandon(self) -> None:
        """Settle what is still in flight as ``interrupted``."""
        if self._subscription is not None:
            self._subscription.dispose()
        await self._sink.close()
        self.condition = "Stopped"

    def notify_resumed(self) -> None:
        """Have the source look again for subjects whose suspension is over."""
        if self._rereadable is not None:
            self._rereadable.notify_resumed()

    def spans(self, ticket: Ticket) -> list[Span]:
        """Build the spans of a settled event of this pipeline; none if it was not traced."""
        return self._tracer.spans(ticket) if self._tracer is not None else []

    async def _run(self) -> None:
        context, source = self._context, self._source
        subjects = await restore_with_retries(
            lambda: context.observations.list_of(self._origin.ingester),
            self.parts.state,
            clock=context.clock,
            now=context.now,
            random=context.random,
            is_ours=self._is_ours,
            on_failure=self._restore_failed,
            sleep=context.sleep,
        )
        self.condition = "Syncing"
        self._subscription = self._subscribed()
        await source.synced()
        if self._rereadable is not None:
            for key, uid in removed_meanwhile(subjects, self._rereadable.keys()):
                self._rereadable.request_reread(key, uid=uid)
        self.complete, self.condition = True, "Running"
        objects = source.status().known_objects
        log.info("source running", extra={"ingester": self.ingester, "objects": objects})

    def _subscribed(self) -> abc.DisposableBase:
        """Compose the walk and subscribe to it; raises what the source raised while it was subscribed to."""
        context = self._context
        call_later = asyncio.get_running_loop().call_later
        subscription = compose(
            self.plan,
            self._source.events,
            self._sink,
            parts=self.parts,
            decoder=self._decoder,
            recheck=self._recheck(call_later),
            clock=context.clock,
            call_later=call_later,
            now=context.now,
            on_settle=self._settled,
            begin_trace=self._tracer.begin if self._tracer is not None else None,
        ).subscribe(on_error=self._broken)
        if self._error is not None:
            raise self._error
        return subscription

    def _recheck(self, call_later: CallLater) -> RecheckTimer | None:
        """Create the timer where the decoder names times, and the source has states to classify again."""
        source = self._rereadable
        if source is None or not self._decoder.rechecks:
            return None
        return RecheckTimer(
            now=self._context.now,
            call_later=call_later,
            reenter=source.reenter,
            request_reread=source.request_reread,
        )

    def _restore_failed(self, error: Exception) -> None:
        self.condition = f"Waiting for the list of Observations: {error}"
        log.warning(
            "Observations cannot be listed yet",
            extra={"ingester": self.ingester, "detail": str(error)},
        )

    def _settled(self, ticket: Ticket) -> None:
        try:
            self.timings.observe(ticket)
            if self._tracer is not None:
                self._tracer.end(ticket)
            if ticket.outcome is not None and ticket.outcome.ending in FAULTS:
                self._context.dead_letters.record(self.ingester, ticket)
            for listener in self._context.listeners:
                listener(self, ticket)
        except Exception:  # the callbacks after this one give back room and credit
            log.exception("a settlement could not be recorded", extra={"ingester": self.ingester})
        if not self.parts.ledger.in_flight:
            self._empty.set()

    def _broken(self, error: Exception) -> None:
        self._error, self.complete = error, False
        self.condition = f"Broken: {error}"
        log.error("source failed", extra={"ingester": self.ingester, "detail": str(error)})

    def _is_ours(self, identity: Identity) -> bool:
        """Whether an identity is of the resource and the entry that this pipeline observes."""
        observed = identity.group, identity.resource
        return observed == self._group_resource and identity.source == self._origin.entry

    def _write_queue(self) -> WriteQueue:
        context, state = self._context, self.parts.state
        return WriteQueue(
            ObservationExecutor(context.observations, owner=owner_of(self.plan)),
            state,
            policy=policy_of(self.plan, event_exists=self._event_exists),
            context=QueueContext(
                context.suspensions,
                clock=context.clock,
                now=context.now,
                random=context.random,
                sleep=context.sleep,
            ),
            retry=self.plan.pipeline.retry,
        )

    def _event_exists(self, namespace: str, name: str) -> bool:
        source = self._rereadable
        return source is not None and source.knows(f"{namespace}/{name}")
