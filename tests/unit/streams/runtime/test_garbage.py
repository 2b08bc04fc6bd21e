from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from streams.runtime.garbage import ALLOCATIONS, freeze_startup_objects


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Ring:
    """A cycle that only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


def test_startup_objects_are_frozen_and_later_ones_are_still_collected() -> None:
    old = Ring()
    freeze_startup_objects()
    new = Ring()

    looked_at = {id(one) for one in gc.get_objects()}
    assert id(old) not in looked_at
    assert id(new) in looked_at
    del new
    assert gc.collect() >= 1
    assert gc.get_threshold()[0] == ALLOCATIONS
