"""What the filter reads of a body, as it is read from the bytes."""

from __future__ import annotations

import msgspec

from operators.decoders.generic import GenericHead
from operators.model.event import Body
from operators.rules.lists import OWN_RULE, RESULT_RULES
from operators.rules.paths import Head, Path, Projection

READS: frozenset[Path] = frozenset({OWN_RULE, RESULT_RULES})
"""The paths that any rule may read."""
_PROJECTION = Projection(GenericHead, READS)


def head_of(body: Body | None) -> Head | None:
    """The head of an object with all that rules read; of a tombstone there is none."""
    return None if body is None else _PROJECTION.decode(msgspec.json.encode(body))
