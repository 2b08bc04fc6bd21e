"""Reading what the API server sends: the envelope and the metadata, never the body."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from operators.model.event import Body, Change
from streams.cluster.answer import UNDECODABLE
from streams.sources.informer.notice import Notice

_KEY = b'"managedFields":'
_NOTHING = msgspec.Raw()


class UnreadableError(ValueError):
    """Bytes that are not what the API server should have sent."""


class Line(msgspec.Struct, gc=False):
    """One event of a watch."""

    type: str
    object: msgspec.Raw


class _Metadata(msgspec.Struct, rename="camel", gc=False):
    name: str
    uid: str
    resource_version: str
    namespace: str = ""
    deletion_timestamp: str | None = None
    managed_fields: msgspec.Raw = _NOTHING


class _Object(msgspec.Struct, gc=False):
    metadata: _Metadata


class _VersionMetadata(msgspec.Struct, rename="camel", gc=False):
    resource_version: str


class _Versioned(msgspec.Struct, gc=False):
    metadata: _VersionMetadata


class _ListMetadata(msgspec.Struct, rename="camel"):
    resource_version: str
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None
    """Null where empty; a Table has none, and must not be taken for a list of nothing."""


class _Details(msgspec.Struct, rename="camel"):
    retry_after_seconds: int = 0


class _StatusMetadata(msgspec.Struct):
    continue_: str = msgspec.field(name="continue", default="")


class _Status(msgspec.Struct):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None
    metadata: _StatusMetadata = msgspec.field(default_factory=_StatusMetadata)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; ``token`` asks for the next, "" after the last."""

    version: str
    token: str
    objects: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Status:
    """What the server says of a failure; zero and empty where it says nothing."""

    code: int
    reason: str
    message: str
    retry_after_seconds: float
    token: str
    """With which a list whose token expired may be continued at a newer version."""


@dataclass(slots=True)
class Found:
    """One object as it was read, without its ``managedFields``."""

    namespace: str
    name: str
    uid: str
    version: str
    is_terminating: bool
    raw: bytes

    @property
    def key(self) -> str:
        """Namespace and name, as ``RawEvent.key``."""
        return f"{self.namespace}/{self.name}"

    def notice(self, change: Change, *, initial: bool = False) -> Notice:
        """Tell of this object."""
        return Notice(change, self.namespace, self.name, self.uid, self.version, self.raw, initial)


_line = msgspec.json.Decoder(Line)
_object = msgspec.json.Decoder(_Object)
_versioned = msgspec.json.Decoder(_Versioned)
_list = msgspec.json.Decoder(_List)
_status = msgspec.json.Decoder(_Status)
_body = msgspec.json.Decoder(Body)


def read_line(line: bytes) -> Line:
    """Read the envelope of a watch event; raises ``UnreadableError``."""
    try:
        return _line.decode(line)
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None


def read_object(raw: bytes) -> Found:
    """Read whose state this is; raises ``UnreadableError`` without a name, a uid and a version."""
    try:
        metadata = _object.decode(raw).metadata
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None
    if not (metadata.name and metadata.uid and metadata.resource_version):
        raise UnreadableError("an object without a name, a uid or a resourceVersion")
    return Found(
        metadata.namespace,
        metadata.name,
        metadata.uid,
        metadata.resource_version,
        metadata.deletion_timestamp is not None,
        _without(bytes(metadata.managed_fields), bytes(raw)),
    )


def read_version(raw: bytes) -> str:
    """Read the version a bookmark brings; raises ``UnreadableError``."""
    try:
        return _versioned.decode(raw).metadata.resource_version
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None


def read_page(body: bytes) -> Page:
    """Read a page of a list; raises ``UnreadableError`` for anything else, a Table included."""
    try:
        page = _list.decode(body)
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None
    if not page.metadata.resource_version:
        raise UnreadableError("a list without a resourceVersion")
    return Page(page.metadata.resource_version, page.metadata.continue_, page.items or [])


def read_status(body: bytes) -> Status:
    """Read a Status; all is empty where the bytes are none."""
    try:
        status = _status.decode(body)
    except UNDECODABLE:
        status = _Status()
    wait_seconds = float(status.details.retry_after_seconds) if status.details else 0.0
    return Status(
        status.code, status.reason, status.message, wait_seconds, status.metadata.continue_
    )


def unreadable(raw: bytes) -> Notice:
    """Tell of bytes nobody can read, so that they end as a dead letter and not in silence."""
    return Notice(Change.MODIFIED, "", "", "", "", raw)


def _without(managed: bytes, raw: bytes) -> bytes:
    """Empty ``managedFields``: often half of an object, and never anybody's signal."""
    if len(managed) <= len(b"[]"):
        return raw
    cut = raw.replace(_KEY + managed, _KEY + b"[]", 1)
    return cut if len(cut) < len(raw) else _emptied(raw)


def _emptied(raw: bytes) -> bytes:
    # The server put white space behind the colon: no API server of Kubernetes does, others may.
    try:
        body = _body.decode(raw)
        body["metadata"]["managedFields"] = []
        return msgspec.json.encode(body)
    except UNDECODABLE as error:  # the body is decoded here alone, and may hold what is no text
        raise UnreadableError(str(error)) from None
