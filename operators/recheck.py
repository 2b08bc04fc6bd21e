"""Recheck: classify an unchanged object again at the time that its decoder named.

A state may depend on the clock ("not ready for more than 300 s"). The event that was classified is kept until then and
re-enters the source as an event of its own (``Change.TIMER``), so that it is counted, ordered and coalesced like any
other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import ceil

from msgspec.structs import replace
from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from operators.flow.clock import CallLater, Timer, WallClock
from operators.flow.delivery import Admission, Delivery, Operator
from operators.model.event import Change, ObjectState, RawEvent
from operators.model.observation import Classified, Removal

GRID_SECONDS = 10
"""Times are rounded up to this grid, so that many rechecks share one timer."""
CAPACITY_BYTES = 32 * 1024 * 1024
"""Kept events of one source; beyond it only key and time are kept, and the object is read again."""
BATCH = 100
"""Events re-entered before the loop runs other callbacks."""
_NANOSECONDS = 1_000_000_000

ClassifiedDelivery = Delivery[Classified | Removal]


class RecheckTimer:
    """The pending rechecks of one source by key, at most one a key: a newer state or a tombstone cancels it.

    ``reenter`` emits an event through the source again; ``request_reread`` marks the key of an event whose bytes
    were not kept. Bounded by the known objects and by ``capacity_bytes``.
    """

    def __init__(
        self,
        *,
        now: WallClock,
        call_later: CallLater,
        reenter: Callable[[RawEvent], object],
        request_reread: Callable[[str], None],
        capacity_bytes: int = CAPACITY_BYTES,
    ) -> None:
        self.bytes = 0
        self._now = now
        self._call_later = call_later
        self._reenter = reenter
        self._request_reread = request_reread
        self._capacity_bytes = capacity_bytes
        self._pending: dict[str, tuple[int, RawEvent | None]] = {}
        self._due: dict[int, dict[str, None]] = {}
        self._timer: Timer | None = None
        self._timer_at = 0
        self._stopped = False

    def __len__(self) -> int:
        """How many rechecks are pending."""
        return len(self._pending)

    def schedule(self, event: RawEvent, at: datetime) -> None:
        """Schedule the recheck of an event's key, in place of a pending one; one without a key is not rechecked."""
        key = event.key
        if key is None or self._stopped:
            return
        self.cancel(key)
        # Never in the past: a decoder that names a time that has passed would have its event re-entered for ever.
        seconds = max(at.timestamp(), self._now().timestamp())
        due = ceil(seconds / GRID_SECONDS) * GRID_SECONDS
        kept = event if self.bytes + event.size_bytes <= self._capacity_bytes else None
        if kept is not None:
            self.bytes += kept.size_bytes
        self._pending[key] = due, kept
        self._due.setdefault(due, {})[key] = None
        self._arm()

    def cancel(self, key: str) -> None:
        """Cancel the pending recheck of a key, if there is one."""
        pending = self._pending.pop(key, None)
        if pending is None:
            return
        due, kept = pending
        if kept is not None:
            self.bytes -= kept.size_bytes
        keys = self._due[due]
        del keys[key]
        if not keys:
            del self._due[due]

    def stop(self) -> None:
        """Cancel everything; nothing is scheduled any more."""
        self._stopped = True
        self._pending.clear()
        self._due.clear()
        self.bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def cancel_outdated(self) -> Operator[Admission, Admission]:
        """Cancel the recheck of each key of which the source emits something newer; stop when the subscription ends."""

        def operator(source: Observable[Admission]) -> Observable[Admission]:
            def subscribe(
                observer: abc.ObserverBase[Admission], scheduler: abc.SchedulerBase | None = None
            ) -> abc.DisposableBase:
                emit, pending = observer.on_next, self._pending

                def on_next(admission: Admission) -> None:
                    key = admission.event.key
                    # At admission, not at classify: a kept state must not replace a newer one that waits in the buffer.
                    if key is not None and key in pending:
                        self.cancel(key)
                    emit(admission)

                upstream = source.subscribe(
                    on_next, observer.on_error, observer.on_completed, scheduler=scheduler
                )
                return CompositeDisposable(upstream, Disposable(self.stop))

            return Observable(subscribe)

        return operator

    def schedule_named(self) -> Operator[ClassifiedDelivery, ClassifiedDelivery]:
        """Schedule what names a ``recheck_at``; not an event of whose key a newer one was admitted."""

        def operator(source: Observable[ClassifiedDelivery]) -> Observable[ClassifiedDelivery]:
            def subscribe(
                observer: abc.ObserverBase[ClassifiedDelivery],
                scheduler: abc.SchedulerBase | None = None,
            ) -> abc.DisposableBase:
                emit = observer.on_next

                def on_next(delivery: ClassifiedDelivery) -> None:
                    value = delivery.value
                    # A newer event that waits, or was spilled, was admitted before this and could not cancel it.
                    if (
                        isinstance(value, Classified)
                        and value.recheck_at is not None
                        and not delivery.ticket.outdated
                    ):
                        self.schedule(value.event, value.recheck_at)
                    emit(delivery)

                return source.subscribe(
                    on_next, observer.on_error, observer.on_completed, scheduler=scheduler
                )

            return Observable(subscribe)

        return operator

    def _arm(self) -> None:
        if not self._due or self._stopped:
            return
        first = min(self._due)
        if self._timer is not None:
            if self._timer_at <= first:
                return
            self._timer.cancel()
        self._timer_at = first
        wait_seconds = max(0.0, first - self._now().timestamp())
        self._timer = self._call_later(wait_seconds, self._fire)

    def _fire(self) -> None:
        self._timer = None
        now = self._now()
        now_seconds = now.timestamp()
        left = BATCH
        try:
            while self._due and left and (first := min(self._due)) <= now_seconds:
                left -= 1
                self._come_due(next(iter(self._due[first])), now)
        finally:
            # Also if one raises: without a timer all other rechecks would never run.
            self._arm()

    def _come_due(self, key: str, now: datetime) -> None:
        _, kept = self._pending[key]
        # Removed before it re-enters: re-entering cancels the pending recheck of its key.
        self.cancel(key)
        if kept is None:
            self._request_reread(key)
        else:
            self._reenter(_reentered(kept, now))


def _reentered(event: RawEvent, now: datetime) -> RawEvent:
    """The kept event as a new one of origin timer, received now."""
    payload = event.payload
    if isinstance(payload, ObjectState):
        payload = replace(payload, change=Change.TIMER)
    received_at_ns = int(now.timestamp() * _NANOSECONDS)
    return replace(event, payload=payload, received_at_ns=received_at_ns)
