"""The one place where a decision meets Rx, the timeline and failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc

from operators.flow.delivery import Delivery, Operator
from operators.model.masking import redacted_text
from operators.model.outcome import Ending, Outcome

T = TypeVar("T")
U = TypeVar("U")

Decide = Callable[[T], U | Outcome]
"""A verb's decision: another value goes on, an ``Outcome`` ends the event."""

DETAIL_CHARACTERS = 300
"""How much of an error's text an outcome keeps."""


def detail_of(text: str) -> str:
    """What an outcome keeps of an error's text. Masked before it is cut: half a token would not be known as one."""
    return redacted_text(text)[:DETAIL_CHARACTERS]


def failure(stage: str, error: Exception) -> Outcome:
    """Say that a stage raised: our own defect, the event's ending, never the stream's."""
    text = detail_of(f"{stage}: {type(error).__name__}: {error}")
    return Outcome(Ending.FAILED, stage, text, type(error).__name__)


def ending_alone(verdict: object) -> object:
    """What a mark says of a verdict: the outcome of what ends, nothing of what goes on."""
    return verdict if isinstance(verdict, Outcome) else None


def stage(
    name: str, decide: Decide[T, U], *, note: Callable[[U | Outcome], object] = ending_alone
) -> Operator[Delivery[T], Delivery[U]]:
    """Lift a decision into an operator: a value goes on, an ``Outcome`` ends the event.

    ::

        --1---2---3-->          decide = lambda n: Outcome(Ending.FILTERED) if n == 2 else n * 10
        stage("tens", decide)
        --10------30->          2 ends filtered

    ``note`` makes of a verdict what the mark says. A decision that raises fails its event, never the stream.
    """

    def operator(source: Observable[Delivery[T]]) -> Observable[Delivery[U]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[U]], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            emit = observer.on_next

            def on_next(delivery: Delivery[T]) -> None:
                ticket = delivery.ticket
                try:
                    verdict = decide(delivery.value)
                    detail = note(verdict)
                except Exception as error:  # noqa: BLE001  one poison event ends no stream
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
