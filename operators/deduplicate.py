"""Deduplicate: end what the cluster already shows, before it costs a write.

Subjects: an unchanged state of which no write is under way ends here, by the same decision that the sink's queue makes
(``reconcile``). Occurrences: one of several equal ones passes in each window. A deduplication key is absent, pending or
committed, and committed only by the sink's answer. An event that meets a pending key is parked behind it until the
pending one ends; then it is decided anew, in order, until one passes in its place. So the result is that of a sink that
answers at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from functools import partial
from typing import Annotated, Literal

from pydantic import Field
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.clock import WallClock
from operators.flow.delivery import DescribedDelivery, Operator, Ticket, failure, stage
from operators.model.identity import observation_name
from operators.model.observation import Classified, Observation, Occurrence, Removal, Window
from operators.model.outcome import ALREADY_COUNTED, STOPPED, Ending, Outcome
from operators.model.spec import Fraction, Many, Spec, WindowDuration
from operators.model.state import ObservationState
from operators.model.units import duration_seconds

WITHIN_WINDOW = "within window"
DEFAULT_WINDOW_SECONDS = 60
ONE_YEAR_SECONDS = 31_536_000
KEY = "key"
"""The strategy that compares ``fields`` alone."""

DecideWrite = Callable[[Observation | Removal], object]
"""The decision of what is to be written; an ``Outcome`` where nothing is (``operators.reconcile``)."""


class Deduplication(Spec):
    """Which events are duplicates, and for how long."""

    enabled: bool = Field(
        default=True, description="Whether duplicates end without another write of the Observation."
    )
    strategy: Literal["fingerprint", "key", "hybrid"] = Field(
        default="fingerprint",
        description="What is compared: fingerprint compares the whole content, key compares the"
        " paths in fields alone.",
    )
    fields: Many[str] = Field(
        default=(),
        description="Dotted paths of the values that strategy: key compares.",
        examples=[["spec.image", "status.phase"]],
    )
    window: WindowDuration | None = Field(
        default=None,
        description="Time for which equal occurrences are duplicates of the first, and after which"
        " a resync refreshes lastSeen of an unchanged subject; 1m if unset.",
        examples=["24h"],
    )
    window_seconds: Annotated[int, Field(ge=1, le=ONE_YEAR_SECONDS)] | None = Field(
        default=None,
        description="Alternative spelling of window, in seconds; window is preferred.",
        examples=[3600],
    )
    learning_rate: Fraction = Field(
        default=0.1, description="Speed at which an adaptive strategy adapts."
    )
    min_change: Fraction = Field(
        default=0.05, description="Smallest change that an adaptive strategy regards as one."
    )
    max_events_per_window: int | None = Field(
        default=None, description="Events per window that are compared.", examples=[1000]
    )

    @property
    def window_duration(self) -> timedelta:
        """The window by either spelling, ``window`` first; 60 s where neither is set."""
        if self.window is not None:
            return timedelta(seconds=duration_seconds(self.window))
        return timedelta(seconds=self.window_seconds or DEFAULT_WINDOW_SECONDS)

    @property
    def compared_fields(self) -> tuple[str, ...] | None:
        """The paths that alone make events equal (strategy ``key``); ``None`` for the whole fingerprint."""
        return self.fields if self.strategy == KEY and self.fields else None


def deduplicate_subjects(
    state: ObservationState,
    decide: DecideWrite,
    *,
    wanted: Callable[[Classified], bool] = lambda _: True,
) -> Operator[DescribedDelivery, DescribedDelivery]:
    """End what needs no write: unchanged subjects, counted Kubernetes Events, removals with nothing to resolve.

    ::

        --a----a----a'---x----x-->      each is stored before the next comes; x is the removal of a's subject
        deduplicate_subjects(state, decide)
        --a---------a'---x------->      the second a ends deduplicated, the second x filtered

    What the sink has not confirmed is not known: the same state passes again. While a write of the identity waits or is
    under way everything passes, and the sink's queue decides. Ahead of the filter (``processing.order:
    dedup_first``) it must not end an unchanged state that the filter no longer wants, as after a start with another
    filter: ``wanted`` is the filter's verdict, and what it rejects passes, to be resolved by the filter.
    """

    def decide_one(value: Observation | Removal) -> Observation | Removal | Outcome:
        if state.is_writing(value.identity):
            return value
        decision = decide(value)
        if not isinstance(decision, Outcome):
            return value
        if isinstance(value, Observation) and value.classified.evidence is None:
            return decision if wanted(value.classified) else value
        return decision

    return stage("deduplicate", decide_one)


class OccurrenceVerdict(Enum):
    """What an occurrence does that does not end here; the mark's detail."""

    NEW = "new"
    PARKED = "parked"


Verdict = Outcome | OccurrenceVerdict
Decided = tuple[DescribedDelivery, str, Verdict]
"""An event, the stage that decided it, and the verdict."""


class WindowedDeduplication:
    """Passes one of several equal occurrences in each window, and parks the others behind it while it is pending.

    Parked events hold their credits, so there are never more of them than credits; later ones stay in the buffer.
    ``window_seconds`` 0 makes each event its own Observation: only a repetition of the same event is a duplicate.
    """

    def __init__(
        self,
        state: ObservationState,
        *,
        window_seconds: float,
        now: WallClock,
        emit: Callable[[DescribedDelivery], None],
    ) -> None:
        self._state = state
        self._length = timedelta(seconds=window_seconds)
        self._details = {each: {"dedup.verdict": each.value} for each in OccurrenceVerdict}
        self._now = now
        self._emit = emit
        self._pending: dict[str, deque[tuple[DescribedDelivery, datetime]]] = {}
        self._decided: deque[Decided] = deque()
        self._acting = False
        self._stopped = False

    def admit(self, delivery: DescribedDelivery) -> None:
        """Pass an occurrence on, park it, or settle it; after ``stop`` it ends ``interrupted``."""
        observed_at = self._now()
        self._state.sweep(observed_at)
        verdict = STOPPED if self._stopped else self._verdict(delivery, observed_at)
        if verdict is OccurrenceVerdict.PARKED:
            delivery.ticket.mark("deduplicate", self._details[verdict])
        else:
            self._act([(delivery, "deduplicate", verdict)])

    def stop(self) -> None:
        """Settle everything that waits: the subscription has ended."""
        self._stopped = True
        decided, self._decided = self._decided, deque()
        parked = [delivery for waiting in self._pending.values() for delivery, _ in waiting]
        for waiting in self._pending.values():
            waiting.clear()
        for delivery, stage_name, verdict in decided:
            outcome = verdict if isinstance(verdict, Outcome) else STOPPED
            delivery.ticket.end(stage_name, outcome)
        for delivery in parked:
            delivery.ticket.end("deduplicate wait", STOPPED)

    def _verdict(self, delivery: DescribedDelivery, observed_at: datetime) -> Verdict:
        # Also of a parked event: one that raises would leave itself, and all behind it, without an outcome.
        try:
            return self._decide(delivery, observed_at)
        except Exception as error:  # noqa: BLE001  an event that raises must not end the stream
            return failure("deduplicate", error)

    def _decide(self, delivery: DescribedDelivery, observed_at: datetime) -> Verdict:
        observation = delivery.value
        occurrence = observation.occurrence if isinstance(observation, Observation) else None
        if occurrence is None or not isinstance(observation, Observation):
            raise TypeError("found a subject, allowed: an occurrence")
        key, state = observation.fingerprint, self._state
        counted = state.counted_in(occurrence, key)
        if counted is not None:
            state.count_in(occurrence, counted)
            return _duplicate(ALREADY_COUNTED, counted)
        # Without a window only the same event is equal, not the same content.
        place = key if self._length else occurrence.opened
        waiting = self._pending.get(place)
        if waiting is not None:
            waiting.append((delivery, observed_at))
            return OccurrenceVerdict.PARKED
        window = state.window(key, observed_at)
        if window is not None:
            state.count_in(occurrence, window)
            return _duplicate(WITHIN_WINDOW, window)
        occurrence.window = self._opened(observation, observed_at)
        self._pending[place] = deque()
        delivery.ticket.when_settled(partial(self._settled, place, occurrence))
        return OccurrenceVerdict.NEW

    def _opened(self, observation: Observation, start: datetime) -> Window:
        name = observation_name(observation.identity, readable=observation.identity.name)
        return Window(observation.fingerprint, name, start, start + self._length)

    def _settled(self, place: str, occurrence: Occurrence, ticket: Ticket) -> None:
        parked = self._pending.pop(place)
        window = occurrence.window
        is_stored = ticket.outcome is not None and ticket.outcome.ending is Ending.STORED
        if is_stored and window is not None:
            self._state.commit_window(window, occurrence, moment=self._now())
        decided: list[Decided] = []
        while parked and place not in self._pending:
            delivery, observed_at = parked.popleft()
            decided.append((delivery, "deduplicate wait", self._verdict(delivery, observed_at)))
        if parked:
            self._pending[place] = parked
        self._act(decided)

    def _act(self, decided: list[Decided]) -> None:
        # Tables change first, callbacks come last and from one loop: a long row of failures does not recurse.
        self._decided.extend(decided)
        if self._acting:
            return
        self._acting = True
        try:
            while self._decided:
                delivery, stage_name, verdict = self._decided.popleft()
                if isinstance(verdict, Outcome):
                    delivery.ticket.end(stage_name, verdict)
                else:
                    delivery.ticket.mark(stage_name, self._details[verdict])
                    self._emit(delivery)
        finally:
            self._acting = False


def deduplicate_occurrences(
    state: ObservationState, *, window_seconds: float, now: WallClock
) -> Operator[DescribedDelivery, DescribedDelivery]:
    """Pass one of several equal occurrences in each window, and end its duplicates once it is stored.

    ::

        --a--a----a----b-->         the first a is stored between the second and the third
        deduplicate_occurrences(state, window_seconds=60.0, now=now)
        --a------------b-->         the second waits for that, then ends deduplicated; the third ends at once

    If the first ends otherwise, the second passes in its place. Disposing ends what waits as ``interrupted``.
    """

    def operator(source: Observable[DescribedDelivery]) -> Observable[DescribedDelivery]:
        def subscribe(
            observer: abc.ObserverBase[DescribedDelivery],
            scheduler: abc.SchedulerBase | None = None,
        ) -> abc.DisposableBase:
            windowed = WindowedDeduplication(
                state, window_seconds=window_seconds, now=now, emit=observer.on_next
            )
            upstream = source.subscribe(
                windowed.admit, observer.on_error, observer.on_completed, scheduler=scheduler
            )
            return CompositeDisposable(upstream, Disposable(windowed.stop))

        return Observable(subscribe)

    return operator


def _duplicate(reason: str, window: Window) -> Outcome:
    return Outcome(
        Ending.DEDUPLICATED,
        reason,
        observation=window.name,
        observation_uid=window.uid,
        link=window.traceparent,
    )
