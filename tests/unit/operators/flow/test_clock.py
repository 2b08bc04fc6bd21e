"""How moments are written down: in UTC, whatever zone they were told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from operators.model.state import micro_timestamp, timestamp

EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("moment", "whole", "micro"),
    [
        (datetime(2026, 11, 20, 6, tzinfo=UTC), "06:00:00", "06:00:00.000000"),
        (datetime(2026, 11, 20, 8, 0, 59, 999_999, EAST), "06:00:59", "06:00:59.999999"),
    ],
)
def test_a_moment_is_written_as_kubernetes_does(moment: datetime, whole: str, micro: str) -> None:
    assert timestamp(moment) == f"2026-11-20T{whole}Z"
    assert micro_timestamp(moment) == f"2026-11-20T{micro}Z"
