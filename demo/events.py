"""Kubernetes Events as their two recorders write them (client-go: tools/record and tools/events).

The old recorder counts in ``count``, the new one in ``series``. An Event lives an hour; a recorder that remembers it
makes it anew under its name and counts on, one that was restarted begins with a new name at 1.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from demo.estate import Estate
from demo.happenings import Happening, happenings
from demo.signal import (
    STRATEGIC_MERGE_PATCH,
    Object,
    Request,
    Signal,
    change,
    create,
    delete,
)
from operators.flow.clock import NANOSECONDS_PER_SECOND, WallClock

ALIVE_MOST = 60
"""Beyond so many the oldest Event expires: the hour it lives is shorter here."""
FIRST = 20
JUMP_MOST = 4
"""The recorder's spam filter comes after its counting, so counts jump."""


def kubernetes_events(estate: Estate, seed: int, *, now: WallClock) -> Signal:
    """The Events of all pods and nodes."""
    chance = random.Random(f"events {seed}")  # noqa: S311  a seed, not a secret
    return Signal(
        "kubernetes-events", _Recorders(estate, chance, now).requests(), first=FIRST, share=2
    )


@dataclass(slots=True)
class _Remembered:
    """What a recorder remembers of an Event."""

    name: str
    count: int
    first: str


class _Recorders:
    """Both recorders of all components: what they remember, and which of their Events are alive."""

    def __init__(self, estate: Estate, chance: random.Random, now: WallClock) -> None:
        self._chance = chance
        self._now = now
        self._happenings = happenings(estate, chance)
        self._remembered: dict[Happening, _Remembered] = {}
        self._alive: dict[str, None] = {}
        """The paths of the Events that are there, the least recently written first."""
        self._stamped_ns = 0
        self._recent: deque[Happening] = deque(maxlen=12)
        """What goes wrong goes wrong again."""

    def requests(self) -> Iterator[Request]:
        """Whatever happens, for ever."""
        while True:
            if len(self._alive) > ALIVE_MOST or (self._alive and self._chance.random() < 0.05):  # noqa: PLR2004
                yield self._expire()
            dice = self._chance.random()
            if dice < 0.6 and self._recent:  # noqa: PLR2004
                happening = self._chance.choice(self._recent)
            else:
                happening = self._chance.choice(self._happenings)
                self._recent.append(happening)
            if dice > 0.98:  # noqa: PLR2004
                self._remembered.pop(happening, None)  # its reporter was restarted
            yield self._record(happening)

    def _expire(self) -> Request:
        path = next(iter(self._alive))
        del self._alive[path]
        return delete(path)

    def _record(self, happening: Happening) -> Request:
        remembered = self._remembered.get(happening)
        if remembered is None:
            name = f"{happening.name}.{self._stamp():x}"
            remembered = _Remembered(name, 0, self._moment(happening))
            self._remembered[happening] = remembered
        remembered.count += self._chance.randrange(1, JUMP_MOST) if remembered.count else 1
        path = f"{happening.collection}/{remembered.name}"
        is_alive = path in self._alive
        self._alive.pop(path, None)
        self._alive[path] = None
        if is_alive:
            fields = self._again(happening, remembered)
            return change(path, fields, content_type=STRATEGIC_MERGE_PATCH)
        metadata = {"name": remembered.name, "namespace": happening.namespace}
        body = happening.body() | {"metadata": metadata}
        return create(happening.collection, body | self._counted(happening, remembered))

    def _again(self, happening: Happening, remembered: _Remembered) -> Object:
        """What a recorder patches when it happens once more."""
        moment = self._moment(happening)
        if happening.in_series:
            return {"series": {"count": remembered.count, "lastObservedTime": moment}}
        return {
            "count": remembered.count,
            "lastTimestamp": moment,
            "message": happening.message(self._chance),
        }

    def _counted(self, happening: Happening, remembered: _Remembered) -> Object:
        if not happening.in_series:
            fields = {"firstTimestamp": remembered.first, "eventTime": None}
            return fields | self._again(happening, remembered)
        fields = {"eventTime": remembered.first, "note": happening.message(self._chance)}
        return fields | (self._again(happening, remembered) if remembered.count > 1 else {})

    def _stamp(self) -> int:
        """Now in nanoseconds, and never the same twice: names are made of it."""
        now = self._now()
        now_ns = int(now.timestamp()) * NANOSECONDS_PER_SECOND + now.microsecond * 1000
        self._stamped_ns = max(now_ns, self._stamped_ns + 1)
        return self._stamped_ns

    def _moment(self, happening: Happening) -> str:
        """Now, in the precision of its recorder: seconds, or microseconds."""
        form = "%Y-%m-%dT%H:%M:%S.%fZ" if happening.in_series else "%Y-%m-%dT%H:%M:%SZ"
        return self._now().strftime(form)
