"""The dispatcher: delivers changes to all subscribers, and holds removals back until their reason is known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum
from itertools import islice

import msgspec

from operators.flow.backoff import Backoff
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.event import ObjectState, RemovalReason, Tombstone
from streams.cluster.errors import ClusterError
from streams.sources.informer.decode import DecodedObject, ObjectReader, UnreadableError
from streams.sources.informer.listing import ReadOrigin, ReflectorOutput
from streams.sources.informer.reflector import READ_BACKOFF, Reflector
from streams.sources.informer.store import ObjectChange, Store, is_older
from streams.sources.informer.subscription import Subscription
from streams.sources.informer.target import FORBIDDEN, NOT_FOUND, OK, TargetClient, WatchTarget

PENDING_MAXIMUM_BYTES = 16 * 1024 * 1024
"""What the last states of pending removals may take together; beyond it, removals are kept without their state."""
CHECKED_AT_ONCE = 8
"""GETs of removal checks in flight together; a session has more connections."""


class Freshness(Enum):
    """How a state that was read beside the watch relates to what was dispatched."""

    OLDER = "older"
    SAME = "same"
    NEWER = "newer"


class Dispatcher:
    """Delivers changes to subscribers; a removal that may be a mere departure from the selector is held back.

    Changes of one object are never delivered out of order: a change of an object whose removal is pending releases the
    removal first.
    """

    def __init__(
        self,
        target: WatchTarget,
        *,
        random: Callable[[], float],
        since_ns: int = 0,
    ) -> None:
        self.target = target
        self.since_ns = since_ns
        """When the informer was made (monotonic): resync periods count from here."""
        self.store = Store()
        self.reader = ObjectReader(is_metadata_only=target.is_metadata_only)
        self.reflector = Reflector(target, self.store, self.reader, random=random)
        self.subscriptions: tuple[Subscription, ...] = ()
        """Replaced, never changed: a handler may close subscriptions while a change is delivered."""
        self.pending_removals: dict[str, tuple[ObjectChange, ReadOrigin]] = {}
        """Removals whose reason is unknown, by key, the oldest first."""
        self.has_pending = asyncio.Event()
        self._pending_bytes = 0

    @property
    def version(self) -> str:
        """The newest version dispatched: the watch's, or that of a newer state read beside it."""
        watched, reread = self.reflector.version, self.store.newest_reread
        return reread if is_older(watched, reread) else watched

    def dispatch(self, output: ReflectorOutput, origin: ReadOrigin) -> None:
        """Deliver the changes of an output to every subscriber, in order; hold its removals back."""
        # No await in here, nor between the store's update and this call: what is in the store was delivered.
        for change in output.changes:
            if self.pending_removals:
                self._release_before(change)
            self._deliver(change, origin)
        for removal in output.removals:
            if self.pending_removals:
                self._release_before(removal)
            self._hold_back(removal, origin)
        if output.not_delivered:
            for subscription in self.subscriptions:
                subscription.read_counts.count_not_delivered(
                    origin, output.reason, count=output.not_delivered
                )

    def confirm_removal(self, key: str, *, alive_uid: str) -> None:
        """Deliver the pending removal of a key; the object left the selector if its uid still exists."""
        if key not in self.pending_removals:
            return
        removal, origin = self.pending_removals.pop(key)
        self._pending_bytes -= len(removal.raw)
        if removal.payload.uid == alive_uid:
            removal = _with_reason(removal, RemovalReason.LEFT_SELECTOR)
        self._deliver(removal, origin)

    def freshness(self, found: DecodedObject) -> Freshness:
        """Compare a state read beside the watch with what was dispatched.

        An unknown object is newer only if it is newer than everything the watch brought; else it was deleted since.
        """
        version = self.store.version(found.key)
        if not version:
            is_newer = is_older(self.reflector.version, found.version)
            return Freshness.NEWER if is_newer else Freshness.OLDER
        if version == found.version:
            return Freshness.SAME
        return Freshness.OLDER if is_older(found.version, version) else Freshness.NEWER

    def dispatch_newer(self, found: DecodedObject, origin: ReadOrigin) -> None:
        """Deliver a state newer than the watch to all subscribers; the watch's own line will be the duplicate."""
        if is_older(self.version, found.version):
            self.store.newest_reread = found.version
        self.dispatch(ReflectorOutput(self.store.observe(found)), origin)

    def _release_before(self, change: ObjectChange) -> None:
        payload = change.payload
        self.confirm_removal(
            change.key, alive_uid=payload.uid if isinstance(payload, ObjectState) else ""
        )

    def _deliver(self, change: ObjectChange, origin: ReadOrigin) -> None:
        for subscription in self.subscriptions:
            subscription.deliver(change, origin)

    def _hold_back(self, removal: ObjectChange, origin: ReadOrigin) -> None:
        if self._pending_bytes + len(removal.raw) > PENDING_MAXIMUM_BYTES:
            removal = msgspec.structs.replace(removal, raw=b"")
        self._pending_bytes += len(removal.raw)
        self.pending_removals[removal.key] = removal, origin
        self.has_pending.set()


class RemovalChecks:
    """The task that finds out the reasons of pending removals, the oldest first; unclear ones are retried last."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        client: TargetClient,
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._dispatcher = dispatcher
        self._client = client
        self._clock = clock
        self._backoff = Backoff(READ_BACKOFF, random=random)

    async def run(self) -> None:
        """Work until cancelled."""
        pending = self._dispatcher.pending_removals
        while True:
            await self._dispatcher.has_pending.wait()
            self._dispatcher.has_pending.clear()
            while pending:
                await self._check(tuple(islice(pending, CHECKED_AT_ONCE)))

    async def _check(self, keys: tuple[str, ...]) -> None:
        pending = self._dispatcher.pending_removals
        checked = {key: pending[key][0] for key in keys}
        uids = await uids_alive(self._client, self._dispatcher.reader, keys)
        for key, alive_uid in uids.items():
            # While the requests were in flight the removal may have been released, and another one be pending.
            if pending.get(key, (None,))[0] is not checked[key]:
                continue
            if alive_uid is not None:
                self._dispatcher.confirm_removal(key, alive_uid=alive_uid)
            else:  # others first, or a few without a clear response delay all
                pending[key] = pending.pop(key)
        if None in uids.values():
            wait_ns = self._backoff.next_ns(self._clock())
            await asyncio.sleep(wait_ns / NANOSECONDS_PER_SECOND)


def inferred_removal(store: Store, key: str, *, uid: str, alive_uid: str) -> ObjectChange:
    """Describe a removal whose line was not kept; an unknown uid is taken to be that of the existing object."""
    left = bool(alive_uid) and alive_uid == (uid or alive_uid)
    reason = RemovalReason.LEFT_SELECTOR if left else RemovalReason.DELETED
    return store.tombstone(key, uid=uid, reason=reason)


async def uids_alive(
    client: TargetClient, reader: ObjectReader, keys: Iterable[str]
) -> dict[str, str | None]:
    """Find out the uid of the object that has each name now: "" for none, None where the response is unclear.

    All GETs are in flight together: the caller bounds their number.
    """
    async with asyncio.TaskGroup() as tasks:
        requests = {key: tasks.create_task(_uid_alive(client, reader, key)) for key in keys}
    return {key: task.result() for key, task in requests.items()}


async def _uid_alive(client: TargetClient, reader: ObjectReader, key: str) -> str | None:
    """A forbidden GET counts as a deletion: that an object still exists is claimed only where it was seen."""
    try:
        response = await client.get_metadata(key)
    except ClusterError:
        return None
    if response.status in {NOT_FOUND, FORBIDDEN}:
        return ""
    if response.status != OK:
        return None
    try:
        return reader.read(response.body).uid
    except UnreadableError:
        return None


def _with_reason(removal: ObjectChange, reason: RemovalReason) -> ObjectChange:
    payload = removal.payload
    if isinstance(payload, Tombstone):
        payload = msgspec.structs.replace(payload, reason=reason)
    return msgspec.structs.replace(removal, payload=payload)
