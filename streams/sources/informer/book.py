"""The reader's own book: what one subscriber was to hear of, and what became of it."""

from __future__ import annotations

from enum import Enum

from streams.sources.informer.notice import Notice, Origin


class Silence(Enum):
    """Why something that was read is told to nobody."""

    BOOKMARK = "bookmark"
    DUPLICATE = "duplicate"
    SERVER_ERROR = "server_error"


class Book:
    """What was read for one subscriber, and where it went: separate counts, so that their sum can be wrong.

    A line that waits for an answer (deleted, or out of the selector?) is entered when it is told. A GET that
    only answers a question, and a list item meant for others, are in nobody's book.
    """

    __slots__ = (
        "bookmarks",
        "duplicates",
        "gets",
        "lines",
        "list_items",
        "received",
        "server_errors",
        "synthetic_deletes",
    )

    def __init__(self) -> None:
        self.lines = 0
        self.list_items = 0
        self.gets = 0
        self.synthetic_deletes = 0
        self.bookmarks = 0
        self.duplicates = 0
        self.server_errors = 0
        self.received = 0

    @property
    def balance(self) -> int:
        """Zero, or the reader lost or doubled something."""
        came = self.lines + self.list_items + self.gets + self.synthetic_deletes
        went = self.bookmarks + self.duplicates + self.server_errors + self.received
        return came - went

    def receive(self, notice: Notice, origin: Origin) -> None:
        """Enter what the subscriber is told."""
        if notice.final_state_unknown:
            self.synthetic_deletes += 1
        else:
            self._come(origin, 1)
        self.received += 1

    def pass_over(self, origin: Origin, why: Silence, *, count: int = 1) -> None:
        """Enter what was read and is told to nobody."""
        self._come(origin, count)
        if why is Silence.DUPLICATE:
            self.duplicates += count
        elif why is Silence.BOOKMARK:
            self.bookmarks += count
        else:
            self.server_errors += count

    def _come(self, origin: Origin, count: int) -> None:
        if origin is Origin.LINE:
            self.lines += count
        elif origin is Origin.LIST:
            self.list_items += count
        else:
            self.gets += count
