"""Once per window: of equal occurrences one goes on, and the others are its duplicates.

A key is absent, pending or committed, and committed only by the sink's answer. What meets a pending key parks behind
it until it ends; then it is decided anew, in order, until one goes on in its place. So the result is that of a sink
that answers at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from functools import partial

from pydantic import BaseModel, ConfigDict, NonNegativeFloat
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.clock import WallClock
from operators.flow.delivery import Delivery, Operator, Ticket
from operators.flow.stage import failure
from operators.model.observation import Observation, Occurrence, Window
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.windows import Windows

WITHIN = "within window"
TOLD = "told"

Event = Delivery[Observation]


class Once(BaseModel):
    """For how many seconds equal occurrences are one, from the first of them on; each is its own if not enabled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    window_seconds: NonNegativeFloat = 60.0


class Turn(Enum):
    """What an occurrence does that does not end here, as its timeline has it."""

    NEW = "new"
    PARKED = "parked"


Verdict = Outcome | Turn
Decided = tuple[Event, str, Verdict]
"""An event, the stage that has decided it, and how."""


class Turns:
    """Decides whose turn it is, and parks the equal ones behind it.

    Parked events hold their credits, so that there are never more of them than those; what comes then stays in the
    buffer. Tables change first, callbacks come last, from one loop: however long a row of failures, it does not nest.
    """

    def __init__(
        self, spec: Once, windows: Windows, *, now: WallClock, emit: Callable[[Event], None]
    ) -> None:
        self._enabled = spec.enabled
        self._length = timedelta(seconds=spec.window_seconds if spec.enabled else 0)
        self._notes = {turn: {"dedup.verdict": turn.value} for turn in Turn}
        self._windows = windows
        self._now = now
        self._emit = emit
        self._pending: dict[str, deque[tuple[Event, datetime]]] = {}
        self._decided: deque[Decided] = deque()
        self._acting = False
        self._stopped = False

    def admit(self, delivery: Event) -> None:
        """Let an occurrence go on, park it, or end it; after ``stop`` it ends ``interrupted``."""
        seen = self._now()
        self._windows.sweep(seen)
        try:
            verdict = STOPPED if self._stopped else self._decide(delivery, seen)
        except Exception as error:  # noqa: BLE001  one poison event must not end the stream
            verdict = failure("dedup", error)
        if verdict is Turn.PARKED:
            delivery.ticket.mark("dedup", self._notes[verdict])
        else:
            self._act([(delivery, "dedup", verdict)])

    def stop(self) -> None:
        """The subscription is over: end all that waits."""
        self._stopped = True
        decided, self._decided = self._decided, deque()
        parked = [delivery for waiting in self._pending.values() for delivery, _ in waiting]
        for waiting in self._pending.values():
            waiting.clear()
        for delivery, stage, verdict in decided:
            delivery.ticket.end(stage, verdict if isinstance(verdict, Outcome) else STOPPED)
        for delivery in parked:
            delivery.ticket.end("dedup wait", STOPPED)

    def _decide(self, delivery: Event, seen: datetime) -> Verdict:
        observation = delivery.value
        occurrence = observation.occurrence
        if occurrence is None:
            raise AssertionError("only occurrences are decided here")
        told = self._windows.told(occurrence, observation.fingerprint)
        if told is not None:
            self._windows.tell(occurrence, told)
            return _duplicate(TOLD, told)
        key = observation.fingerprint if self._enabled else observation.name
        waiting = self._pending.get(key)
        if waiting is not None:
            waiting.append((delivery, seen))
            return Turn.PARKED
        window = self._windows.at(observation.fingerprint, seen)
        if window is not None:
            self._windows.tell(occurrence, window)
            return _duplicate(WITHIN, window)
        window = Window(observation.fingerprint, observation.name, seen, seen + self._length)
        occurrence.window = window
        self._pending[key] = deque()
        delivery.ticket.when_settled(partial(self._ended, key, occurrence, window))
        return Turn.NEW

    def _ended(self, key: str, occurrence: Occurrence, window: Window, ticket: Ticket) -> None:
        parked = self._pending.pop(key)
        if ticket.outcome is not None and ticket.outcome.ending is Ending.STORED:
            self._windows.commit(window, occurrence, moment=self._now())
        decided: list[Decided] = []
        while parked and key not in self._pending:
            delivery, seen = parked.popleft()
            decided.append((delivery, "dedup wait", self._decide(delivery, seen)))
        if parked:
            self._pending[key] = parked
        self._act(decided)

    def _act(self, decided: list[Decided]) -> None:
        self._decided.extend(decided)
        if self._acting:
            return
        self._acting = True
        try:
            while self._decided:
                delivery, stage, verdict = self._decided.popleft()
                if isinstance(verdict, Outcome):
                    delivery.ticket.end(stage, verdict)
                else:
                    delivery.ticket.mark(stage, self._notes[verdict])
                    self._emit(delivery)
        finally:
            self._acting = False


def _duplicate(reason: str, window: Window) -> Outcome:
    return Outcome(
        Ending.DEDUPLICATED,
        reason,
        observation=window.name,
        observation_uid=window.uid,
        link=window.traceparent,
    )


def once(spec: Once, windows: Windows, *, now: WallClock) -> Operator[Event, Event]:
    """Let one of equal occurrences pass in each window, and end its duplicates once it is stored.

    ::

        --a--a----a----b-->         the first a is stored between the second and the third
        once(spec, windows)
        --a------------b-->         the second waits for that, then ends deduplicated; the third ends at once

    If the first ends otherwise, the second goes on in its place. Disposing ends what waits as ``interrupted``.
    """

    def operator(source: Observable[Event]) -> Observable[Event]:
        def subscribe(
            observer: abc.ObserverBase[Event], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            turns = Turns(spec, windows, now=now, emit=observer.on_next)
            upstream = source.subscribe(
                turns.admit, observer.on_error, observer.on_completed, scheduler=scheduler
            )
            return CompositeDisposable(upstream, Disposable(turns.stop))

        return Observable(subscribe)

    return operator
