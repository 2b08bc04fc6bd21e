"""The informer manager: provides shared informers, one for each watch target."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from operators.flow.capacity import Room
from operators.flow.clock import Clock
from operators.rules.paths import Head, Path
from streams.sources.informer.informer import DiscoverResource, Informer
from streams.sources.informer.subscription import (
    Handler,
    Subscription,
    SubscriptionOptions,
    always,
)
from streams.sources.informer.target import ReadClient, WatchTarget

log = logging.getLogger(__name__)


class InformerManager:
    """One list and one watch for each target; the first subscription starts them, the last one to close stops them."""

    def __init__(
        self,
        client: ReadClient,
        *,
        discover: DiscoverResource,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._client = client
        self._discover = discover
        self._clock = clock
        self._random = random
        self._running: dict[WatchTarget, tuple[Informer, asyncio.Task[None]]] = {}
        self._stopping: set[asyncio.Task[None]] = set()

    @property
    def informers(self) -> tuple[Informer, ...]:
        """The running informers."""
        return tuple(informer for informer, _ in self._running.values())

    @property
    def failures(self) -> list[BaseException]:
        """Why informers ended that were not stopped: defects, for the liveness probe."""
        return [error for _, task in self._running.values() if (error := task_failure(task))]

    def subscribe(
        self,
        target: WatchTarget,
        handler: Handler,
        *,
        room: Room,
        resync_seconds: float = 0.0,
        is_tracked: Callable[[str], bool] = always,
        head: type[Head] = Head,
        reads: frozenset[Path] = frozenset(),
    ) -> Subscription:
        """Deliver every change of a target to a handler, beginning with every object there is.

        The parameters are those of ``SubscriptionOptions``. ``head`` is one per resource: raises ``TypeError`` for one
        that does not fit that of the target's other subscribers.
        """
        options = SubscriptionOptions(room, resync_seconds, is_tracked, head, reads)
        if target not in self._running:
            self._running[target] = self._start(target)
        informer, _ = self._running[target]
        return informer.subscribe(handler, options=options, on_close=self._on_close)

    async def close(self) -> None:
        """Close all subscriptions, and wait until their informers have stopped."""
        for informer in self.informers:
            for subscription in informer.subscriptions:
                subscription.close()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    def _start(self, target: WatchTarget) -> tuple[Informer, asyncio.Task[None]]:
        informer = Informer(
            target,
            self._client,
            discover=self._discover,
            clock=self._clock,
            random=self._random,
        )
        task = asyncio.create_task(informer.run(), name=f"informer {target.resource}")
        task.add_done_callback(log_task_failure)
        return informer, task

    def _on_close(self, subscription: Subscription) -> None:
        informer, task = self._running[subscription.target]
        informer.unsubscribe(subscription)
        if not informer.subscriptions:
            # Removed before the task has ended: a subscription that comes now starts an informer of its own.
            del self._running[subscription.target]
            task.cancel()
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)


def task_failure(task: asyncio.Task[None]) -> BaseException | None:
    """Why a task ended that works until it is cancelled; None while it works, and once it is cancelled."""
    return task.exception() if task.done() and not task.cancelled() else None


def log_task_failure(task: asyncio.Task[None]) -> None:
    """Log why such a task ended; a callback of its end, since nothing may await it."""
    error = task_failure(task)
    if error is not None:
        log.error("task failed", exc_info=error, extra={"task": task.get_name()})
