"""The windows of occurrences, by key: rebuilt from the cluster at start, kept by the sink's answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from operators.model.observation import Occurrence, Window

ENTRIES = 100_000
"""How many windows, and how many told events, one pipeline remembers: 80 MB at most (800 bytes a pair, measured)."""


class Windows:
    """The committed windows of one pipeline, and which state of each object was told last.

    Both are bounded by ``entries``, the oldest are evicted first. A window that is evicted before its end may be
    opened again by an equal event, whose Observation has another name (another event opened it); an evicted told event
    that is read again is written again, under the name it had.
    """

    __slots__ = ("_entries", "_open", "_told", "evicted")

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._open: dict[str, Window] = {}
        self._told: dict[str, tuple[str, Window]] = {}
        self.evicted = 0
        """How many entries were forgotten before their time."""

    def __len__(self) -> int:
        """How many windows are remembered, those that are over but not yet removed included."""
        return len(self._open)

    def __iter__(self) -> Iterator[Window]:
        """The windows, as they were confirmed."""
        return iter(self._open.values())

    def at(self, key: str, moment: datetime) -> Window | None:
        """The window of a key that a moment falls into, if there is one."""
        window = self._open.get(key)
        return window if window is not None and window.holds(moment) else None

    def told(self, occurrence: Occurrence, key: str) -> Window | None:
        """The window in which an event was told already, so that it is no news.

        The same version of the same object is the same event. A list shows states: one that says what was told of its
        object last says nothing that happened since.
        """
        last = self._told.get(occurrence.uid)
        if last is None:
            return None
        version, window = last
        same = version == occurrence.version or (occurrence.listed and window.key == key)
        return window if same else None

    def commit(self, window: Window, occurrence: Occurrence, *, moment: datetime) -> None:
        """Remember a window that the API server confirmed, though it may be over by now."""
        self._remember(window, moment)
        self.tell(occurrence, window)

    def sweep(self, moment: datetime) -> None:
        """Forget windows that are over, the oldest first, as far as they are: each costs once."""
        while self._open:
            oldest = next(iter(self._open.values()))
            if oldest.holds(moment):
                return
            del self._open[oldest.key]

    def tell(self, occurrence: Occurrence, window: Window) -> None:
        """Remember in which window an event was told."""
        if not occurrence.uid:
            return
        self._told.pop(occurrence.uid, None)
        self._told[occurrence.uid] = occurrence.version, window
        if len(self._told) > self._entries:
            del self._told[next(iter(self._told))]
            self.evicted += 1

    def restore(self, window: Window, occurrence: Occurrence, *, moment: datetime) -> None:
        """Take in a window as the cluster has it; they come in any order, and the newest of an object counts."""
        last = self._told.get(occurrence.uid)
        if last is None or last[1].start <= window.start:
            self.tell(occurrence, window)
        known = self._open.get(window.key)
        if window.holds(moment) and (known is None or known.start <= window.start):
            self._remember(window, moment)

    def _remember(self, window: Window, moment: datetime) -> None:
        self._open.pop(window.key, None)
        self._open[window.key] = window
        if len(self._open) > self._entries:
            oldest = self._open.pop(next(iter(self._open)))
            self.evicted += oldest.holds(moment)
