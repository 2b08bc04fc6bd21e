"""What flows through a pipeline: a value, and the ticket that obliges somebody to end it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar, cast

from reactivex import Observable, abc

from operators.flow.clock import Clock
from operators.flow.trace import Trace
from operators.model.event import RawEvent
from operators.model.outcome import UNSETTLED, Ending, Outcome

T = TypeVar("T")
U = TypeVar("U")

Mark = tuple[str, int, object]
"""A stage, the monotonic nanosecond at which it let go of the event, and what it says of it."""


class AlreadySettledError(RuntimeError):
    """An event was ended twice: a defect of whoever came second."""


class Ledger:
    """What came in, what is open, and how the rest ended.

    Three counts kept apart, so that their sum can be wrong; a law computed from itself cannot fail.
    """

    __slots__ = ("endings", "in_flight", "received")

    def __init__(self) -> None:
        self.received = 0
        self.in_flight = 0
        self.endings: dict[tuple[Ending, str], int] = {}
        """How many events ended so, by ending and reason."""

    @property
    def balance(self) -> int:
        """Zero, or somebody lost or doubled an event."""
        return self.received - self.in_flight - sum(self.endings.values())

    def ended(self, ending: Ending) -> int:
        """How many events ended so, whatever the reason."""
        return sum(count for (one, _), count in self.endings.items() if one is ending)


class Ticket:
    """The settle-once obligation of one event.

    ``marks`` is its timeline. A stage begins where the one before it let go, so one mark per stage leaves no
    time unexplained.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "began_ns",
        "clock",
        "key",
        "ledger",
        "marks",
        "outcome",
        "size_bytes",
        "superseded",
        "tell",
        "trace",
    )

    def __init__(self, ledger: Ledger, clock: Clock, tell: Settled | None = None) -> None:
        self.ledger = ledger
        self.clock = clock
        self.tell = tell
        self.began_ns = clock()
        self.marks: list[Mark] = []
        self.outcome: Outcome | None = None
        self.superseded = False
        """Whether a newer event of the same key waits behind this one: it need not be retried."""
        self.key: object = None
        self.size_bytes = 0
        self.trace: Trace | None = None
        """Its trace; ``None`` where tracing is off."""
        self._callbacks: list[Settled] = []
        ledger.received += 1
        ledger.in_flight += 1

    def mark(self, stage: str, detail: object = None) -> None:
        """Note that a stage let go of the event, and what it says of it."""
        self.marks.append((stage, self.clock(), detail))

    def give_way(self, newer: Ticket) -> None:
        """Note which newer event of the same key takes the place of this one, should it end ``coalesced``."""
        if self.trace is not None:
            self.trace.newer = newer.trace

    def when_settled(self, callback: Settled) -> None:
        """Call back at the end; the newest callback runs first."""
        self._callbacks.append(callback)

    def settle(self, outcome: Outcome) -> None:
        """End the event: strike the ledger, tell the telemetry, then everybody who asked.

        Raises ``AlreadySettledError`` the second time.
        """
        if self.outcome is not None:
            raise AlreadySettledError(f"{self.outcome.ending}, then {outcome.ending}")
        self._close(outcome)
        callbacks, self._callbacks = self._callbacks, []
        for callback in reversed(callbacks):
            callback(self)

    def end(self, stage: str, outcome: Outcome) -> None:
        """End the event where it is: its stay there is that stage's, the last on the timeline."""
        self.mark(stage, outcome)
        self.settle(outcome)

    def _close(self, outcome: Outcome) -> None:
        self.outcome = outcome
        ledger = self.ledger
        ledger.in_flight -= 1
        entry = (outcome.ending, outcome.reason)
        ledger.endings[entry] = ledger.endings.get(entry, 0) + 1
        if self.tell is not None:
            self.tell(self)

    def __del__(self) -> None:
        """A tripwire: the book still balances, and the ending says whose fault it was."""
        if getattr(self, "outcome", UNSETTLED) is None:
            self._close(UNSETTLED)


Settled = Callable[[Ticket], None]


class Delivery(Generic[T]):
    """A value on its way, with its ticket; it has one owner at a time."""

    __slots__ = ("ticket", "value")

    def __init__(self, value: T, ticket: Ticket) -> None:
        self.value = value
        self.ticket = ticket

    def carry(self, value: U) -> Delivery[U]:
        """Pass on another value under the same ticket; the giver must not use the delivery again."""
        carried = cast("Delivery[U]", self)
        carried.value = value
        return carried

    def settle(self, outcome: Outcome) -> None:
        """End the event."""
        self.ticket.settle(outcome)


Operator = Callable[[Observable[T]], Observable[U]]
Begin = Callable[[RawEvent], Trace]
"""Begins the trace of an event."""


def deliver(
    ledger: Ledger, *, clock: Clock, tell: Settled | None = None, begin: Begin | None = None
) -> Operator[RawEvent, Delivery[RawEvent]]:
    """Open a line in the ledger for each event, begin its trace, and send it off with its ticket.

    ::

        --a----b----|      raw events
        deliver(ledger, clock=clock)
        --A----B----|      deliveries: each a value, and the ticket that somebody must settle, once

    An event that has an ear of its own (``acknowledge``) is told its outcome last of all.
    """

    def operator(source: Observable[RawEvent]) -> Observable[Delivery[RawEvent]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[RawEvent]],
            scheduler: abc.SchedulerBase | None = None,
        ) -> abc.DisposableBase:
            emit = observer.on_next

            def on_next(event: RawEvent) -> None:
                ticket = Ticket(ledger, clock, tell)
                if begin is not None:
                    ticket.trace = begin(event)
                acknowledge = event.acknowledge
                if acknowledge is not None:
                    ticket.when_settled(
                        lambda ended: acknowledge(event, ended.outcome or UNSETTLED)
                    )
                ticket.mark("receive")
                emit(Delivery(event, ticket))

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator
