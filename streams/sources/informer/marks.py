"""What one subscriber could not take, and is told again when it can."""

from __future__ import annotations

from collections.abc import Callable

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.outcome import Hold

TRY_EVERY_NS = 30 * NANOSECONDS_PER_SECOND
"""How often one of all who wait for a hold may try whether it still holds."""


class Marks:
    """Keys whose newest state was put aside: due as soon as there is room, or parked until a hold opens.

    Bounded by the objects that are known, and by departures that found no room.
    """

    __slots__ = ("_holds", "_is_known", "_parked", "due", "gone")

    def __init__(self, is_known: Callable[[str], bool]) -> None:
        self.due: dict[str, None] = {}
        """To be read again."""
        self.gone: dict[str, str] = {}
        """Departed when they were marked, there is nothing to read: the uid each had, "" where nobody knows."""
        self._is_known = is_known
        self._parked: dict[str, tuple[Hold, str]] = {}
        self._holds: dict[Hold, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self.due) + len(self.gone) + len(self._parked)

    def add(self, key: str, hold: Hold | None, *, uid: str = "") -> None:
        """Mark an object, under a hold if it is one that is still open; ``uid`` is that of a departed one."""
        self.clear(key)
        if hold is not None and hold.open:
            self._parked[key] = hold, uid
            self._holds.setdefault(hold, {})[key] = None
        elif self._is_known(key):
            self.due[key] = None
        else:
            self.gone[key] = uid

    def clear(self, key: str) -> None:
        """Its newest state was told."""
        self.due.pop(key, None)
        self.gone.pop(key, None)
        parked = self._parked.pop(key, None)
        if parked is not None:
            hold, _ = parked
            keys = self._holds[hold]
            del keys[key]
            if not keys:
                del self._holds[hold]

    def put_last(self, key: str) -> None:
        """Reading it again, or asking how it departed, brought nothing: let others go first."""
        if self.due.pop(key, True) is None:
            self.due[key] = None
        elif key in self.gone:
            self.gone[key] = self.gone.pop(key)

    def release(self, now_ns: int) -> None:
        """Free all whose hold is closed, and one of each hold whose moment has come: its write is the try."""
        for hold in tuple(self._holds):
            if not hold.open:
                for key in tuple(self._holds[hold]):
                    self._free(key)
            elif now_ns >= hold.try_at_ns:
                hold.try_at_ns = now_ns + TRY_EVERY_NS
                self._free(next(iter(self._holds[hold])))

    def release_at_ns(self) -> int | None:
        """When ``release`` has something to do at the latest; None if nothing is parked."""
        return min((hold.try_at_ns if hold.open else 0 for hold in self._holds), default=None)

    def clear_all(self) -> None:
        """Nobody is there to be told."""
        for marked in (self.due, self.gone, self._parked, self._holds):
            marked.clear()

    def _free(self, key: str) -> None:
        _, uid = self._parked[key]
        self.add(key, None, uid=uid)
