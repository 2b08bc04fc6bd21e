"""The informer manager: hands out shared informers, one for each selection of a resource."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from operators.flow.capacity import Room
from operators.flow.clock import Clock
from streams.sources.informer.defects import defect_of, log_defect
from streams.sources.informer.informer import Discover, Informer
from streams.sources.informer.notice import Watched
from streams.sources.informer.reader import Reader
from streams.sources.informer.subscription import Handler, Subscription


def always(_: str) -> bool:
    """Every departure matters."""
    return True


class InformerManager:
    """One watch for all who watch the same; the first subscriber starts it, the last one stops it."""

    def __init__(
        self,
        reader: Reader,
        *,
        discover: Discover,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._reader = reader
        self._discover = discover
        self._clock = clock
        self._random = random
        self._running: dict[Watched, tuple[Informer, asyncio.Task[None]]] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def informers(self) -> tuple[Informer, ...]:
        """The informers at work."""
        return tuple(informer for informer, _ in self._running.values())

    @property
    def failures(self) -> list[BaseException]:
        """Why informers died that should not have: defects, for the liveness probe."""
        return [error for _, task in self._running.values() if (error := defect_of(task))]

    def subscribe(
        self,
        watched: Watched,
        handler: Handler,
        *,
        room: Room,
        resync_seconds: float = 0.0,
        matters: Callable[[str], bool] = always,
    ) -> Subscription:
        """Tell a handler of every change, beginning with every object there is.

        ``resync_seconds`` > 0 tells of every object again that often. ``room`` is asked before anything is
        read again; ``matters`` is asked whether a departure that found no room is worth telling again. It must say
        so of an object that is remembered downstream, or has an event on the way.
        """
        if watched not in self._running:
            self._running[watched] = self._start(watched)
        informer, _ = self._running[watched]
        return informer.subscribe(
            handler,
            room=room,
            resync_seconds=resync_seconds,
            matters=matters,
            on_close=self._closed,
        )

    async def close(self) -> None:
        """Close all subscriptions, and wait until their informers have stopped."""
        for informer in self.informers:
            for subscription in informer.subscriptions:
                subscription.close()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    def _start(self, watched: Watched) -> tuple[Informer, asyncio.Task[None]]:
        informer = Informer(
            watched,
            self._reader,
            discover=self._discover,
            clock=self._clock,
            random=self._random,
        )
        task = asyncio.create_task(informer.run(), name=f"informer {watched.resource}")
        task.add_done_callback(log_defect)
        return informer, task

    def _closed(self, subscription: Subscription) -> None:
        informer, task = self._running[subscription.watched]
        informer.unsubscribe(subscription)
        if not informer.subscriptions:
            del self._running[subscription.watched]
            task.cancel()
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
