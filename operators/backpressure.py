"""Backpressure by settlement: an event takes a credit when it leaves the buffer and returns it when it is settled."""

from __future__ import annotations

from typing import TypeVar

from reactivex import Observable, abc

from operators.flow.capacity import Credits
from operators.flow.delivery import Delivery, Operator, Ticket

T = TypeVar("T")


def backpressure(credits_: Credits) -> Operator[Delivery[T], Delivery[T]]:
    """Take a credit for each event that passes, and give it back when the event settles, wherever that is.

    ::

        --a----b------------c--      two credits; a settles where c comes
        backpressure(credits_)
        --a----b------------c--      taken: 1, 2, and 2 again

    It holds nothing and settles nothing: the buffer before it releases events only while there are credits. The
    number of credits is fixed. Completion and errors pass at once, and what is in flight keeps its credit.
    """

    def give(_: Ticket) -> None:
        credits_.give()

    def operator(source: Observable[Delivery[T]]) -> Observable[Delivery[T]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[T]], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            emit = observer.on_next

            def on_next(delivery: Delivery[T]) -> None:
                credits_.take()
                delivery.ticket.when_settled(give)
                emit(delivery)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator
