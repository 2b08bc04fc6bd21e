"""Throttle: pass events no faster than the document allows; what exceeds the rate waits, or ends.

A waiting event holds its credit, so the credits before it bound how many wait, and the buffer releases nothing
meanwhile.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from math import ceil
from typing import Annotated, Generic, TypeVar

from pydantic import Field
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.clock import NANOSECONDS_PER_SECOND, CallLater, Clock, Timer
from operators.flow.delivery import Delivery, Operator
from operators.flow.rate import TokenBucket
from operators.model.outcome import STOPPED, Ending, Outcome
from operators.model.spec import FromText, Positive, Spec, schema_of

T = TypeVar("T")

OVER_RATE = Outcome(Ending.THROTTLED, "over_rate", "faster than spec.throttle allows")

NANOSECONDS_PER_MILLISECOND = 1_000_000


class WhenOver(StrEnum):
    """What happens to an event that exceeds the rate."""

    WAIT = "wait"
    END = "end"


class Throttle(Spec):
    """Limits the rate of events."""

    per_second: Annotated[float, Field(gt=0)] = Field(
        description="Events per second that may pass, on average.", examples=[50]
    )
    burst: Positive | None = Field(
        default=None,
        description="Events that may pass at once after a pause; perSecond, rounded up, if unset.",
        examples=[100],
    )
    when_over: Annotated[WhenOver, FromText, schema_of(*WhenOver)] = Field(
        default=WhenOver.WAIT,
        description="What happens to an event beyond the rate: it waits, or ends as throttled.",
    )

    @property
    def burst_size(self) -> int:
        """Events that may pass at once: ``burst``, or ``per_second`` rounded up."""
        return self.burst or ceil(self.per_second)


class ThrottleQueue(Generic[T]):
    """The events that wait for tokens, first in, first out, with one timer for all of them."""

    def __init__(
        self,
        spec: Throttle,
        *,
        waiting_maximum: int,
        clock: Clock,
        call_later: CallLater,
        observer: abc.ObserverBase[Delivery[T]],
    ) -> None:
        self._bucket = TokenBucket(spec.per_second, burst=spec.burst_size, now_ns=clock())
        self._waiting_maximum = waiting_maximum if spec.when_over is WhenOver.WAIT else 0
        self._clock = clock
        self._call_later = call_later
        self._observer = observer
        self._waiting: deque[tuple[Delivery[T], int]] = deque()
        self._timer: Timer | None = None
        self._releasing = False
        self._finished = False

    def admit(self, delivery: Delivery[T]) -> None:
        """Release an event, let it wait, or settle it."""
        if not self._waiting and self._bucket.take(self._clock()):
            self._release(delivery, waited_ns=0)
        elif len(self._waiting) < self._waiting_maximum:
            self._waiting.append((delivery, self._clock()))
            self._arm()
        else:
            delivery.ticket.end("throttle", OVER_RATE)

    def finish(self) -> None:
        """Complete once nothing waits: the source has completed."""
        self._finished = True
        self._complete()

    def stop(self) -> None:
        """Settle everything that waits: the subscription has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, deque()
        for delivery, _ in waiting:
            delivery.ticket.end("throttle", STOPPED)

    def _fire(self) -> None:
        """Release as many events as there are tokens, then wait for the next token."""
        self._timer = None
        # While releasing, an event that is admitted queues behind those that wait: the order holds.
        self._releasing = True
        try:
            while self._waiting and self._bucket.take(self._clock()):
                delivery, since_ns = self._waiting.popleft()
                self._release(delivery, waited_ns=self._clock() - since_ns)
        finally:
            self._releasing = False
            self._arm()
            self._complete()

    def _release(self, delivery: Delivery[T], *, waited_ns: int) -> None:
        waited_ms = waited_ns / NANOSECONDS_PER_MILLISECOND
        delivery.ticket.mark("throttle", {"throttle.wait_ms": waited_ms})
        self._observer.on_next(delivery)

    def _arm(self) -> None:
        if self._waiting and self._timer is None and not self._releasing:
            wait_seconds = self._bucket.wait_ns(self._clock()) / NANOSECONDS_PER_SECOND
            self._timer = self._call_later(wait_seconds, self._fire)

    def _complete(self) -> None:
        if self._finished and not self._waiting:
            self._finished = False
            self._observer.on_completed()


def throttle(
    spec: Throttle, *, waiting_maximum: int, clock: Clock, call_later: CallLater
) -> Operator[Delivery[T], Delivery[T]]:
    """Pass events no faster than ``spec`` allows, in the order in which they came.

    ::

        --abcd---------------|     a token a second, a burst of two
        throttle(spec, waiting_maximum=64, clock=clock, call_later=call_later)
        --ab--------c---------d|   with whenOver: end, c and d end throttled instead

    At most ``waiting_maximum`` events wait (the pipeline's credits, which are never exceeded), the rest end.
    ``call_later(seconds, callback)`` is the event loop's; a timer that fires early is set again. Completion waits
    for what waits. Disposing, and an error of the source, settle it as ``interrupted``.
    """

    def operator(source: Observable[Delivery[T]]) -> Observable[Delivery[T]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[T]], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            queue = ThrottleQueue(
                spec,
                waiting_maximum=waiting_maximum,
                clock=clock,
                call_later=call_later,
                observer=observer,
            )
            upstream = source.subscribe(
                queue.admit, observer.on_error, queue.finish, scheduler=scheduler
            )
            return CompositeDisposable(upstream, Disposable(queue.stop))

        return Observable(subscribe)

    return operator
