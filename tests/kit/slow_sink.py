"""A sink in memory that settles when, in which order and how a test says."""

from __future__ import annotations

from operators.flow.delivery import Delivery
from operators.model.observation import Observation
from operators.model.outcome import Outcome
from sinks.memory import MemorySink


class SlowSink(MemorySink):
    """Holds what it accepted until ``settle``; what it ``stored`` is the last word of each Observation."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # pyright: ignore[reportArgumentType]  as MemorySink takes them
        self.pending: list[Delivery[Observation]] = []
        self.stored: dict[str, str] = {}
        """An unresolved Observation's name to its fingerprint."""

    def accept(self, delivery: Delivery[Observation]) -> None:
        self.pending.append(delivery)

    def settle(self, place: int, outcome: Outcome | None = None) -> None:
        """Store what waits in a place, or end it so."""
        delivery = self.pending.pop(place)
        observation = delivery.value
        if outcome is not None:
            delivery.settle(outcome)
            return
        if observation.gone is not None:
            self.stored.pop(observation.name, None)
        else:
            self.stored[observation.name] = observation.fingerprint
        super().accept(delivery)
