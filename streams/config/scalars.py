"""What a bare word of YAML means: kubectl's reading (go-yaml 2, resolve.go), not a newer YAML's."""

from __future__ import annotations

import math
import re

Scalar = str | int | float | bool | None

_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(
        ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"], True
    ),
    **dict.fromkeys(
        ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"], False
    ),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys(
        (".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"),
        math.inf,
    ),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_WHOLE = re.compile(r"([-+]?)(?:0[bB]([01]+)|0[oO]?([0-7]+)|0[xX]([0-9a-fA-F]+)|(0|[1-9][0-9]*))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BASES = (2, 8, 16, 10)
_MAX_CHARACTERS = 64
"""No number that anyone means is longer; text that long is text."""
_LEAST, _MOST = -(2**63), 2**64 - 1
_EXPONENT_FROM = 1e21
"""From here on Go writes a float with an exponent, and below without: a whole one reads as an integer."""


def scalar(text: str) -> Scalar:
    """Read a bare word: null, a boolean, a number, or else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789" or len(text) > _MAX_CHARACTERS:
        return text
    number = _number(text.replace("_", ""))
    return text if number is None else number


def _number(plain: str) -> int | float | None:
    match = _WHOLE.fullmatch(plain)
    if match is not None:
        digits = next(
            int(found, base)
            for found, base in zip(match.groups()[1:], _BASES, strict=True)
            if found is not None
        )
        whole = -digits if match[1] == "-" else digits
        if _LEAST <= whole <= _MOST:
            return whole
    if not _FLOAT.fullmatch(plain):
        return None
    number = float(plain)
    if math.isinf(number):
        return None
    return int(number) if number.is_integer() and abs(number) < _EXPONENT_FROM else number
