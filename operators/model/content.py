"""What of an object's content may be shown, and what of it is compared: masking, and the fingerprint of a state.

Both walk every value of every object that is described, so what follows from the keys of an object alone is computed
once for all objects that have the same keys.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

from operators.model.event import Body
from operators.model.identity import canonical

V = TypeVar("V")

SHAPES_MAXIMUM = 1024
SHAPE_MAXIMUM_BYTES = 4096
"""An object may have any keys: what is computed for a shape that takes more than this is not kept."""
_KEY_BYTES, _CHARACTER_BYTES = 64, 4
"""What a key and each of its characters take at most."""


class ShapeCache(Generic[V]):
    """Caches a function of tuples of keys; at most 1,024 results, 4 MB in all, and is emptied when it is full.

    Objects of one kind have few shapes and many members: a walk over them pays for the shapes alone.
    """

    __slots__ = ("_compute", "_known")

    def __init__(self, compute: Callable[[tuple[str, ...]], V]) -> None:
        """``compute`` must not return None."""
        self._compute = compute
        self._known: dict[tuple[str, ...], V] = {}

    def __len__(self) -> int:
        """How many results are cached."""
        return len(self._known)

    def of(self, keys: Iterable[str]) -> V:
        """Return the result for an object with these keys, in this order."""
        shape = tuple(keys)
        known = self._known.get(shape)
        return self._computed(shape) if known is None else known

    def _computed(self, shape: tuple[str, ...]) -> V:
        result = self._compute(shape)
        size_bytes = _CHARACTER_BYTES * sum(map(len, shape)) + _KEY_BYTES * len(shape)
        if size_bytes <= SHAPE_MAXIMUM_BYTES:
            if len(self._known) >= SHAPES_MAXIMUM:
                self._known.clear()
            self._known[shape] = result
        return result


# Masking: values under keys that name secrets, and values that look like tokens, become ``***``.

MASK = "***"

_SECRET_WORDS = (
    "password",
    "passwd",
    "token",
    "secret",
    "apikey",
    "privatekey",
    "authorization",
    "cookie",
)

# A JSON Web Token is looked for only where a run of its characters begins, so that adversarial input is read a bounded
# number of times: linear, where a bare ``eyJ[...]{10,}\.`` would be quadratic. What stands before it in its run, as in
# ``access_token%3DeyJ...``, is masked with it.
_TOKEN = re.compile(
    r"(?<![\w-])(?=[\w-]*eyJ[\w-]{10})[\w-]+\.[\w-]{10,}\.[\w-]+"
    r"|AKIA[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{36,}",
    re.ASCII,
)
_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
SHORTEST_CHARACTERS = 20
"""No shorter text holds a token or a key: most texts of an object need no search."""


def names_a_secret(key: str) -> bool:
    """Whether a key names a secret: ``dbPassword``, ``api-key``, ``Set-Cookie``."""
    return _cached(key) if len(key) <= CACHED_CHARACTERS else _names_a_secret(key)


def _names_a_secret(key: str) -> bool:
    plain = key.lower().replace("-", "").replace("_", "").replace(".", "").replace(" ", "")
    return any(word in plain for word in _SECRET_WORDS)


CACHED_CHARACTERS = 128
"""Longer keys are not cached: a key may be as long as its object."""
_cached = lru_cache(maxsize=4096)(_names_a_secret)


def redacted_text(text: str) -> str:
    """Mask what looks like a token in a text; a text that holds a private key is masked entirely."""
    if len(text) < SHORTEST_CHARACTERS:
        return text
    if "PRIVATE KEY" in text and _KEY.search(text):
        return MASK
    if "eyJ" in text or "AKIA" in text or "gh" in text:
        return _TOKEN.sub(MASK, text)
    return text


def redact(value: Any) -> Any:  # noqa: ANN401  JSON of any shape
    """Mask the secrets of a decoded JSON value in place, and return it.

    Raises ``RecursionError`` where it is nested deeper than the interpreter recurses.
    """
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, dict):
        _redact_object(cast("dict[str, Any]", value))
    elif isinstance(value, list):
        _redact_list(cast("list[Any]", value))
    return cast("Any", value)


def _secret_keys(keys: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    return tuple(key for key in keys if names_a_secret(key)), "name" in keys and "value" in keys


_SHAPES = ShapeCache(_secret_keys)
"""The keys that name a secret, and whether the object is a name and value pair, as in a container's environment."""


def _redact_object(fields: dict[str, Any]) -> None:
    secret_keys, is_pair = _SHAPES.of(fields)
    if is_pair and isinstance(fields["name"], str) and names_a_secret(fields["name"]):
        fields["value"] = _masked(fields["value"])
    for key in secret_keys:
        fields[key] = _masked(fields[key])
    _redact_values(fields)


def _redact_values(fields: dict[str, Any]) -> None:
    # By exact class, as JSON is decoded into: this runs for every value of every object that is described.
    for key, value in fields.items():
        kind = value.__class__
        if kind is str:
            if len(value) >= SHORTEST_CHARACTERS:
                fields[key] = redacted_text(value)
        elif kind is dict:
            _redact_object(value)
        elif kind is list:
            _redact_list(value)


def _redact_list(items: list[Any]) -> None:
    for index, item in enumerate(items):
        kind = item.__class__
        if kind is dict:
            _redact_object(item)
        elif kind is list:
            _redact_list(item)
        elif kind is str:
            items[index] = redacted_text(item)


def _masked(value: Any) -> Any:  # noqa: ANN401  JSON of any shape
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in cast("list[Any]", value)]
    if value is None or isinstance(value, bool):
        return value
    return MASK


# The fingerprint: a digest of everything that would be written, less what is only a time.

HEX_CHARACTERS = 32
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_TIME_SUFFIXES = ("Time", "Timestamp", "timestamp")
_NESTED = frozenset({dict, list})
"""What JSON objects and lists are decoded into, exactly; compared for every value of every object."""


def _time_keys(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if key == "observedGeneration" or key.endswith(_TIME_SUFFIXES))


_TIME_KEYS = ShapeCache(_time_keys)


def without_times(value: Any) -> Any:  # noqa: ANN401  JSON of any shape
    """Copy a JSON value without the fields whose names are those of times, whole subtrees included.

    Kyverno rewrites ``timestamp: {seconds, nanos}`` every hour without another change.
    """
    if isinstance(value, dict):
        kept = cast("dict[str, Any]", value).copy()
        for key in _TIME_KEYS.of(kept):
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
    """The part of an object that is compared: all but its metadata, of which labels and annotations are compared."""
    compared = {key: value for key, value in body.items() if key != "metadata"}
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        fields = cast("dict[str, Any]", metadata)
        compared["metadata"] = {name: fields.get(name) for name in ("labels", "annotations")}
    return cast("Body", without_times(compared))


def compared_content(body: Body, *, fields: Sequence[str] | None) -> object:
    """What makes two occurrences about one object differ: the named fields (dotted paths), else all its content."""
    return content(body) if fields is None else {path: field(body, path) for path in fields}


def fingerprint(
    normalised: Mapping[str, object], body: Body, *, fields: Sequence[str] | None = None
) -> str:
    """Digest a state: the normalised fields and the object's content, or the named fields alone.

    A named field is a dotted path into the object, or one of the normalised fields; an absent one counts as null.
    """
    if fields is None:
        compared: object = [dict(normalised), content(body)]
    else:
        compared = {path: normalised.get(path, field(body, path)) for path in fields}
    return hashlib.sha256(canonical(compared)).hexdigest()[:HEX_CHARACTERS]


def field(body: Body, path: str) -> object:
    """Read a dotted path of an object; None where it leads nowhere."""
    value: object = body
    for part in path.split("."):
        if not isinstance(value, dict):
            return None
        value = cast("dict[str, object]", value).get(part)
    return value
