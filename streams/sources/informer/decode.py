"""Decoding what the API server sends: lines, envelopes, objects in one typed pass, pages of lists, and Statuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from operators.model.event import Body, UndecodableError
from operators.rules.paths import Head, ObjectMetadata, Path, Projection
from streams.cluster.response import UNDECODABLE

MAXIMUM_LINE_BYTES = 16 * 1024 * 1024
"""Ten times the largest object etcd takes (1.5 MiB)."""
KEPT_BYTES = 1024
"""What is kept of a longer line: enough to recognise it in a dead letter, too little to decode."""

_MANAGED_FIELDS = b'"managedFields":'
_NOTHING = msgspec.Raw()
_ENVELOPES = tuple(
    (b'{"type":"%s","object":' % name.encode(), name)
    for name in ("MODIFIED", "ADDED", "DELETED", "BOOKMARK")
)
"""How kube-apiserver's encoder begins a watch event (apimachinery, ``metav1.WatchEvent``), the most frequent first.

Not ``ERROR``: a Status is read from whatever bytes, so that a wrong cut would not be noticed.
"""


class UnreadableError(ValueError):
    """Bytes that are not what the API server should have sent."""


class WatchEvent(msgspec.Struct, gc=False):
    """One event of a watch: its type, and its object's bytes, not yet decoded."""

    type: str
    object: bytes


class DecodedObject(msgspec.Struct, frozen=True, gc=False):
    """One object as it was read."""

    key: str
    """``namespace/name``, with an empty namespace kept."""
    namespace: str
    name: str
    uid: str
    version: str
    is_terminating: bool
    """Whether it has a deletionTimestamp: its deletion was requested, and waits for finalizers."""
    raw: bytes
    """Its JSON with ``managedFields`` emptied."""
    head: Head | None
    """None where the metadata alone could be decoded."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; ``token`` requests the next one, and is "" in the last."""

    version: str
    token: str
    objects: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class Status:
    """What a ``metav1.Status`` holds; 0 and "" for what it lacks."""

    code: int
    reason: str
    message: str
    retry_after_seconds: float
    token: str
    """Continues a list whose token expired, at a newer version."""


class _Envelope(msgspec.Struct, gc=False):
    type: str
    object: msgspec.Raw


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
    """Null in an empty list; required, because a Table has none and must not be taken for an empty list."""


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


_Decode = Callable[[bytes], Head]

_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_versioned = msgspec.json.Decoder(_Versioned).decode
_decode_list = msgspec.json.Decoder(_List).decode
_decode_status = msgspec.json.Decoder(_Status).decode
_decode_body = msgspec.json.Decoder(Body).decode
_metadata_alone = Projection(Head)


class LineSplitter:
    """Splits the chunks of a stream into lines; holds at most one unfinished line.

    A longer line than ``maximum_bytes`` is cut to its first KiB, so that it ends as a dead letter. What is left when
    the stream ends is a part of an event and is discarded: the watch resumes before it. Blank lines are left out.
    """

    __slots__ = ("_held", "_held_bytes", "_maximum_bytes")

    def __init__(self, maximum_bytes: int = MAXIMUM_LINE_BYTES) -> None:
        self._maximum_bytes = maximum_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0

    def split(self, chunk: bytes) -> list[bytes]:
        """Return the lines that a chunk completes, without their ends."""
        first, *rest = chunk.split(b"\n")
        self._hold(first)
        if not rest:
            return []
        lines = [self._release(), *rest[:-1]]
        self._hold(rest[-1])
        return [line for line in lines if line and not line.isspace()]

    def _hold(self, piece: bytes) -> None:
        self._held_bytes += len(piece)
        if self._held_bytes <= self._maximum_bytes:
            self._held.append(piece)
        elif len(self._held) != 1 or len(self._held[0]) != KEPT_BYTES:
            self._held = [b"".join([*self._held, piece])[:KEPT_BYTES]]

    def _release(self) -> bytes:
        line = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        return line


class ObjectReader:
    """Decodes objects in one typed pass: metadata, the fields of a head, and the paths that rules read.

    One per informer, for all its subscribers: it reads the union of what they read. The union never shrinks; an
    informer ends with its last subscriber. Where ``is_metadata_only`` (Secrets), nothing but the metadata is decoded.
    """

    __slots__ = ("_decode", "_decode_typed", "_head", "_is_metadata_only", "_reads")

    def __init__(
        self,
        head: type[Head] = Head,
        reads: frozenset[Path] = frozenset(),
        *,
        is_metadata_only: bool = False,
    ) -> None:
        self._head: type[Head] = head
        self._reads = reads
        self._is_metadata_only = is_metadata_only
        self._decode_typed, self._decode = self._decoders()

    def extend(self, head: type[Head], reads: frozenset[Path]) -> None:
        """Read more: the fields of a head, and paths.

        Raises ``TypeError`` for a head that neither extends the present one nor is extended by it: one object is
        decoded into one head.
        """
        if not issubclass(head, self._head):
            if not issubclass(self._head, head):
                raise TypeError(
                    f"found the head {head.__name__}, allowed: {self._head.__name__}, one that extends it, or its base"
                )
            head = self._head
        if head is not self._head or not reads <= self._reads:
            self._head, self._reads = head, self._reads | reads
            self._decode_typed, self._decode = self._decoders()

    def read(self, raw: bytes) -> DecodedObject:
        """Decode an object; raises ``UnreadableError`` for one without a name, a uid or a resourceVersion.

        An object whose metadata can be decoded but not its head has none: it is known, and ends as a dead letter.
        """
        try:
            head: Head | None = self._decode_typed(raw)
            metadata = head.metadata
        except UNDECODABLE:
            head, metadata = self._read_leniently(raw)
        if not (metadata.name and metadata.uid and metadata.resource_version):
            raise UnreadableError("an object without a name, a uid or a resourceVersion")
        managed = bytes(metadata.managed_fields)
        # Cleared at once: it refers to the whole of the bytes, and would keep them in memory as long as the head.
        metadata.managed_fields = _NOTHING
        if len(managed) > len(b"[]"):
            raw = _without(managed, raw)
        return DecodedObject(
            f"{metadata.namespace}/{metadata.name}",
            metadata.namespace,
            metadata.name,
            metadata.uid,
            metadata.resource_version,
            metadata.deletion_timestamp is not None,
            raw,
            head,
        )

    def _read_leniently(self, raw: bytes) -> tuple[Head | None, ObjectMetadata]:
        """Decode an object of which some field has another type than declared, or else its metadata alone."""
        try:
            head = self._decode(raw)
        except UndecodableError:
            return None, _metadata_of(raw)
        return head, head.metadata

    def _decoders(self) -> tuple[_Decode, _Decode]:
        """The decoder of objects as declared, which makes no Python call, and the lenient one."""
        if not self._is_metadata_only:
            projection = Projection(self._head, self._reads)
            return projection.decode_typed, projection.decode
        head = self._head
        reads = {path for path in self._reads if path[:1] == ("metadata",)}
        decode = Projection(Head, reads).decode

        def decode_metadata(raw: bytes) -> Head:
            # Whatever else the server sent of a Secret stays undecoded, and the fields of the head keep their defaults.
            return head(metadata=decode(raw).metadata)

        return decode_metadata, decode_metadata


def recognise_watch_event(line: bytes) -> WatchEvent:
    """Cut the object out of a watch event by the bytes that kube-apiserver writes around it, without decoding.

    Where the rest is not one JSON object, decoding it fails, and ``decode_watch_event`` decides.
    Raises ``UnreadableError`` for any other spacing or order of fields.
    """
    for prefix, name in _ENVELOPES:
        if line.startswith(prefix) and line.endswith(b"}"):
            return WatchEvent(name, line[len(prefix) : -1])
    raise UnreadableError("another encoding of a watch event than kube-apiserver's")


def decode_watch_event(line: bytes) -> WatchEvent:
    """Decode a watch event of any spacing and order of fields; raises ``UnreadableError``."""
    try:
        envelope = _decode_envelope(line)
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None
    return WatchEvent(envelope.type, bytes(envelope.object))


def read_version(raw: bytes) -> str:
    """Read the resourceVersion of a bookmark; raises ``UnreadableError``."""
    try:
        return _decode_versioned(raw).metadata.resource_version
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None


def read_page(body: bytes) -> Page:
    """Read a page of a list; raises ``UnreadableError`` for anything else, a Table included."""
    try:
        page = _decode_list(body)
    except UNDECODABLE as error:
        raise UnreadableError(str(error)) from None
    if not page.metadata.resource_version:
        raise UnreadableError("a list without a resourceVersion")
    return Page(page.metadata.resource_version, page.metadata.continue_, page.items or [])


def read_status(body: bytes) -> Status:
    """Read a Status; of other bytes, an empty one."""
    try:
        status = _decode_status(body)
    except UNDECODABLE:
        status = _Status()
    wait_seconds = float(status.details.retry_after_seconds) if status.details else 0.0
    return Status(
        status.code, status.reason, status.message, wait_seconds, status.metadata.continue_
    )


def _metadata_of(raw: bytes) -> ObjectMetadata:
    try:
        return _metadata_alone.decode(raw).metadata
    except UndecodableError as error:
        raise UnreadableError(str(error)) from None


def _without(managed: bytes, raw: bytes) -> bytes:
    """Empty ``managedFields``: often half of an object, and never a signal.

    The key is searched for, and not the whole: ``bytes.replace`` takes 14 us to find a kilobyte, this takes 2.
    """
    start = raw.find(_MANAGED_FIELDS)
    while start >= 0:
        start += len(_MANAGED_FIELDS)
        if raw.startswith(managed, start):
            return b"".join((raw[:start], b"[]", raw[start + len(managed) :]))
        start = raw.find(_MANAGED_FIELDS, start)
    return _emptied(raw)


def _emptied(raw: bytes) -> bytes:
    # White space behind the colon: kube-apiserver writes none, other servers may.
    try:
        body = _decode_body(raw)
        body["metadata"]["managedFields"] = []
        return msgspec.json.encode(body)
    except (
        UNDECODABLE
    ) as error:  # the body is decoded here alone, and may hold bytes that are not UTF-8
        raise UnreadableError(str(error)) from None
