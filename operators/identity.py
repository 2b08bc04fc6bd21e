"""Names that are the same after every restart: digests of identities, never ``generateName``."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

import msgspec

SOURCE_CHARACTERS = 20
DIGEST_CHARACTERS = 20
"""100 bits: two identities share a name once in 10^15 at a million Observations."""
LABEL_CHARACTERS = 63
"""The longest label value Kubernetes accepts (apimachinery, validation.LabelValueMaxLength)."""

_QUANTUM_BYTES, _QUANTUM_CHARACTERS = 5, 8
"""Base32 makes eight characters of each five bytes (RFC 4648, 6): no more is encoded than is read."""

_canonical = msgspec.json.Encoder(order="deterministic")


def canonical(value: object) -> bytes:
    """Encode a value as JSON with sorted keys: equal values give equal bytes."""
    return _canonical.encode(value)


def digest(value: object, *, characters: int) -> str:
    """Take the first characters of the lower-case base32 of the SHA-256 of a value's canonical JSON.

    Lower case because the API server refuses upper case in names.
    """
    hashed = hashlib.sha256(canonical(value)).digest()
    needed = -(-characters // _QUANTUM_CHARACTERS) * _QUANTUM_BYTES
    return base64.b32encode(hashed[:needed]).decode().lower()[:characters]


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
