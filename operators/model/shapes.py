"""What the keys of an object alone say, found out once for all objects that have the same keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

V = TypeVar("V")

REMEMBERED_SHAPES = 1024
REMEMBERED_BYTES = 4096
"""An object may have any keys: a shape that weighs more than this is judged each time."""
_KEY_BYTES, _CHARACTER_BYTES = 64, 4
"""What a key and each of its characters weigh at most."""


class Shapes(Generic[V]):
    """Remembers a judgement of tuples of keys; at most 1,024, 4 MB in all, and begins anew when it is full.

    Objects of one kind have few shapes and many members: a walk over them pays for the shapes.
    """

    __slots__ = ("_judge", "_known")

    def __init__(self, judge: Callable[[tuple[str, ...]], V]) -> None:
        """``judge`` must not answer ``None``."""
        self._judge = judge
        self._known: dict[tuple[str, ...], V] = {}

    def __len__(self) -> int:
        """How many shapes are remembered."""
        return len(self._known)

    def of(self, keys: Iterable[str]) -> V:
        """What is to be said of an object with these keys, in this order."""
        shape = tuple(keys)
        known = self._known.get(shape)
        return self._find_out(shape) if known is None else known

    def _find_out(self, shape: tuple[str, ...]) -> V:
        found = self._judge(shape)
        if _CHARACTER_BYTES * sum(map(len, shape)) + _KEY_BYTES * len(shape) <= REMEMBERED_BYTES:
            if len(self._known) >= REMEMBERED_SHAPES:
                self._known.clear()
            self._known[shape] = found
        return found
