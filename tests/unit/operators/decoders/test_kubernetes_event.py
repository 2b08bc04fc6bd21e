from __future__ import annotations

import pytest

from operators.decoders.kubernetes_event import EVIDENCE_NAMES, is_told, occurrences, with_tally
from operators.model.index import Known
from operators.model.observation import Tally


def known(evidence: dict[str, int], base: int = 0) -> Known:
    return Known("f", "t", "t", base=base, evidence=evidence)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({}, 1),
        ({"count": 0}, 1),
        ({"count": -3}, 1),
        ({"count": 7}, 7),
        ({"count": 7, "series": {"count": 9}}, 9),
        ({"deprecatedCount": 4}, 4),
    ],
)
def test_occurrences(body: dict[str, object], count: int) -> None:
    assert occurrences(body) == count


def test_a_higher_count_replaces_a_lower_one_starts_a_new_run() -> None:
    base, names = with_tally(known({"a": 3}), Tally("a", 5, "t"), is_alive=lambda _: True)
    assert (base, names) == (0, {"a": 5})
    base, names = with_tally(known({"a": 5}), Tally("a", 2, "t"), is_alive=lambda _: True)
    assert (base, names) == (5, {"a": 2})


def test_the_same_count_is_told_already() -> None:
    assert is_told(known({"a": 3}), Tally("a", 3, "t"))
    assert not is_told(known({"a": 3}), Tally("a", 4, "t"))
    assert not is_told(known({"a": 3}), Tally("b", 3, "t"))


def test_only_names_whose_event_is_gone_fall_out_and_their_counts_stay() -> None:
    evidence = {f"p.{n:x}": 2 for n in range(EVIDENCE_NAMES)}
    before = known(evidence)
    base, names = with_tally(before, Tally("p.ff", 1, "t"), is_alive=lambda name: name != "p.5")
    assert base == 2
    assert "p.5" not in names
    assert base + sum(names.values()) == before.count + 1
    base, names = with_tally(before, Tally("p.ff", 1, "t"), is_alive=lambda _: True)
    assert (base, len(names)) == (0, EVIDENCE_NAMES + 1)
