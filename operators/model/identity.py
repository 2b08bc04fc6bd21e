"""Which Observation an event belongs to: the identity, the name and the labels that follow from it.

The identity alone decides: never the content, so that an edit updates the Observation in place, and never the uid, so
that a subject that is deleted and created again under its name continues its Observation.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b32encode

import msgspec

NAME_PREFIX_CHARACTERS = 24
DIGEST_CHARACTERS = 12
"""60 bits: of 230,000,000 clusters with 100,000 Observations of one readable part each, one has two of one name."""
LABEL_CHARACTERS = 63
"""The longest label value (apimachinery, validation.LabelValueMaxLength)."""
LABEL_DIGEST_CHARACTERS = 20

INGESTER_LABEL = "zen.kube-zen.io/ingester"

_NOT_DNS = re.compile(r"[^a-z0-9]+")
_NOT_LABEL = re.compile(r"[^A-Za-z0-9_.-]")

_canonical = msgspec.json.Encoder(order="sorted")


class IngesterKey(msgspec.Struct, frozen=True, gc=False):
    """The namespace and name of an Ingester."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class EventIdentity(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What tells Kubernetes Events of one object apart; counts of all others are added up."""

    object: str = ""
    """The involved object's uid, else ``namespace/kind/name``."""
    reason: str = ""
    type: str = ""
    reporter: str = ""
    class_: str = msgspec.field(default="", name="class")
    """Set by the decoder where one reason has several meanings."""


class OccurrenceIdentity(msgspec.Struct, frozen=True, gc=False):
    """What tells occurrences apart: the deduplication key, and the event that opened its window."""

    key: str
    opened: str


class Identity(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """The identity of an Observation (``spec.identity``, less what changes with the object's versions).

    Empty fields are not part of the hash: one that is added later changes no name.
    """

    ingester: IngesterKey
    source: str = ""
    """Name of the entry of ``spec.sources``; empty where the document has one source."""
    group: str = ""
    resource: str = ""
    """The resource without its version: an object is the same in all versions."""
    namespace: str = ""
    name: str = ""
    part: str = ""
    event: EventIdentity | None = None
    occurrence: OccurrenceIdentity | None = None

    @property
    def object_key(self) -> str:
        """``namespace/name`` of the identified object; of a Kubernetes Event the name is empty."""
        return f"{self.namespace}/{self.name}"


def canonical(value: object) -> bytes:
    """Encode a value as JSON with sorted keys: equal values give equal bytes."""
    return _canonical.encode(value)


def digest(value: object, *, characters: int) -> str:
    """Take the first characters (at most 51) of the lower-case base32 of the SHA-256 of a value's canonical JSON.

    The alphabet is RFC 4648, section 6, in lower case: the API server refuses upper case in names.
    """
    return b32encode(hashlib.sha256(canonical(value)).digest())[:characters].decode().lower()


def observation_name(identity: Identity, *, readable: str) -> str:
    """Name the Observation of an identity: ``<readable>-<digest>``.

    ``readable`` is the name of the object (of a Kubernetes Event: of the involved object); it becomes a DNS label of
    at most 24 characters, ``obs`` if nothing of it is left.
    """
    label = _NOT_DNS.sub("-", readable.lower())[:NAME_PREFIX_CHARACTERS].strip("-") or "obs"
    return f"{label}-{digest(identity, characters=DIGEST_CHARACTERS)}"


def label_value(text: str) -> str:
    """Make a label value of a text: as it is, or cleaned, cut and ended by a digest where it is not a legal one."""
    clean = _NOT_LABEL.sub("-", text)
    if len(text) <= LABEL_CHARACTERS and clean == text == text.strip("-._"):
        return text
    kept = clean[: LABEL_CHARACTERS - LABEL_DIGEST_CHARACTERS - 1].strip("-._")
    return f"{kept}-{digest(text, characters=LABEL_DIGEST_CHARACTERS)}".lstrip("-")


def ingester_label(ingester: IngesterKey) -> str:
    """The value of the label by which an Ingester's Observations are selected: ``namespace.name``."""
    return label_value(f"{ingester.namespace}.{ingester.name}")
