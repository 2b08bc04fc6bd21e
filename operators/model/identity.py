"""Names that are the same after every restart: digests of identities, never ``generateName``."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import msgspec

SOURCE_CHARACTERS = 20
DIGEST_CHARACTERS = 20
"""100 bits: two identities share a name once in 10^15 at a million Observations."""
LABEL_CHARACTERS = 63
"""The longest label value Kubernetes accepts (apimachinery, validation.LabelValueMaxLength)."""

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]
_PAIR_BITS, _PAIR_MASK = 10, 1023
_DIGEST_BITS = 256

_canonical = msgspec.json.Encoder(order="deterministic")


def canonical(value: object) -> bytes:
    """Encode a value as JSON with sorted keys: equal values give equal bytes."""
    return _canonical.encode(value)


def digest(value: object, *, characters: int) -> str:
    """Take the first characters (an even number, 50 at most) of the base32 of the SHA-256 of a value's canonical JSON.

    The alphabet is that of RFC 4648, 6, in lower case: the API server refuses upper case in names. Taken in pairs, as
    every event is named, and ``base64.b32encode`` would be a tenth of what a filtered one costs.
    """
    bits = int.from_bytes(hashlib.sha256(canonical(value)).digest())
    last = _DIGEST_BITS - characters // 2 * _PAIR_BITS
    shifts = range(_DIGEST_BITS - _PAIR_BITS, last - 1, -_PAIR_BITS)
    return "".join([_PAIRS[bits >> shift & _PAIR_MASK] for shift in shifts])


def observation_name(source: str, identity: Sequence[str]) -> str:
    """Name the one Observation of an identity: ``<source>-<digest>``.

    The source is cut to 20 characters and its dashes trimmed (``^[a-z0-9-]+$`` permits ``-x``), ``obs`` if
    nothing is left.
    """
    readable = source[:SOURCE_CHARACTERS].strip("-") or "obs"
    return f"{readable}-{digest(identity, characters=DIGEST_CHARACTERS)}"


def label_value(text: str) -> str:
    """Make a label value of a text: as it is, or cut and ended by a digest beyond 63 characters."""
    if len(text) <= LABEL_CHARACTERS and text == text.strip("-._"):
        return text
    kept = text[: LABEL_CHARACTERS - DIGEST_CHARACTERS - 1].strip("-._")
    return f"{kept}-{digest(text, characters=DIGEST_CHARACTERS)}".lstrip("-")
