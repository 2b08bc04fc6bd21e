"""The informer as a source: a notice becomes a raw event, and what found no room is marked to be read again."""

from __future__ import annotations

from collections.abc import Callable

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from operators.flow.capacity import Room
from operators.model.event import Kind, RawEvent
from operators.model.outcome import Outcome, is_spilled
from streams.sources.informer.manager import InformerManager, always
from streams.sources.informer.notice import Notice, Watched
from streams.sources.informer.subscription import Subscription


class InformerSource:
    """One subscription as an observable of raw events; it is made by subscribing, and closed by disposing.

    It counts the events of each subject that have not ended yet, as many as the pipeline has room for: a departure
    matters to those too.
    """

    def __init__(
        self,
        manager: InformerManager,
        watched: Watched,
        *,
        room: Room,
        resync_seconds: float,
        matters: Callable[[str], bool],
    ) -> None:
        self.subscription: Subscription | None = None
        self._manager = manager
        self._watched = watched
        self._room = room
        self._resync_seconds = resync_seconds
        self._remembers = matters
        self._open: dict[str, int] = {}

    @property
    def events(self) -> Observable[RawEvent]:
        """Every change as a raw event; subscribe once."""
        return Observable(self._subscribe)

    def _subscribe(
        self,
        observer: abc.ObserverBase[RawEvent],
        scheduler: abc.SchedulerBase | None = None,  # noqa: ARG002  Rx's signature
    ) -> abc.DisposableBase:
        emit = observer.on_next

        def handle(notice: Notice) -> None:
            event = self._event(notice)
            key = event.key
            self._open[key] = self._open.get(key, 0) + 1
            emit(event)

        subscription = self._manager.subscribe(
            self._watched,
            handle,
            room=self._room,
            resync_seconds=self._resync_seconds,
            matters=self._matters,
        )
        self.subscription = subscription
        return Disposable(subscription.close)

    def _event(self, notice: Notice) -> RawEvent:
        return RawEvent(
            self._kind(),
            notice.change,
            notice.namespace,
            notice.name,
            notice.uid,
            notice.version,
            notice.raw,
            notice.initial,
            notice.final_state_unknown,
            notice.departure,
            self._acknowledge,
        )

    def _kind(self) -> Kind:
        kind = self.subscription.kind if self.subscription is not None else None
        if kind is None:
            raise AssertionError("nothing is told before the kind is known")
        return kind

    def _acknowledge(self, event: RawEvent, outcome: Outcome) -> None:
        key = event.key
        left = self._open.pop(key) - 1
        if left:
            self._open[key] = left
        if is_spilled(outcome) and self.subscription is not None:
            self.subscription.mark_dirty(key, outcome.hold, uid=event.uid)

    def _matters(self, key: str) -> bool:
        return key in self._open or self._remembers(key)


def informer_source(
    manager: InformerManager,
    watched: Watched,
    *,
    room: Room,
    resync_seconds: float = 0.0,
    matters: Callable[[str], bool] = always,
) -> InformerSource:
    """Make a source of what an informer tells; the parameters are those of ``InformerManager.subscribe``.

    ``matters`` need only say what is remembered downstream: the source knows what is on the way.
    """
    return InformerSource(
        manager, watched, room=room, resync_seconds=resync_seconds, matters=matters
    )
