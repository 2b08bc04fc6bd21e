"""Text from elsewhere made fit for one line of a log, a condition or a probe."""

from __future__ import annotations

import re
from typing import Final

CONTROL_CHARACTERS: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+"
)
"""Runs of C0 and C1 controls, the line and paragraph separators, and what changes the direction of text (UAX #9).

With the last, a line would not read as it was written ("Trojan Source", CVE-2021-42574).
"""


def one_line(text: str) -> str:
    """Replace each run of control characters by one space, and strip both ends."""
    return CONTROL_CHARACTERS.sub(" ", text).strip()
