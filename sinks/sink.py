"""Where a pipeline ends: a sink takes deliveries and settles every one of them."""

from __future__ import annotations

from typing import Protocol

from reactivex import Observable, abc

from operators.flow.delivery import Delivery, Operator
from operators.model.observation import Observation


class Sink(Protocol):
    """An asynchronous, terminal taker of Observations."""

    def accept(self, delivery: Delivery[Observation]) -> None:
        """Take over a delivery; it must be settled, sooner or later. Never raises, never blocks."""
        ...


def write_to(sink: Sink) -> Operator[Delivery[Observation], Delivery[Observation]]:
    """Hand every delivery to a sink; nothing goes on but completion and the source's own failure.

    ::

        --A----B----|      deliveries of Observations
        write_to(sink)
        ------------|      the sink has them, and will settle each

    Completion passes at once; behind a buffer it comes only when everything has settled.
    """

    def operator(source: Observable[Delivery[Observation]]) -> Observable[Delivery[Observation]]:
        def subscribe(
            observer: abc.ObserverBase[Delivery[Observation]],
            scheduler: abc.SchedulerBase | None = None,
        ) -> abc.DisposableBase:
            return source.subscribe(
                sink.accept, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator
