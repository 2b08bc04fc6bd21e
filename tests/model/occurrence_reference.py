"""What should become of occurrences, in plain lists: every question is answered by looking through all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

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
    """Or on its way, parked, ended by the sink; a duplicate's reason."""

    @property
    def name(self) -> str:
        return f"{self.key}-{self.uid}/{self.version}"


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
    told: list[tuple[str, int, Written]] = field(default_factory=list[tuple[str, int, Written]])
    on_their_way: list[Happened] = field(default_factory=list[Happened])
    parked: list[Happened] = field(default_factory=list[Happened])
    evicted: int = 0

    def arrive(self, event: Happened, now: int) -> None:
        event.seen = now
        while self.windows and not self.windows[0].holds(now):
            self.windows.pop(0)
        self.decide(event)

    def decide(self, event: Happened) -> None:
        event.expected = self.verdict(event)
        if event.expected == "on its way":
            self.on_their_way.append(event)
        elif event.expected == "parked":
            self.parked.append(event)

    def verdict(self, event: Happened) -> str:
        for uid, version, written in self.told:
            same = version == event.version or (event.listed and written.key == event.key)
            if uid == event.uid and same:
                self.tell(event.uid, event.version, written)
                return "told"
        if any(one.key == event.key for one in self.on_their_way):
            return "parked"
        for written in self.windows:
            if written.key == event.key and written.holds(event.seen):
                self.tell(event.uid, event.version, written)
                return "within window"
        return "on its way"

    def end(self, event: Happened, *, stored: bool, now: int) -> None:
        event.expected = "ended"
        self.on_their_way.remove(event)
        if stored:
            self.remember(written_by(event), now)
            self.tell(event.uid, event.version, written_by(event))
        waiting = [one for one in self.parked if one.key == event.key]
        for one in waiting:
            if not any(other.key == event.key for other in self.on_their_way):
                self.parked.remove(one)
                self.decide(one)

    def rebuild(self, stored: Iterable[Written], now: int) -> None:
        for one in stored:
            if all(uid != one.uid or last.start <= one.start for uid, _, last in self.told):
                self.tell(one.uid, one.version, one)
            same = [each for each in self.windows if each.key == one.key]
            if one.holds(now) and all(each.start <= one.start for each in same):
                self.remember(one, now)

    def tell(self, uid: str, version: int, written: Written) -> None:
        self.told = [one for one in self.told if one[0] != uid]
        self.told.append((uid, version, written))
        if len(self.told) > self.entries:
            self.told.pop(0)
            self.evicted += 1

    def remember(self, written: Written, now: int) -> None:
        self.windows = [one for one in self.windows if one.key != written.key]
        self.windows.append(written)
        if len(self.windows) > self.entries:
            self.evicted += self.windows.pop(0).holds(now)
