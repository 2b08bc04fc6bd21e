"""What travels through a pipeline: a value, and the ticket that must be settled exactly once.

``stage`` is the one place that connects a decision about the value to Rx, the timeline and error handling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from reactivex import Observable, abc

from operators.flow.clock import Clock
from operators.flow.trace import Correlation, Trace, TraceContext
from operators.model.content import redacted_text
from operators.model.event import RawEvent
from operators.model.observation import Observation, Removal
from operators.model.outcome import UNSETTLED, Ending, Outcome, worst_of

T = TypeVar("T")
U = TypeVar("U")

Mark = tuple[str, int, object]
"""A stage, the monotonic nanosecond at which it passed the event on, and the detail it recorded."""

OnSettled = Callable[[RawEvent, Outcome], None]


class AlreadySettledError(RuntimeError):
    """An event was settled twice: a defect of the second caller."""


class Ledger:
    """Counts of received events, of events in flight, and of outcomes.

    The three are counted apart, never computed from one another, so that ``balance`` can detect a lost event.
    """

    __slots__ = ("endings", "in_flight", "received")

    def __init__(self) -> None:
        self.received = 0
        self.in_flight = 0
        self.endings: dict[tuple[Ending, str], int] = {}
        """Settled events by ending and reason."""

    @property
    def balance(self) -> int:
        """``received - in_flight - sum(endings)``: 0, or an event was lost or counted twice."""
        return self.received - self.in_flight - sum(self.endings.values())

    def ended(self, ending: Ending) -> int:
        """How many events ended so, whatever the reason."""
        return sum(count for (one, _), count in self.endings.items() if one is ending)


class Ticket:
    """The settle-once obligation of one event.

    ``marks`` is its timeline: a stage begins where the one before it passed the event on, so that one mark a stage
    leaves no time unexplained.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "began_ns",
        "clock",
        "key",
        "ledger",
        "marks",
        "on_settle",
        "outcome",
        "outdated",
        "size_bytes",
        "superseded",
        "trace",
    )

    def __init__(self, ledger: Ledger, clock: Clock, on_settle: Settled | None = None) -> None:
        self.ledger = ledger
        self.clock = clock
        self.on_settle = on_settle
        """Called first of all callbacks, with the outcome set: traces, timings, dead letters."""
        self.began_ns = clock()
        self.marks: list[Mark] = []
        self.outcome: Outcome | None = None
        self.superseded = False
        """Whether a newer event of the same key waits behind this one: this one need not be retried."""
        self.outdated = False
        """Whether a newer event of the same key was admitted, be it waiting or spilled: this state is not the last."""
        self.key: object = None
        self.size_bytes = 0
        self.trace: Trace | None = None
        """The event's trace; None where tracing is off."""
        self._callbacks: list[Settled] = []
        ledger.received += 1
        ledger.in_flight += 1

    def mark(self, stage: str, detail: object = None) -> None:
        """Record that a stage passed the event on, and what it decided."""
        self.marks.append((stage, self.clock(), detail))

    def correlation(self) -> Correlation | None:
        """Return what the next request of this event carries; None where the event is not traced.

        The request's mark must be the next one: its place in the timeline gives the span's id.
        """
        return None if self.trace is None else self.trace.correlation(len(self.marks))

    def record_newer(self, newer: Ticket) -> None:
        """Record which newer event of the same key replaces this one, should it end ``coalesced``."""
        if self.trace is not None:
            self.trace.newer = newer.trace

    def when_settled(self, callback: Settled) -> None:
        """Register a callback for the settlement; the newest runs first."""
        self._callbacks.append(callback)

    def settle(self, outcome: Outcome) -> None:
        """Settle the event: count it in the ledger, then run ``on_settle`` and the callbacks.

        Raises ``AlreadySettledError`` the second time.
        """
        if self.outcome is not None:
            raise AlreadySettledError(f"{self.outcome.ending}, then {outcome.ending}")
        self._close(outcome)
        # The ledger is final before any callback runs: a callback may admit the next event.
        callbacks, self._callbacks = self._callbacks, []
        for callback in reversed(callbacks):
            callback(self)

    def end(self, stage: str, outcome: Outcome) -> None:
        """Settle the event in a stage; the stage's mark is the last of the timeline."""
        self.mark(stage, outcome)
        self.settle(outcome)

    def split(self, count: int) -> Sequence[Part]:
        """Split the settlement into ``count`` parts; the event is settled with the worst outcome once all parts are.

        ``worst_of`` orders the endings. The caller must not use the ticket again. Raises
        ``ValueError`` for fewer than one part.
        """
        if count < 1:
            raise ValueError(f"a ticket splits into at least one part, not {count}")
        outcomes: list[Outcome] = []

        def settle_part(outcome: Outcome) -> None:
            outcomes.append(outcome)
            if len(outcomes) == count:
                self.settle(worst_of(outcomes))

        return [Part(self, settle_part) for _ in range(count)]

    def _close(self, outcome: Outcome) -> None:
        self.outcome = outcome
        ledger = self.ledger
        ledger.in_flight -= 1
        entry = (outcome.ending, outcome.reason)
        ledger.endings[entry] = ledger.endings.get(entry, 0) + 1
        if self.on_settle is not None:
            self.on_settle(self)

    def __del__(self) -> None:
        """Count an event whose ticket was discarded unsettled as ``failed``, so that the ledger still balances."""
        if getattr(self, "outcome", UNSETTLED) is None:
            self._close(UNSETTLED)


Settled = Callable[[Ticket], None]


class Part:
    """One of several settlements of a split ticket; each must be settled exactly once."""

    __slots__ = ("_settle", "outcome", "ticket")

    def __init__(self, ticket: Ticket, settle: Callable[[Outcome], None]) -> None:
        self.ticket = ticket
        """The event's ticket, for marks and the trace."""
        self.outcome: Outcome | None = None
        self._settle = settle

    def settle(self, outcome: Outcome) -> None:
        """Settle this part. Raises ``AlreadySettledError`` the second time."""
        if self.outcome is not None:
            raise AlreadySettledError(f"{self.outcome.ending}, then {outcome.ending}")
        self.outcome = outcome
        self._settle(outcome)


class Admission:
    """An event as its source emits it.

    ``on_settled`` is called with the event and its outcome, last of all callbacks; one bound method of the source
    serves all its events. ``head`` is what the source decoded of the object already, and ``incoming`` the sender's
    trace.
    """

    __slots__ = ("event", "head", "incoming", "on_settled")

    def __init__(
        self,
        event: RawEvent,
        on_settled: OnSettled | None = None,
        *,
        head: object = None,
        incoming: TraceContext | None = None,
    ) -> None:
        self.event = event
        self.on_settled = on_settled
        self.head = head
        self.incoming = incoming


class Delivery(Generic[T]):
    """A value on its way, with its ticket; it has one holder at a time.

    ``head`` is what was decoded of the event's object at its source; None where it is to be decoded from the bytes.
    """

    __slots__ = ("head", "ticket", "value")

    def __init__(self, value: T, ticket: Ticket, head: object = None) -> None:
        self.value = value
        self.ticket = ticket
        self.head = head

    def carry(self, value: U) -> Delivery[U]:
        """Pass on another value under the same ticket; the caller must not use the delivery again."""
        carried = cast("Delivery[U]", self)
        carried.value = value
        return carried

    def settle(self, outcome: Outcome) -> None:
        """Settle the event."""
        self.ticket.settle(outcome)


class _Acknowledgement:
    """Calls the source back when its event is settled."""

    __slots__ = ("event", "on_settled")

    def __init__(self, event: RawEvent, on_settled: OnSettled) -> None:
        self.event = event
        self.on_settled = on_settled

    def __call__(self, ticket: Ticket) -> None:
        self.on_settled(self.event, ticket.outcome or UNSETTLED)


DescribedDelivery = Delivery[Observation | Removal]
"""What a sink takes over."""
Operator = Callable[[Observable[T]], Observable[U]]
BeginTrace = Callable[[Admission], Trace]
Received = Delivery[RawEvent]


def deliver(
    ledger: Ledger,
    *,
    clock: Clock,
    on_settle: Settled | None = None,
    begin_trace: BeginTrace | None = None,
) -> Operator[Admission, Received]:
    """Count each event as received, begin its trace, and pass it on with its ticket.

    ::

        --a----b----|      admissions
        deliver(ledger, clock=clock)
        --A----B----|      deliveries: each a raw event, and the ticket that must be settled once

    The admission's ``on_settled`` is called last, after all other callbacks.
    """

    def operator(source: Observable[Admission]) -> Observable[Received]:
        def subscribe(
            observer: abc.ObserverBase[Received], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            emit = observer.on_next

            def on_next(admission: Admission) -> None:
                ticket = Ticket(ledger, clock, on_settle)
                if begin_trace is not None:
                    ticket.trace = begin_trace(admission)
                if admission.on_settled is not None:
                    ticket.when_settled(_Acknowledgement(admission.event, admission.on_settled))
                ticket.mark("receive")
                emit(Delivery(admission.event, ticket, admission.head))

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator


Decide = Callable[[T], U | Outcome]
"""An operator's decision: another value passes on, an ``Outcome`` settles the event."""

DETAIL_CHARACTERS = 300
"""How much of an error's text an outcome keeps; it is written to log lines and spans."""


def detail_of(text: str) -> str:
    """Cut an error's text to what an outcome keeps. Masked before it is cut: half a token would not be recognised."""
    return redacted_text(text)[:DETAIL_CHARACTERS]


def failure(stage: str, error: Exception) -> Outcome:
    """Make the outcome of an event whose stage raised: a defect of this product that ends the event, not the stream."""
    text = detail_of(f"{stage}: {type(error).__name__}: {error}")
    return Outcome(Ending.FAILED, stage, text, type(error).__name__)


def outcome_only(verdict: object) -> object:
    """Record as a mark's detail the outcome of an event that ends, and nothing for one that passes."""
    return verdict if isinstance(verdict, Outcome) else None


def stage(
    name: str, decide: Decide[T, U], *, detail_for: Callable[[U | Outcome], object] = outcome_only
) -> Operator[Delivery[T], Delivery[U]]:
    """Lift a decision about a value into an operator: a value passes on, an ``Outcome`` settles the event.

    ::

        --1---2---3-->          decide = lambda n: Outcome(Ending.FILTERED) if n == 2 else n * 10
        stage("tens", decide)
        --10------30->          2 ends filtered

    ``detail_for`` makes the mark's detail of a verdict. A decision that raises fails its event, never the stream.
    """
    return stage_of_delivery(name, lambda delivery: decide(delivery.value), detail_for=detail_for)


def stage_of_delivery(
    name: str,
    decide: Callable[[Delivery[T]], U | Outcome],
    *,
    detail_for: Callable[[U | Outcome], object] = outcome_only,
) -> Operator[Delivery[T], Delivery[U]]:
    """Lift a decision that reads more of the delivery than its value; otherwise as ``stage``."""

    def operator(source: Observable[Delivery[T]]) -> Observable[Delivery[U]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[U]], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            emit = observer.on_next

            def on_next(delivery: Delivery[T]) -> None:
                ticket = delivery.ticket
                try:
                    verdict = decide(delivery)
                    detail = detail_for(verdict)
                except Exception as error:  # noqa: BLE001  an event that raises must not end the stream
                    verdict = detail = failure(name, error)
                ticket.mark(name, detail)
                if isinstance(verdict, Outcome):
                    ticket.settle(verdict)
                else:
                    emit(delivery.carry(verdict))

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator
