"""Secrets do not leave the pipeline: values under telling keys, and values that look like tokens, become ``***``."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, cast

from operators.model.shapes import Shapes

MASK = "***"

_TELLING = (
    "password",
    "passwd",
    "token",
    "secret",
    "apikey",
    "privatekey",
    "authorization",
    "cookie",
)

# A JSON Web Token is looked for only where a run of its characters begins, so that a hostile text is read a bounded
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
"""No text that is shorter holds any of these: most texts of an object need no look."""


def names_a_secret(key: str) -> bool:
    """Whether a key says that its value is a secret: ``dbPassword``, ``api-key``, ``Set-Cookie``."""
    return _remembered(key) if len(key) <= REMEMBERED_CHARACTERS else _names_a_secret(key)


def _names_a_secret(key: str) -> bool:
    plain = key.lower().replace("-", "").replace("_", "").replace(".", "").replace(" ", "")
    return any(word in plain for word in _TELLING)


REMEMBERED_CHARACTERS = 128
"""A key may be as long as its object: such a one is not remembered. Asked of names, and of shapes too heavy to keep."""
_remembered = lru_cache(maxsize=4096)(_names_a_secret)


def redacted_text(text: str) -> str:
    """Mask what looks like a token in a text; a text that holds a private key is masked whole."""
    if len(text) < SHORTEST_CHARACTERS:
        return text
    if "PRIVATE KEY" in text and _KEY.search(text):
        return MASK
    if "eyJ" in text or "AKIA" in text or "gh" in text:
        return _TOKEN.sub(MASK, text)
    return text


def redact(value: Any) -> Any:  # noqa: ANN401  JSON of any shape
    """Mask the secrets of a decoded JSON value in place, and return it.

    Raises ``RecursionError`` where it is nested deeper than the interpreter goes.
    """
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, dict):
        _redact_object(cast("dict[str, Any]", value))
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        for index, item in enumerate(items):
            if isinstance(item, (str, dict, list)):
                items[index] = redact(item)
    return cast("Any", value)


def _telling(keys: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    return tuple(key for key in keys if names_a_secret(key)), "name" in keys and "value" in keys


_SHAPES = Shapes(_telling)
"""The keys that name a secret, and whether the object is such a pair as a container's environment is made of."""


def _redact_object(fields: dict[str, Any]) -> None:
    telling, is_pair = _SHAPES.of(fields)
    if is_pair and isinstance(fields["name"], str) and names_a_secret(fields["name"]):
        fields["value"] = _masked(fields["value"])
    for key in telling:
        fields[key] = _masked(fields[key])
    for key, value in fields.items():
        kind = value.__class__
        if kind is str:
            if len(value) >= SHORTEST_CHARACTERS:
                fields[key] = redacted_text(value)
        elif kind is dict or kind is list:
            redact(value)


def _masked(value: Any) -> Any:  # noqa: ANN401  JSON of any shape
    if isinstance(value, dict):
        return {key: _masked(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in cast("list[Any]", value)]
    if value is None or isinstance(value, bool):
        return value
    return MASK
