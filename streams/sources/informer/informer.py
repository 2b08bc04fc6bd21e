"""One informer: a reflector at work over a client, shared by all subscribers of one target.

Reading never waits for a subscriber: delivery is a plain call, and an object without room is sent again later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.event import ApiResource
from streams.cluster.errors import (
    ClusterError,
    CredentialsRefusedError,
    DiscoveryError,
    IdleTimeoutError,
    ResponseTooLargeError,
)
from streams.sources.informer.decode import LineSplitter
from streams.sources.informer.dispatcher import Dispatcher, RemovalChecks
from streams.sources.informer.listing import OBJECTS_AT_ONCE, ReadOrigin
from streams.sources.informer.reflector import (
    Discover,
    Fault,
    ListPage,
    OpenWatch,
    Step,
    Wait,
    fault_of,
)
from streams.sources.informer.rereader import Rereader
from streams.sources.informer.subscription import Handler, Subscription, SubscriptionOptions
from streams.sources.informer.target import (
    OK,
    ReadClient,
    ReadStream,
    TargetClient,
    WatchTarget,
)

log = logging.getLogger(__name__)

DiscoverResource = Callable[[WatchTarget], Awaitable[ApiResource | None]]
"""Finds out what a resource is; None where the server does not serve it now. Raises a ``ClusterError``."""


class Informer:
    """Lists and watches one target, and delivers its changes to subscribers."""

    def __init__(
        self,
        target: WatchTarget,
        client: ReadClient,
        *,
        discover: DiscoverResource,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self.target = target
        self._dispatcher = Dispatcher(target, random=random, since_ns=clock())
        self._reflector = self._dispatcher.reflector
        self._client = TargetClient(target, client)
        self._rereader = Rereader(self._dispatcher, self._client, clock=clock, random=random)
        self._checks = RemovalChecks(self._dispatcher, self._client, clock=clock, random=random)
        self._discover = discover
        self._clock = clock
        self._logged_reason = ""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """The subscriptions that are not closed."""
        return self._dispatcher.subscriptions

    def subscribe(
        self,
        handler: Handler,
        *,
        options: SubscriptionOptions,
        on_close: Callable[[Subscription], None],
    ) -> Subscription:
        """Add a subscription; one that comes late gets a list of its own.

        Raises ``TypeError`` for a head that does not fit the other subscribers' (``ObjectReader.extend``).
        """
        # Before the subscription exists: every object it gets was decoded with what it reads.
        self._dispatcher.reader.extend(options.head, options.reads)
        subscription = Subscription(
            self._reflector,
            handler,
            options=options,
            dispatched_version=self._dispatcher.version,
            wake=self._rereader.wake,
            on_close=on_close,
        )
        subscription.schedule_resync(self._clock(), since_ns=self._dispatcher.since_ns)
        self._dispatcher.subscriptions = (*self._dispatcher.subscriptions, subscription)
        self._rereader.wake()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a subscription."""
        self._dispatcher.subscriptions = tuple(
            one for one in self._dispatcher.subscriptions if one is not subscription
        )

    async def run(self) -> None:
        """Work until cancelled; any other end is a defect."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reflect(), name="reflector")
            tasks.create_task(self._rereader.run(), name="rereader")
            tasks.create_task(self._checks.run(), name="removal checks")

    async def _reflect(self) -> None:
        while True:
            step = self._reflector.next_step(self._clock())
            try:
                await self._take(step)
            except IdleTimeoutError:
                self._reflector.on_idle()
            except CredentialsRefusedError as error:
                self._reflector.on_failure(Fault.UNAUTHORIZED, str(error), now_ns=self._clock())
            except DiscoveryError as error:
                fault = fault_of(error.status, reason="", message="")
                self._reflector.on_failure(fault, str(error), now_ns=self._clock())
            except ResponseTooLargeError as error:
                self._reflector.on_page_too_large(str(error), self._clock())
            except ClusterError as error:
                self._reflector.on_connection_lost(str(error), self._clock())
            self._log_condition()

    async def _take(self, step: Step) -> None:
        match step:
            case Wait(until_ns):
                await asyncio.sleep((until_ns - self._clock()) / NANOSECONDS_PER_SECOND)
            case Discover():
                await self._discover_resource()
            case ListPage(query):
                await self._list(query)
            case OpenWatch(query):
                async with self._client.watch(query) as response:
                    await self._watch(response)

    async def _discover_resource(self) -> None:
        target = self.target
        resource = await self._discover(target)
        if resource is None:
            where = f"{target.group}/{target.version}".lstrip("/")
            message = f"the server has no {target.resource} in {where}"
            self._reflector.on_failure(Fault.KIND_MISSING, message, now_ns=self._clock())
            return
        # Before the first request that depends on it: a cluster-scoped resource has another path.
        self._client.resource = resource
        self._reflector.on_discovered(resource)

    async def _list(self, query: dict[str, str]) -> None:
        response = await self._client.list_page(query)
        if response.status != OK:
            self._reflector.on_error_response(
                response.status,
                response.body,
                now_ns=self._clock(),
                retry_after_seconds=response.retry_after_seconds,
            )
            return
        for output in self._reflector.on_page(response.body, self._clock()):
            # No await between the step of the iterator, which updates the store, and the dispatch.
            self._dispatcher.dispatch(output, ReadOrigin.LIST)
            await asyncio.sleep(0)
        if self._reflector.synced:
            for subscription in self.subscriptions:
                if not subscription.is_late:
                    subscription.synced.set()

    async def _watch(self, response: ReadStream) -> None:
        reflector, clock = self._reflector, self._clock
        if response.status != OK:
            whole = await response.read_response()
            reflector.on_error_response(
                whole.status,
                whole.body,
                now_ns=clock(),
                retry_after_seconds=whole.retry_after_seconds,
            )
            return
        reflector.on_watch_opened(clock())
        self._log_condition()
        self._rereader.wake()
        splitter = LineSplitter()
        async for chunk in response.chunks():
            for number, line in enumerate(splitter.split(chunk), start=1):
                # No await between the reflector's update of the store and the dispatch.
                self._dispatcher.dispatch(reflector.on_line(line, clock()), ReadOrigin.LINE)
                if not reflector.is_watching:
                    return
                if number % OBJECTS_AT_ONCE == 0:
                    await asyncio.sleep(0)
        reflector.on_watch_ended(clock())

    def _log_condition(self) -> None:
        """Log why reading fails, once for each reason, and when it works again."""
        condition = self._reflector.condition
        reason = condition.reason if condition is not None else ""
        if reason == self._logged_reason:
            return
        self._logged_reason = reason
        resource = f"{self.target.resource}.{self.target.group}".rstrip(".")
        about = {"resource": resource, "namespace": self.target.namespace}
        if condition is None:
            log.info("watch recovered", extra=about)
        else:
            log.warning(
                "watch failed", extra={**about, "reason": reason, "detail": condition.message}
            )
