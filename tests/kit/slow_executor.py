"""A destination in memory that carries changes out when, in which order and how a test decides."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from operators.flow.delivery import Ticket
from operators.model.identity import Identity
from operators.model.state import StoredObservation
from operators.reconcile import Delete, MergeEvidence, ObservationChange, ReadStored, Resolve
from sinks.sink import Applied, ExecutionResult, Missing, StoredRead


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that was requested and is not answered yet."""

    change: ObservationChange
    result: asyncio.Future[ExecutionResult]


class SlowExecutor:
    """Holds every change until ``answer``; ``cluster`` is what a person would see."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.cluster: dict[Identity, StoredObservation] = {}
        self.most_at_once = 0

    async def execute(
        self,
        change: ObservationChange,
        *,
        ticket: Ticket,  # noqa: ARG002  nothing is requested
    ) -> ExecutionResult:
        identity = change.identity
        assert all(it.change.identity != identity for it in self.pending), "two writes of one name"
        pending = Pending(change, asyncio.get_running_loop().create_future())
        self.pending.append(pending)
        self.most_at_once = max(self.most_at_once, len(self.pending))
        try:
            return await pending.result
        finally:
            if pending in self.pending:  # cancelled: nobody answered
                self.pending.remove(pending)

    def answer(
        self, place: int, result: ExecutionResult | None = None, *, lost: bool = True
    ) -> None:
        """Carry out what waits in a place, and answer so; or answer ``result``, carried out or ``lost``."""
        pending = self.pending.pop(place)
        carried_out = None if result is not None and lost else self._carry_out(pending.change)
        answer = result or carried_out
        assert answer is not None
        pending.result.set_result(answer)

    @property
    def open(self) -> dict[Identity, str]:
        """The fingerprints of the Observations that are not resolved."""
        return {
            identity: it.fingerprint for identity, it in self.cluster.items() if not it.resolved
        }

    def _carry_out(self, change: ObservationChange) -> ExecutionResult:
        stored = self.cluster.get(change.identity)
        if isinstance(change, ReadStored):
            return StoredRead(stored)
        if isinstance(change, Delete):
            self.cluster.pop(change.identity, None)
            return Applied("deleted")
        if isinstance(change, (Resolve, MergeEvidence)) and stored is None:
            return Missing("the Observation does not exist")
        if isinstance(change, Resolve):
            assert stored is not None
            self.cluster[change.identity] = replace(stored, resolved=True)
            return Applied("resolved")
        assert stored is None or stored.first_seen == change.after.first_seen, "an apply moved it"
        uid = stored.uid if stored is not None else change.name
        self.cluster[change.identity] = replace(change.after, uid=uid)
        return Applied("created" if stored is None else "updated", uid)
