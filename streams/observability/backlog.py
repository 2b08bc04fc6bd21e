"""Encoded traces that wait to be sent: whole ones, within bounds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

SECONDS = 10
"""As long may a collector need to come back without loss, of what the budget lets through."""
SPANS_MOST = 2000 * SECONDS
BYTES_MOST = 16 * 1024 * 1024
"""Whatever the budget, no more memory than this."""
BATCH_SPANS = 512
"""The batch of OpenTelemetry's own processor; one trace more may make it larger."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """The spans of one trace, or of several that are sent together."""

    payload: bytes
    spans: int


class Backlog:
    """First in, first out; what does not fit is refused whole."""

    def __init__(self, *, spans_most: int = SPANS_MOST, bytes_most: int = BYTES_MOST) -> None:
        self.spans = 0
        self.bytes = 0
        self._spans_most = spans_most
        self._bytes_most = bytes_most
        self._waiting: deque[Encoded] = deque()

    @classmethod
    def of(cls, spans_per_second: int) -> Backlog:
        """Room for what so many spans a second make until a collector is back."""
        return cls(spans_most=max(SECONDS * spans_per_second, BATCH_SPANS))

    def put(self, trace: Encoded) -> bool:
        """Take a trace, if there is room for the whole of it."""
        spans, size_bytes = self.spans + trace.spans, self.bytes + len(trace.payload)
        if spans > self._spans_most or size_bytes > self._bytes_most:
            return False
        self.spans, self.bytes = spans, size_bytes
        self._waiting.append(trace)
        return True

    def batch(self) -> list[Encoded]:
        """Take out what is sent next: whole traces, up to the first that completes 512 spans."""
        batch: list[Encoded] = []
        spans = 0
        while self._waiting and spans < BATCH_SPANS:
            trace = self._waiting.popleft()
            batch.append(trace)
            spans += trace.spans
            self.bytes -= len(trace.payload)
        self.spans -= spans
        return batch

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self.spans = self.bytes = 0
