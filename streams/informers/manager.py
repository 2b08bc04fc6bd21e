"""The informer manager: hands out shared informers, one for each selection of a resource."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from operators.clock import NANOSECONDS_PER_SECOND, Clock
from operators.room import Room
from streams.informers.informer import Discover, Informer
from streams.informers.notice import Watched
from streams.informers.reader import Reader
from streams.informers.reread import Rereader
from streams.informers.subscription import Handler, Subscription


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
        self._running: dict[Watched, tuple[Informer, Rereader, asyncio.Task[None]]] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def informers(self) -> tuple[Informer, ...]:
        """The informers at work."""
        return tuple(informer for informer, _, _ in self._running.values())

    @property
    def failures(self) -> list[BaseException]:
        """Why informers died that should not have: defects, for the liveness probe."""
        ended = [task for _, _, task in self._running.values() if task.done()]
        return [error for task in ended if not task.cancelled() and (error := task.exception())]

    def subscribe(
        self, watched: Watched, handler: Handler, *, room: Room, resync_seconds: float = 0.0
    ) -> Subscription:
        """Tell a handler of every change, beginning with every object there is.

        The handler is called on the loop, at once, and must neither block nor keep the notice. A late subscriber
        gets a list of its own. ``resync_seconds`` > 0 tells of every object again that often.
        """
        if watched not in self._running:
            self._running[watched] = self._start(watched)
        informer, rereader, _ = self._running[watched]
        subscription = Subscription(
            watched,
            handler,
            room=room,
            resync_seconds=resync_seconds,
            store=informer.store,
            reflector=informer.reflector,
            wake=rereader.wake,
        )
        subscription.kind = informer.kind
        subscription.on_close = self._closed
        subscription.is_late = informer.reflector.has_begun
        if resync_seconds > 0:
            subscription.next_resync_ns = self._clock() + int(
                resync_seconds * NANOSECONDS_PER_SECOND
            )
        informer.subscriptions.append(subscription)
        rereader.wake()
        return subscription

    async def close(self) -> None:
        """Stop all informers."""
        running = list(self._running.values())
        for informer, _, _ in running:
            for subscription in tuple(informer.subscriptions):
                subscription.close()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    def _start(self, watched: Watched) -> tuple[Informer, Rereader, asyncio.Task[None]]:
        informer = Informer(
            watched,
            self._reader,
            discover=self._discover,
            clock=self._clock,
            random=self._random,
        )
        rereader = Rereader(informer, clock=self._clock)
        task = asyncio.create_task(_work(informer, rereader), name=f"informer {watched.resource}")
        return informer, rereader, task

    def _closed(self, subscription: Subscription) -> None:
        informer, _, task = self._running[subscription.watched]
        informer.subscriptions.remove(subscription)
        if not informer.subscriptions:
            del self._running[subscription.watched]
            task.cancel()
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


async def _work(informer: Informer, rereader: Rereader) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(informer.run())
        tasks.create_task(rereader.run())
