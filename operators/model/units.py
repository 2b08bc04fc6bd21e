"""Durations and quantities as Kubernetes manifests spell them."""

from __future__ import annotations

import re
from decimal import Decimal

MAX_SECONDS = (2**63 - 1) / 1e9
"""About 292 years, the longest duration Go can hold (time.Duration)."""
MAX_BYTES = 2**63 - 1
"""The largest quantity the API server keeps exactly (apimachinery, resource.Quantity)."""
MAX_CHARACTERS = 64

_SECONDS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,  # the micro sign
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
}
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(" + "|".join(_SECONDS) + ")")
_QUANTITY = re.compile(r"\+?([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?")
_SCALE = {
    "": Decimal(1),
    **{prefix + "i": Decimal(1024) ** power for power, prefix in enumerate("KMGTPE", start=1)},
    **{prefix: Decimal(1000) ** power for power, prefix in enumerate("kMGTPE", start=1)},
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
}


def duration_seconds(text: str) -> float:
    """Read a duration such as ``30s``, ``1h30m`` or ``7d`` as seconds; a bare ``0`` needs no unit.

    The units are Go's (time.ParseDuration) and ``d``. Raises ``ValueError`` for anything else,
    for a sign, and for more than ``MAX_SECONDS``.
    """
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError('a duration such as "30s", "1h30m" or "0"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > MAX_SECONDS:
        raise ValueError("a duration of at most 292 years")
    return seconds


def quantity_bytes(value: int | str) -> int:
    """Read a Kubernetes quantity such as ``64Mi``, ``500k`` or ``1e6`` as whole bytes, rounded up.

    Raises ``ValueError`` for anything else, for less than one byte, and for more than ``MAX_BYTES``.
    """
    match = _QUANTITY.fullmatch(str(value)[:MAX_CHARACTERS])
    if match is None:
        raise ValueError('a quantity of bytes such as "64Mi" or 1000000')
    number, suffix = Decimal(match[1]), match[2] or ""
    if suffix in _SCALE:
        number *= _SCALE[suffix]
    elif abs(power := int(suffix[1:])) <= MAX_CHARACTERS:
        number = number.scaleb(power)
    else:
        raise ValueError("a quantity of bytes with a smaller exponent")
    if not 0 < number <= MAX_BYTES:
        raise ValueError(f"a quantity from 1 to {MAX_BYTES} bytes")
    return int(number.to_integral_value(rounding="ROUND_CEILING"))
