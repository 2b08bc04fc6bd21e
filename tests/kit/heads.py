"""What the filter reads of a body, as it is read from the bytes."""

from __future__ import annotations

import msgspec

from operators.model.event import Body, Head


def head_of(body: Body | None) -> Head | None:
    """The head of an object; of a tombstone there is none."""
    return None if body is None else msgspec.json.decode(msgspec.json.encode(body), type=Head)
