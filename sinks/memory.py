"""A destination in memory: for a pipeline composed by hand, and for tests. All but the request is ``sinks.queue``."""

from __future__ import annotations

from collections import deque

from operators.flow.delivery import Ticket
from operators.model.observation import Observation, Removal
from operators.reconcile import Delete, ObservationChange, ReadStored, Resolve, Upsert
from sinks.sink import Applied, ExecutionResult, StoredRead

KEPT = 1000
"""The newest Observations that are kept, unless the caller chooses another number."""


class MemoryExecutor:
    """Keeps what is written, newest last, and answers at once."""

    def __init__(self, *, capacity: int = KEPT) -> None:
        self.written: deque[Observation | Removal] = deque(maxlen=capacity)

    async def execute(
        self,
        change: ObservationChange,
        *,
        ticket: Ticket,  # noqa: ARG002  nothing is requested
    ) -> ExecutionResult:
        """Keep the Observation or the removal; nothing that was evicted from the state is kept here either."""
        if isinstance(change, ReadStored):
            return StoredRead(None)
        if isinstance(change, (Resolve, Delete)):
            self.written.append(change.removal)
            return Applied("deleted" if isinstance(change, Delete) else "resolved")
        self.written.append(change.observation)
        is_new = isinstance(change, Upsert) and not change.after.uid
        return Applied("created", uid=change.name) if is_new else Applied("updated")
