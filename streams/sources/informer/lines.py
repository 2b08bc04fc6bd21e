"""Chunks in, whole lines out: a watch is a stream of lines cut anywhere, inside a character too."""

from __future__ import annotations

MAXIMUM_BYTES = 16 * 1024 * 1024
"""Ten times the largest object etcd takes (1.5 MiB): longer is no event, but memory."""
KEPT_BYTES = 1024
"""What is kept of a line that is too long: enough to say what it was, too little to decode."""


class Lines:
    """Splits chunks into lines; holds at most one unfinished line.

    A line longer than ``maximum_bytes`` comes out cut to its first KiB, so that it ends as a dead letter. What
    is left when the stream ends is half an event: it is never told, the watch resumes before it.
    Blank lines are left out.
    """

    __slots__ = ("_held", "_held_bytes", "_maximum_bytes", "_overlong")

    def __init__(self, maximum_bytes: int = MAXIMUM_BYTES) -> None:
        self._overlong = 0
        self._maximum_bytes = maximum_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk; return the lines it completes, without their ends."""
        first, *rest = chunk.split(b"\n")
        self._hold(first)
        if not rest:
            return []
        lines = [self._release(), *rest[:-1]]
        self._hold(rest[-1])
        return [line for line in lines if line and not line.isspace()]

    def take_overlong(self) -> int:
        """How many lines were too long since this was asked last."""
        count, self._overlong = self._overlong, 0
        return count

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes <= self._maximum_bytes:
            self._held.append(piece)
        elif len(self._held) != 1 or len(self._held[0]) != KEPT_BYTES:
            self._held = [b"".join([*self._held, piece])[:KEPT_BYTES]]

    def _release(self) -> bytes:
        self._overlong += self._held_bytes > self._maximum_bytes
        line = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        return line
