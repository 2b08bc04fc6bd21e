"""What makes two states of a subject the same: everything that would be written, less what only says when."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

from operators.model.event import Body
from operators.model.identity import canonical
from operators.model.shapes import Shapes

HEX_CHARACTERS = 32
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_ONLY_WHEN = ("Time", "Timestamp", "timestamp")
_NESTED = frozenset({dict, list})
"""What JSON is decoded into, exactly; asked of every value of every object."""


def _times(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if key == "observedGeneration" or key.endswith(_ONLY_WHEN))


_TIMES = Shapes(_times)


def without_times(value: Any) -> Any:  # noqa: ANN401  JSON of any shape
    """Copy a JSON value without what only says when: fields named so, whole subtrees included.

    Kyverno rewrites ``timestamp: {seconds, nanos}`` every hour with nothing new.
    """
    if isinstance(value, dict):
        kept = cast("dict[str, Any]", value).copy()
        for key in _TIMES.of(kept):
            del kept[key]
        for key, inner in kept.items():
            if inner.__class__ in _NESTED:
                kept[key] = without_times(inner)
        return kept
    if isinstance(value, list):
        return [
            without_times(inner) if inner.__class__ in _NESTED else inner
            for inner in cast("list[Any]", value)
        ]
    return value


def content(body: Body) -> Body:
    """The part of an object that counts: all but its metadata, of which labels and annotations count."""
    counted = {key: value for key, value in body.items() if key != "metadata"}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        fields = cast("dict[str, Any]", metadata)
        counted["metadata"] = {name: fields.get(name) for name in ("labels", "annotations")}
    return cast("Body", without_times(counted))


def fingerprint(
    normalised: Mapping[str, object], body: Body, *, fields: Sequence[str] | None = None
) -> str:
    """Digest a state: the normalised fields and the object's content, or just the named fields.

    A named field is a dotted path into the object, or one of the normalised fields; what is absent counts as null.
    """
    if fields is None:
        counted: object = [dict(normalised), content(body)]
    else:
        counted = {path: normalised.get(path, field(body, path)) for path in fields}
    return hashlib.sha256(canonical(counted)).hexdigest()[:HEX_CHARACTERS]


def field(body: Body, path: str) -> object:
    """Read a dotted path out of an object; ``None`` where it leads nowhere."""
    value: object = body
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(part)
    return value
