"""Throttle: no faster than its document allows; what comes faster waits its turn, or ends.

A waiting event holds its credit, so the credits before it bound how many wait, and the buffer stands while they do.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.clock import NANOSECONDS_PER_SECOND, CallLater, Clock, Timer
from operators.flow.delivery import Delivery, Operator
from operators.model.outcome import STOPPED, Ending, Outcome

T = TypeVar("T")

OVER = Outcome(Ending.THROTTLED, "over_rate", "it came faster than the throttle allows")

SLOWEST_PER_SECOND = 1e-8
"""A token in three years; a slower rate would leave the range of timers."""
NANOSECONDS_PER_MILLISECOND = 1_000_000


class WhenOver(StrEnum):
    """What happens to an event that comes faster than the rate."""

    WAIT = "wait"
    END = "end"


class Throttle(BaseModel):
    """``per_second`` events, ``burst`` of them at once after a rest; at most ``most_waiting`` wait, the rest end.

    ``most_waiting`` is the number of credits in a pipeline, where it is never exceeded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_second: PositiveFloat
    burst: PositiveInt = 1
    when_over: WhenOver = WhenOver.WAIT
    most_waiting: PositiveInt = 64


class TokenBucket:
    """Tokens come at a steady rate, up to a burst; each event takes one.

    Kept as the moment at which the bucket is full again (the generic cell rate algorithm, ITU-T I.371): whole
    nanoseconds, so that nothing is ever rounded away and a wait is exactly as long as it is said to be.
    """

    def __init__(self, spec: Throttle, clock: Clock) -> None:
        rate = max(spec.per_second, SLOWEST_PER_SECOND)
        self._clock = clock
        self._token_ns = max(1, round(NANOSECONDS_PER_SECOND / rate))
        self._burst_ns = (spec.burst - 1) * self._token_ns
        self._full_at_ns = clock()

    def take(self) -> bool:
        """Whether a token was to be had."""
        now_ns = self._clock()
        if now_ns < self._full_at_ns - self._burst_ns:
            return False
        self._full_at_ns = max(self._full_at_ns, now_ns) + self._token_ns
        return True

    def wait_ns(self) -> int:
        """How long it is until the next token."""
        return max(0, self._full_at_ns - self._burst_ns - self._clock())


class Line(Generic[T]):
    """Where events wait for tokens, first in, first out, with one timer for all of them."""

    def __init__(
        self,
        spec: Throttle,
        *,
        clock: Clock,
        call_later: CallLater,
        observer: abc.ObserverBase[Delivery[T]],
    ) -> None:
        self._bucket = TokenBucket(spec, clock)
        self._may_wait = spec.most_waiting if spec.when_over is WhenOver.WAIT else 0
        self._clock = clock
        self._call_later = call_later
        self._observer = observer
        self._waiting: deque[tuple[Delivery[T], int]] = deque()
        self._timer: Timer | None = None
        self._releasing = False
        self._finished = False

    def admit(self, delivery: Delivery[T]) -> None:
        """Let an event go, let it wait, or end it."""
        if not self._waiting and self._bucket.take():
            self._let_go(delivery, waited_ns=0)
        elif len(self._waiting) < self._may_wait:
            self._waiting.append((delivery, self._clock()))
            self._arm()
        else:
            delivery.ticket.end("throttle", OVER)

    def finish(self) -> None:
        """The source is done; completion follows once nobody waits."""
        self._finished = True
        self._complete()

    def stop(self) -> None:
        """The subscription is over: end all that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, deque()
        for delivery, _ in waiting:
            delivery.ticket.end("throttle", STOPPED)

    def _release(self) -> None:
        """The timer's call: let go as many as there are tokens for, then wait for the next."""
        self._timer = None
        self._releasing = True
        try:
            while self._waiting and self._bucket.take():
                delivery, since_ns = self._waiting.popleft()
                self._let_go(delivery, waited_ns=self._clock() - since_ns)
        finally:
            self._releasing = False
            self._arm()
            self._complete()

    def _let_go(self, delivery: Delivery[T], *, waited_ns: int) -> None:
        waited_ms = waited_ns / NANOSECONDS_PER_MILLISECOND
        delivery.ticket.mark("throttle", {"throttle.wait_ms": waited_ms})
        self._observer.on_next(delivery)

    def _arm(self) -> None:
        if self._waiting and self._timer is None and not self._releasing:
            wait_seconds = self._bucket.wait_ns() / NANOSECONDS_PER_SECOND
            self._timer = self._call_later(wait_seconds, self._release)

    def _complete(self) -> None:
        if self._finished and not self._waiting:
            self._finished = False
            self._observer.on_completed()


def throttle(
    spec: Throttle, *, clock: Clock, call_later: CallLater
) -> Operator[Delivery[T], Delivery[T]]:
    """Let events pass no faster than ``spec`` says, in the order in which they came.

    ::

        --abcd---------------|     a token a second, a burst of two
        throttle(spec, clock=clock, call_later=call_later)
        --ab--------c---------d|   with whenOver: end, c and d end throttled instead

    ``call_later(seconds, callback)`` is the event loop's; a timer that fires early is set again. Completion waits for
    those who wait. Disposing, and an error of the source, end them as ``interrupted``.
    """

    def operator(source: Observable[Delivery[T]]) -> Observable[Delivery[T]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[T]], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            line = Line(spec, clock=clock, call_later=call_later, observer=observer)
            upstream = source.subscribe(
                line.admit, observer.on_error, line.finish, scheduler=scheduler
            )
            return CompositeDisposable(upstream, Disposable(line.stop))

        return Observable(subscribe)

    return operator
