"""How long ago something was, as kubectl's tables say it."""

from __future__ import annotations

import datetime as dt

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 31_536_000


def age(since: object, *, now: str) -> str:
    """The age at `now`; both are RFC 3339. `<unknown>` of nothing, `<invalid>` of what is no time."""
    if since is None or since == "":
        return "<unknown>"
    try:
        past = dt.datetime.fromisoformat(str(since))
        seconds = (dt.datetime.fromisoformat(now) - past).total_seconds()
    except (ValueError, TypeError):
        return "<invalid>"
    return "<invalid>" if int(seconds) < -1 else duration(max(0, int(seconds)))


def duration(seconds: int) -> str:
    """A duration in the one or two units that matter: `119s`, `5m3s`, `3h20m`, `47h`, `6d4h`, `2y3d`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    for end, unit, name, below, smaller in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if seconds < end:
            rest = seconds % unit // below if below else 0
            return f"{seconds // unit}{name}" + (f"{rest}{smaller}" if rest else "")
    return f"{seconds // _YEAR}y"
