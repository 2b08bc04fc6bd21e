from __future__ import annotations

import math

import pytest

from operators.model.severity import priority_of, rank, severity_of


def test_the_order_of_severities() -> None:
    words = ["critical", "high", "medium", "low", "info"]

    assert sorted(words, key=rank, reverse=True) == words
    assert rank("UNKNOWN") == rank("info")
    assert rank("HIGH") == rank("high")


@pytest.mark.parametrize("own", [0, 1, 0.0, 0.35, 1.0])
def test_an_events_own_priority_counts(own: float) -> None:
    assert priority_of(own, severity="critical") == own


@pytest.mark.parametrize("own", [None, "0.3", True, -0.1, 1.1, 1000, math.nan, [0.3]])
def test_what_is_no_priority_counts_for_nothing(own: object) -> None:
    assert priority_of(own, severity="high") == 0.7


@pytest.mark.parametrize(
    ("severity", "least", "below"),
    [
        ("critical", 0.9, 1.1),
        ("high", 0.7, 0.9),
        ("medium", 0.4, 0.7),
        ("low", 0.2, 0.4),
        ("info", 0.0, 0.2),
        (severity_of("gibberish"), 0.0, 0.2),
    ],
)
def test_a_severity_has_a_priority_in_its_band(severity: str, least: float, below: float) -> None:
    assert least <= priority_of(None, severity=severity) < below
