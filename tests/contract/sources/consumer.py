"""A stand-in for a pipeline: it has room for so many events, settles them at once or by hand, and keeps its state."""

from __future__ import annotations

import asyncio
from collections import deque

from reactivex import abc

from operators.flow.capacity import Room
from operators.flow.delivery import Admission
from operators.model.event import ObjectState, RawEvent, Tombstone
from operators.model.outcome import SPILLED, Ending, Outcome, Suspension
from streams.sources.source import RereadableSource, Source
from tests.contract.sources.settings import Kind, Setting

STORED = Outcome(Ending.STORED)


class Consumer:
    """One subscriber of one source; where it ``holds``, each event stays in its room until it is settled by hand."""

    def __init__(
        self, kind: Kind, setting: Setting, *, capacity: int = 1000, holds: bool = False
    ) -> None:
        self.room = Room(capacity, capacity_bytes=1 << 30)
        self.source: Source = setting.source(self.room, is_tracked=lambda key: key in self.believed)
        self.holds = holds
        self.raises = False
        """Whether it raises, as a defect would, in place of taking an event."""
        self.suspension: Suspension | None = None
        """Under which everything is spilled while it is open."""
        self.admissions: list[Admission] = []
        self.errors: list[Exception] = []
        self.held: deque[Admission] = deque()
        self.believed: dict[str, str] = {}
        """The version of every object, by the states and removals that were stored."""
        self.spilled = 0
        self._kind = kind
        self._setting = setting
        self._loop = asyncio.get_running_loop()
        self.running: abc.DisposableBase | None = None

    @property
    def events(self) -> list[RawEvent]:
        return [admission.event for admission in self.admissions]

    @property
    def rereadable(self) -> RereadableSource:
        assert isinstance(self.source, RereadableSource)
        return self.source

    def start(self) -> Consumer:
        self.running = self.source.events.subscribe(self._on_next, on_error=self.errors.append)
        return self

    async def synced(self) -> Consumer:
        """Start, and wait until everything there is was emitted and is being followed."""
        self.start()
        await self.source.synced()
        await self._setting.quiet()
        return self

    async def until(self, count: int) -> list[RawEvent]:
        """Wait for so many events; no more came."""
        await self._setting.until(lambda: len(self.admissions) >= count)
        assert len(self.admissions) == count
        return self.events

    def settle(self, outcome: Outcome = STORED) -> RawEvent:
        """End the event that was held longest."""
        admission = self.held.popleft()
        self.room.give(admission.event.size_bytes)
        self._end(admission, outcome)
        return admission.event

    def settle_all(self) -> None:
        while self.held:
            self.settle()

    def check(self) -> None:
        """What was read balances with what was emitted."""
        status = self.source.status()
        assert self._kind.balance(status) == 0
        assert status.counters["read"]["received"] == len(self.admissions)

    def _on_next(self, admission: Admission) -> None:
        assert asyncio.get_running_loop() is self._loop
        self.admissions.append(admission)
        if self.raises:
            raise ZeroDivisionError
        if self.suspension is not None and self.suspension.is_open:
            outcome = Outcome(SPILLED.ending, SPILLED.reason, suspension=self.suspension)
            self._spill(admission, outcome)
        elif not self.holds:
            self._end(admission, STORED)
        elif not self.room.fits(admission.event.size_bytes):
            self._spill(admission, SPILLED)
        else:
            self.room.take(admission.event.size_bytes)
            self.held.append(admission)

    def _spill(self, admission: Admission, outcome: Outcome) -> None:
        self.spilled += 1
        self._end(admission, outcome)

    def _end(self, admission: Admission, outcome: Outcome) -> None:
        event = admission.event
        if outcome is STORED and event.key is not None:
            if isinstance(event.payload, Tombstone):
                self.believed.pop(event.key, None)
            elif isinstance(event.payload, ObjectState):
                self.believed[event.key] = event.payload.version
        assert admission.on_settled is not None
        admission.on_settled(event, outcome)
