"""What should become of occurrences, in plain lists: every decision looks through all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from operators.model.identity import (
    Identity,
    IngesterKey,
    OccurrenceIdentity,
    observation_name,
)

SUBJECT = Identity(IngesterKey("n", "i"), "", "", "things", "n", "w")
LENGTH = 10
"""How long a window is."""


@dataclass
class Happened:
    """One event, and what should have become of it so far."""

    number: int
    key: str
    uid: str
    version: int
    listed: bool
    seen: int = -1
    expected: str = "buffered"
    """Or in flight, parked, ended by the sink; a duplicate's reason."""

    @property
    def identity(self) -> Identity:
        opened = OccurrenceIdentity(self.key, f"{self.uid}/{self.version}")
        return replace(SUBJECT, occurrence=opened)

    @property
    def name(self) -> str:
        return observation_name(self.identity, readable="w")


@dataclass
class Written:
    """An Observation in the cluster."""

    key: str
    name: str
    uid: str
    version: int
    start: int

    @property
    def end(self) -> int:
        return self.start + LENGTH

    def holds(self, now: int) -> bool:
        return self.start - LENGTH <= now < self.end


def written_by(event: Happened) -> Written:
    return Written(event.key, event.name, event.uid, event.version, event.seen)


@dataclass
class Reference:
    """One pipeline's decisions."""

    entries: int
    windows: list[Written] = field(default_factory=list[Written])
    counted: list[tuple[str, int, Written]] = field(default_factory=list[tuple[str, int, Written]])
    in_flight: list[Happened] = field(default_factory=list[Happened])
    parked: list[Happened] = field(default_factory=list[Happened])
    evicted: int = 0

    def arrive(self, event: Happened, now: int) -> None:
        event.seen = now
        while self.windows and not self.windows[0].holds(now):
            self.windows.pop(0)
        self.decide(event)

    def decide(self, event: Happened) -> None:
        event.expected = self.verdict(event)
        if event.expected == "in flight":
            self.in_flight.append(event)
        elif event.expected == "parked":
            self.parked.append(event)

    def verdict(self, event: Happened) -> str:
        for uid, version, written in self.counted:
            same = version == event.version or (event.listed and written.key == event.key)
            if uid == event.uid and same:
                self.count(event.uid, event.version, written)
                return "already_counted"
        if any(one.key == event.key for one in self.in_flight):
            return "parked"
        for written in self.windows:
            if written.key == event.key and written.holds(event.seen):
                self.count(event.uid, event.version, written)
                return "within window"
        return "in flight"

    def end(self, event: Happened, *, stored: bool, now: int) -> None:
        event.expected = "ended"
        self.in_flight.remove(event)
        if stored:
            self.remember(written_by(event), now)
            self.count(event.uid, event.version, written_by(event))
        waiting = [one for one in self.parked if one.key == event.key]
        for one in waiting:
            if not any(other.key == event.key for other in self.in_flight):
                self.parked.remove(one)
                self.decide(one)

    def restore(self, stored: Iterable[Written], now: int) -> None:
        for one in stored:
            if all(uid != one.uid or last.start <= one.start for uid, _, last in self.counted):
                self.count(one.uid, one.version, one)
            same = [each for each in self.windows if each.key == one.key]
            if one.holds(now) and all(each.start <= one.start for each in same):
                self.remember(one, now)

    def count(self, uid: str, version: int, written: Written) -> None:
        self.counted = [one for one in self.counted if one[0] != uid]
        self.counted.append((uid, version, written))
        if len(self.counted) > self.entries:
            self.counted.pop(0)
            self.evicted += 1

    def remember(self, written: Written, now: int) -> None:
        self.windows = [one for one in self.windows if one.key != written.key]
        self.windows.append(written)
        if len(self.windows) > self.entries:
            self.evicted += self.windows.pop(0).holds(now)
