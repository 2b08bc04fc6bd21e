"""Regular expressions as the API server has them: RE2's, found anywhere in the text, in linear time."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

import re2 as _re2  # pyright: ignore[reportMissingTypeStubs]

_re2_module = cast("Any", _re2)

_COMPILED = 512
"""Far more patterns than the schemas of a demonstration have; the oldest is compiled again."""


class PatternError(ValueError):
    """RE2 does not take the pattern."""


def matches(pattern: str, text: str) -> bool:
    """Whether the text holds the pattern; raises PatternError."""
    return _compiled(pattern).search(text) is not None


def check(pattern: str) -> None:
    """Raise PatternError for a pattern that is none."""
    _compiled(pattern)


@lru_cache(maxsize=_COMPILED)
def _compiled(pattern: str) -> re.Pattern[str]:
    options = _re2_module.Options()
    options.log_errors = False
    try:
        return cast("re.Pattern[str]", _re2_module.compile(pattern, options))
    except _re2_module.error as failure:
        raise PatternError(f"{failure}") from failure
