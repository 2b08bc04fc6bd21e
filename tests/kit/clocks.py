"""A monotonic clock that a test holds."""

from __future__ import annotations


class Ticks:
    """Goes on by so many nanoseconds whenever somebody looks; 0 is moved by hand."""

    def __init__(self, step_ns: int) -> None:
        self.now_ns = 0
        self.step_ns = step_ns

    def __call__(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns
