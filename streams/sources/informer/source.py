"""The informer as a source: a change becomes a raw event, and an event that found no room is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextvars import Context

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from operators.flow.delivery import Admission
from operators.model.event import ObjectState, RawEvent, Tombstone
from operators.model.outcome import Ending, Outcome, Suspension
from operators.rules.paths import Head
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.subscription import Subscription, SubscriptionOptions
from streams.sources.informer.target import WatchTarget
from streams.sources.source import ResubscribedError, SourceStatus


class InformerSource:
    """One subscription as an observable of admissions; made by subscribing to it, closed by disposing.

    It counts the events in flight by key, at most as many as the pipeline has room for: a removal without room is
    tracked for those too. ``options.is_tracked`` need only cover the Observations.
    """

    kind = "informer"

    def __init__(
        self,
        manager: InformerManager,
        target: WatchTarget,
        *,
        name: str,
        options: SubscriptionOptions,
        now_ns: Callable[[], int],
    ) -> None:
        """``name`` is ``RawEvent.source``; ``now_ns`` reads the wall clock in nanoseconds since 1970, UTC."""
        self._manager = manager
        self._target = target
        self._name = name
        self._options = options
        self._now_ns = now_ns
        self._in_flight: dict[str, int] = {}
        self.subscription: Subscription | None = None
        """The source's share in an informer; None before ``events`` is subscribed to."""
        self._is_used = False
        self._subscribed = asyncio.Event()
        self._emit: Callable[[Admission], None] = _discard
        self._settled = self._on_settled  # one bound method for all events

    @property
    def events(self) -> Observable[Admission]:
        """Every change as an event; to be subscribed to once, else it ends with ``ResubscribedError``."""
        return Observable(self._subscribe)

    async def synced(self) -> None:
        """Wait until every object there was at the start was emitted, or marked to be read again."""
        await self._subscribed.wait()
        if self.subscription is not None:
            await self.subscription.synced.wait()

    def stop_intake(self) -> None:
        """Emit nothing any more; events in flight still settle."""
        self._emit = _discard
        self._is_used = True
        if self.subscription is not None:
            self.subscription.close()

    def status(self) -> SourceStatus:
        """What metrics, probes and conditions read of the source."""
        subscription = self.subscription
        if subscription is None:
            return SourceStatus(self.kind, up=False, synced=False)
        condition = subscription.condition
        return SourceStatus(
            self.kind,
            up=subscription.up,
            synced=subscription.synced.is_set(),
            reason=condition.reason if condition is not None else "",
            message=condition.message if condition is not None else "",
            known_objects=subscription.known_objects,
            dirty_objects=subscription.dirty_objects,
            last_activity_ns=subscription.last_activity_ns,
            resource_version=subscription.resource_version,
            handler_errors=subscription.handler_errors,
            counters=subscription.counters,
        )

    def request_reread(self, key: str, *, after: Suspension | None = None, uid: str = "") -> None:
        """Have the object of a key read and emitted again, once ``after`` has ended if that is given.

        ``uid`` is that of an object which was removed, here or while no source ran.
        """
        if self.subscription is not None:
            self.subscription.mark_dirty(key, after, uid=uid)

    def knows(self, key: str) -> bool:
        """Whether there is such an object."""
        return self.subscription is not None and self.subscription.knows(key)

    def keys(self) -> Collection[str]:
        """The keys (``namespace/name``) of all objects, as a live view."""
        return self.subscription.keys() if self.subscription is not None else ()

    def reenter(self, event: RawEvent) -> bool:
        """Emit an event whose state is to be classified again; returns False once the source is closed."""
        subscription = self.subscription
        if subscription is None or subscription.closed:
            return False
        subscription.read_counts.count_timer_reentry()
        self._admit(event, subscription.head_of(event.raw))
        return True

    def notify_resumed(self) -> None:
        """Read again what waits for suspensions that have ended."""
        if self.subscription is not None:
            self.subscription.notify_resumed()

    def _subscribe(
        self,
        observer: abc.ObserverBase[Admission],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002  Rx's signature
    ) -> abc.DisposableBase:
        if self._is_used:
            raise ResubscribedError(self._name)
        self._is_used = True
        # Before the subscription: it may deliver as soon as it exists.
        self._emit = observer.on_next
        options = self._options
        self.subscription = self._manager.subscribe(
            self._target,
            self._on_change,
            room=options.room,
            resync_seconds=options.resync_seconds,
            is_tracked=self._is_tracked,
            head=options.head,
            reads=options.reads,
        )
        self._subscribed.set()
        return Disposable(self.stop_intake)

    def _on_change(self, change: ObjectChange) -> None:
        event = RawEvent(
            self._name,
            self._now_ns(),
            change.key or None,
            change.subject,
            change.payload,
            change.raw,
        )
        self._admit(event, change.head)

    def _admit(self, event: RawEvent, head: Head | None) -> None:
        key, count = event.key, 0
        if key is not None:
            # Before it is emitted: it may settle at once.
            count = self._in_flight.get(key, 0)
            self._in_flight[key] = count + 1
        try:
            # An empty context: the informer's task has that of its first subscriber, and keeps what a handler sets.
            Context().run(self._emit, Admission(event, self._settled, head=head))
        except Exception:
            # What a defect of the pipeline ended is never settled: it would be tracked for ever.
            if key is not None and self._in_flight.get(key, 0) > count:
                self._leave(key)
            raise

    def _leave(self, key: str) -> None:
        left = self._in_flight.pop(key, 1) - 1
        if left:
            self._in_flight[key] = left

    def _on_settled(self, event: RawEvent, outcome: Outcome) -> None:
        key = event.key
        if key is None:
            return
        self._leave(key)
        if outcome.ending is Ending.COALESCED and outcome.must_reread:
            payload = event.payload
            uid = payload.uid if isinstance(payload, ObjectState | Tombstone) else ""
            self.request_reread(key, after=outcome.suspension, uid=uid)

    def _is_tracked(self, key: str) -> bool:
        return key in self._in_flight or self._options.is_tracked(key)


def _discard(_: Admission) -> None:
    """Placeholder for an observer before there is one, and after it was disposed of."""
