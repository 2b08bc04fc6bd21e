"""Where a pipeline ends: a sink takes deliveries and settles every one; an executor carries one change out.

``sinks.queue`` orders, retries and suspends for every destination; a destination is an executor alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reactivex import Observable, abc

from operators.flow.delivery import DescribedDelivery, Operator, Ticket
from operators.model.state import StoredObservation
from operators.reconcile import ObservationChange

NO_RESPONSE = 0
"""Placeholder for the status of an attempt to which no response came."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one request leaves on an event's timeline."""

    method: str
    status: int = NO_RESPONSE
    waited_seconds: float = 0.0
    """How much of its time the request waited for the client's own rate limit (``--qps``, ``--write-qps``)."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The change was carried out."""

    operation: str
    """created, updated, resolved or deleted."""
    uid: str = ""
    """The Observation's uid, where the destination assigns one."""


@dataclass(frozen=True, slots=True)
class StoredRead:
    """What is stored was read; None where the Observation does not exist."""

    stored: StoredObservation | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The Observation to be changed does not exist: decide anew."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The change was not carried out, or perhaps was: try again."""

    error_type: str
    detail: str
    retry_after_seconds: float | None = None
    """What the server requested; 0 for at once; None for the queue's own backoff."""
    in_doubt: bool = False
    """Whether the change may have been carried out."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The change will never be accepted."""

    reason: str
    detail: str
    error_type: str
    scope_is_gone: bool = False
    """Whether the namespace that it was to be written to no longer exists."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """Nothing can be written to a scope now: missing rights, an exhausted quota, a missing definition."""

    scope: str | None
    """The namespace; None for every namespace."""
    reason: str
    detail: str


ExecutionResult = Applied | StoredRead | Missing | TryAgain | Rejected | Suspended


class Executor(Protocol):
    """Carries changes out at one destination."""

    async def execute(self, change: ObservationChange, *, ticket: Ticket) -> ExecutionResult:
        """Carry one change out.

        Each request carries ``ticket.correlation()`` and is marked on the ticket with an ``Attempt``, answered or not.
        """
        ...


class Sink(Protocol):
    """An asynchronous, terminal consumer of described events."""

    def accept(self, delivery: DescribedDelivery) -> None:
        """Take over a delivery, which it must settle. Never raises, never blocks."""
        ...


def write_to(sink: Sink) -> Operator[DescribedDelivery, DescribedDelivery]:
    """Pass every delivery to a sink; nothing passes on but completion and the source's own failure.

    ::

        --A----B----|      deliveries of Observations and removals
        write_to(sink)
        ------------|      the sink has taken them over, and will settle each

    Completion passes at once; behind a buffer it comes only when everything has settled.
    """

    def operator(source: Observable[DescribedDelivery]) -> Observable[DescribedDelivery]:
        def subscribe(
            observer: abc.ObserverBase[DescribedDelivery],
            scheduler: abc.SchedulerBase | None = None,
        ) -> abc.DisposableBase:
            return source.subscribe(
                sink.accept, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator
