"""Which endings lose something, need a person, or have the subject read again."""

from __future__ import annotations

import pytest

from operators.model import outcome as module
from operators.model.outcome import FAULTS, LOST, NEWER, SPILLED, Ending, Outcome

NAMED = [one for one in vars(module).values() if isinstance(one, Outcome)]


def test_only_what_was_spilled_is_read_again() -> None:
    assert SPILLED in NAMED
    assert [one for one in NAMED if one.must_reread] == [SPILLED]
    assert not NEWER.must_reread


@pytest.mark.parametrize("ending", Ending)
def test_a_reason_alone_has_nothing_read_again(ending: Ending) -> None:
    assert Outcome(ending, "spilled").must_reread is (ending is Ending.COALESCED)


def test_faults_and_losses_are_these() -> None:
    assert {Ending.DEAD_LETTERED, Ending.FAILED} == FAULTS
    assert {Ending.DROPPED, Ending.INTERRUPTED, *FAULTS} == LOST


def test_every_outcome_of_this_module_says_why() -> None:
    assert all(one.reason and one.detail for one in NAMED)
