"""What a source says: a ``RawEvent``, and the kind of object it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import msgspec

from operators.model.outcome import Outcome

Body = dict[str, Any]
"""A decoded object; whoever decoded it owns it and may change it."""

RECORD_BYTES = 400
"""What an event weighs beside its raw bytes: the event, its ticket, its marks (measured, rounded up)."""


class Change(StrEnum):
    """What happened to the object, as the source saw it."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    RESYNC = "RESYNC"
    """Nothing happened: the object was read again because its source asks for that now and then."""


class Departure(StrEnum):
    """Why an object is no longer there for its source."""

    DELETED = "deleted"
    LEFT_SELECTOR = "left_selector"
    """It lives on, but the source's selector no longer matches it."""
    UNWANTED = "unwanted"
    """It lives on, but the filter does not want it as it is now."""


class UndecodableError(ValueError):
    """The bytes of an event are not a JSON object."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """The few fields of an object that classify it, whatever its kind; ``None`` and empty where it has none."""

    severity: object = None
    priority: object = None
    rule: object = None
    results: msgspec.Raw = msgspec.Raw()
    """A policy report's, not yet decoded."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as the API server's discovery names it."""

    group: str
    version: str
    resource: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """``group/version``, or the version alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(slots=True)
class RawEvent:
    """One thing a source said, untouched.

    ``raw`` is the object's JSON without ``managedFields``; it is decoded when somebody asks for the body.
    A tombstone of which only the identity is known has none. ``acknowledge`` is the source's own ear: it
    is told how the event ended, after the ledger.
    """

    kind: Kind
    change: Change
    namespace: str
    name: str
    uid: str
    version: str
    raw: bytes
    initial: bool = False
    final_state_unknown: bool = False
    departure: Departure = Departure.DELETED
    acknowledge: Callable[[RawEvent, Outcome], None] | None = None

    @property
    def key(self) -> str:
        """By which events are ordered and coalesced: namespace and name, never the uid; empty without a name."""
        return f"{self.namespace}/{self.name}" if self.name else ""

    @property
    def size_bytes(self) -> int:
        """What the event takes of the room while it is in the pipeline."""
        return len(self.raw) + RECORD_BYTES

    def head(self) -> Head:
        """Decode what classifies the object, and pass over the rest; several times faster than the body.

        Raises ``UndecodableError`` where the bytes are no JSON object; what is passed over is not looked into.
        """
        try:
            return _head.decode(self.raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise UndecodableError(str(error)) from None

    def body(self) -> Body:
        """Decode the object anew; the caller owns the result.

        Items of built-in lists come without ``kind`` and ``apiVersion``: both are filled in.
        Raises ``UndecodableError`` where the bytes are no JSON object.
        """
        try:
            decoded: object = msgspec.json.decode(self.raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UndecodableError(str(error)) from None
        if not isinstance(decoded, dict):
            raise UndecodableError(f"found {type(decoded).__name__}, an object is allowed")
        body = cast("Body", decoded)
        body["apiVersion"] = self.kind.api_version
        body["kind"] = self.kind.kind
        return body


_head = msgspec.json.Decoder(Head)
