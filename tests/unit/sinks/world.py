"""A write queue over a scripted API server, on a clock that moves only while the queue waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from operators.flow.delivery import Delivery, Ledger, Ticket
from operators.model.event import ObjectRef, RemovalReason
from operators.model.identity import (
    EventIdentity,
    Identity,
    IngesterKey,
    OccurrenceIdentity,
    observation_name,
)
from operators.model.observation import (
    Classified,
    EventEvidence,
    Observation,
    Occurrence,
    Removal,
    Window,
)
from operators.model.outcome import Outcome
from operators.model.state import ObservationState, StoredObservation
from operators.reconcile import ReconcilePolicy, Upsert, reconcile
from sinks.observations import ObservationExecutor, Owner, manifest
from sinks.queue import QueueContext, Suspensions, WriteQueue
from sinks.responses import WriteResponse
from sinks.retry import OCCURRENCES, Retry
from sinks.sink import Executor
from tests.kit.doubles import ScriptedWriter
from tests.kit.raw_events import EVENTS, object_event

SECOND = 1_000_000_000
NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
MOMENT = "2026-11-20T06:00:00Z"
T0 = "2026-11-20T05:00:00Z"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWNER = Owner(IngesterKey("n", "ingester"), 604_800)
QUOTA = WriteResponse(403, reason="Forbidden", message="forbidden: exceeded quota: tests")
NOT_FOUND = WriteResponse(404, reason="NotFound", message='observations "x" not found')
PATIENCE_SECONDS = 5.0


class World:
    """A queue and everything around it; ``random`` 0 makes each wait the shortest of its range, 1 the longest."""

    def __init__(
        self,
        *responses: WriteResponse,
        executor: Executor | None = None,
        policy: ReconcilePolicy | None = None,
        retry: Retry = OCCURRENCES,
        random: float = 0.0,
        resolved_entries: int = 1000,
    ) -> None:
        self.now_ns = 0
        self.moment = NOW
        self.wall_moves = False
        """Whether the wall clock moves while the queue waits, too."""
        self.slept: list[float] = []
        self.while_asleep: Callable[[], Awaitable[None]] | None = None
        self.resumed = 0
        self.writer = ScriptedWriter(*responses)
        self.state = ObservationState(resolved_entries=resolved_entries)
        self.ledger = Ledger()
        self.suspensions = Suspensions(lambda: self.now_ns, on_resumed=self._on_resumed)
        self.queue = WriteQueue(
            executor or ObservationExecutor(self.writer, owner=OWNER),
            self.state,
            policy=policy or ReconcilePolicy(),
            context=QueueContext(
                self.suspensions,
                clock=lambda: self.now_ns,
                now=lambda: self.moment,
                random=lambda: random,
                sleep=self._sleep,
            ),
            retry=retry,
        )

    def accept(self, value: Observation | Removal) -> Ticket:
        """Pass one value to the queue."""
        ticket = Ticket(self.ledger, lambda: self.now_ns)
        self.queue.accept(Delivery(value, ticket))
        return ticket

    async def settled(self, *tickets: Ticket) -> list[Outcome]:
        """Wait until all are settled; return how they ended."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            for ticket in tickets:
                settled = asyncio.Event()
                ticket.when_settled(lambda _, settled=settled: settled.set())
                if ticket.outcome is None:
                    await settled.wait()
        assert self.ledger.balance == 0
        return [ticket.outcome for ticket in tickets if ticket.outcome is not None]

    async def end(self, value: Observation | Removal) -> Outcome:
        """Pass one value to the queue and wait until it is settled."""
        (outcome,) = await self.settled(self.accept(value))
        return outcome

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.writer.asked]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """The resources that were sent."""
        return [msgspec.json.decode(body) for body in self.writer.bodies]

    @property
    def specs(self) -> list[dict[str, Any]]:
        return [body["spec"] for body in self.bodies]

    def known(self, of: Observation | Removal) -> StoredObservation:
        """What is known of an Observation that must be known."""
        stored = self.state.get(of.identity)
        assert stored is not None
        return stored

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_ns += int(seconds * SECOND)
        if self.wall_moves:
            self.moment += timedelta(seconds=seconds)
        await asyncio.sleep(0)
        if self.while_asleep is not None:
            await self.while_asleep()

    def _on_resumed(self) -> None:
        self.resumed += 1


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a scene, which must leave no task behind."""

    async def main() -> None:
        await scene()
        # A queue that just settled its last delivery ends with the step that settled it.
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def identity_of(name: str = "x", *, namespace: str = "n") -> Identity:
    return Identity(OWNER.ingester, "", "example.org", "widgets", namespace, name)


def observation(
    name: str = "x",
    *,
    namespace: str = "n",
    fingerprint: str = "f",
    severity: str = "high",
    version: str = "1",
    title: str = "a title",
    resync: bool = False,
) -> Observation:
    """The state of a subject."""
    event = object_event(name, namespace=namespace, uid=f"uid-{name}", version=version)
    identity = identity_of(name, namespace=namespace)
    subject = ObjectRef("example.org/v1", "Widget", namespace, name)
    classified = Classified(
        event,
        subject,
        severity=severity,
        category="security",
        identity=identity,
        namespace=namespace,
        source="s",
    )
    return Observation(classified, identity, namespace, title, fingerprint, {"a": 1}, resync=resync)


def counted(
    event: str = "a", count: int = 1, *, last_seen: str = MOMENT, fingerprint: str = "f"
) -> Observation:
    """A Kubernetes Event of the pod ``x`` in the namespace ``n``."""
    identified = EventIdentity("uid-x", "BackOff", "Warning", "kubelet", "crash")
    identity = Identity(OWNER.ingester, "", "", "events", "n", "", event=identified)
    classified = Classified(
        object_event(event, resource=EVENTS, namespace="n", uid=f"uid-{event}"),
        ObjectRef("v1", "Pod", "n", "x"),
        severity="high",
        category="operations",
        evidence=EventEvidence(identified, event, count, last_seen),
        identity=identity,
        namespace="n",
        source="s",
    )
    return Observation(classified, identity, "n", "back-off", fingerprint, {"a": 1})


def occurred(
    name: str = "x",
    *,
    version: str = "7",
    start: datetime = NOW,
    seconds: float = 60.0,
) -> Observation:
    """An occurrence that opened its window."""
    made = observation(name, version=version, fingerprint="key")
    occurrence = Occurrence(f"uid-{name}", version)
    made.identity = msgspec.structs.replace(
        made.identity, occurrence=OccurrenceIdentity("key", occurrence.opened)
    )
    occurrence.window = Window(
        "key",
        observation_name(made.identity, readable=name),
        start,
        start + timedelta(seconds=seconds),
    )
    made.occurrence = occurrence
    return made


def removal(
    name: str = "x",
    *,
    namespace: str = "n",
    reason: RemovalReason = RemovalReason.DELETED,
    rule: str = "",
) -> Removal:
    """The end of a subject."""
    subject = ObjectRef("example.org/v1", "Widget", namespace, name)
    return Removal(identity_of(name, namespace=namespace), namespace, subject, reason, rule)


def name_of(value: Observation) -> str:
    """The name of an Observation that is written for the first time."""
    change = upsert_of(value)
    return change.name


def upsert_of(value: Observation, stored: StoredObservation | None = None) -> Upsert:
    """The change that writes a value whole."""
    state = ObservationState()
    if stored is not None:
        state.put(value.identity, stored)
    change = reconcile(value, state, policy=ReconcilePolicy(), now=NOW)
    assert isinstance(change, Upsert)
    return change


def stored_of(value: Observation, **fields: Any) -> StoredObservation:
    """What is known of a value that was written an hour before."""
    known: dict[str, Any] = {
        "fingerprint": value.fingerprint,
        "first_seen": T0,
        "last_seen": T0,
        "name": name_of(value),
    }
    return StoredObservation(**(known | fields))


def read_of(value: Observation, stored: StoredObservation, *, version: str = "7") -> WriteResponse:
    """The response to a GET of an Observation that is as ``stored``."""
    change = Upsert(value.identity, value, stored)
    body = manifest(change, OWNER)
    body["metadata"] |= {"uid": stored.uid, "resourceVersion": version}
    if stored.resolved:
        body["spec"] |= {"resolvedAt": T0, "resolvedReason": "deleted"}
    return WriteResponse(200, msgspec.json.encode(body))
