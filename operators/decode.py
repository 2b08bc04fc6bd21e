"""Decode, in two steps with the filter between them: classify by the head, describe by the body.

What classifies an object is read out of its bytes in one typed pass. Its body is decoded, masked and digested only if
the filter wants it; what is skipped is not validated.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from operators.decoders.registry import Decoder
from operators.flow.clock import WallClock
from operators.flow.delivery import Delivery, Operator, detail_of, stage, stage_of_delivery
from operators.model.content import (
    HEX_CHARACTERS,
    LAST_APPLIED,
    compared_content,
    fingerprint,
    redact,
)
from operators.model.event import (
    Body,
    Change,
    ObjectRef,
    ObjectState,
    RawEvent,
    Tombstone,
    UndecodableError,
)
from operators.model.identity import Identity, IngesterKey, OccurrenceIdentity, canonical
from operators.model.observation import Classified, Observation, Occurrence, Removal
from operators.model.outcome import Ending, Outcome
from operators.rules.paths import Head, Path, Projection

EXPIRED = Outcome(
    Ending.FILTERED,
    "expired",
    "the deletion of a Kubernetes Event is its expiry and changes nothing",
)
OCCURRENCE_REMOVED = Outcome(
    Ending.FILTERED, "object removed", "an occurrence stays when its object is removed"
)
_INCOMPLETE = "an object without metadata.name, uid or resourceVersion"
ON_DELETE_IGNORE = Outcome(Ending.FILTERED, "onDelete: ignore")


@dataclass(frozen=True, slots=True)
class PipelineOrigin:
    """Which pipeline the events belong to, and how it observes them; derived from the plan."""

    ingester: IngesterKey
    source: str
    """``spec.source``: the Observations' source."""
    entry: str = ""
    """Name of the entry of ``spec.sources``; empty where the document has one source."""
    occurrences: bool = False
    """Whether each change of an object is an occurrence, in place of its newest state."""
    ignores_removals: bool = False
    """``onDelete: ignore``: the end of a subject changes nothing."""
    compared_fields: tuple[str, ...] | None = None
    """The fields that make two states differ (strategy ``key``); None for the whole content."""

    def identity(self, group: str, resource: str, *, namespace: str, name: str) -> Identity:
        """Return the identity of an object's Observation."""
        return Identity(self.ingester, self.entry, group, resource, namespace, name)

    def namespace_of(self, subject: ObjectRef) -> str:
        """Return the namespace of an object's Observation: the Ingester's for cluster-scoped objects."""
        return subject.namespace or self.ingester.namespace


class Classifier:
    """Classifies the raw events of one pipeline, and names their Observation's identity."""

    def __init__(
        self, origin: PipelineOrigin, decoder: Decoder, *, now: WallClock, reads: frozenset[Path]
    ) -> None:
        self._origin = origin
        self._decoder = decoder
        self._now = now
        self._projection = Projection(decoder.head, reads)

    def decide(self, delivery: Delivery[RawEvent]) -> Classified | Removal | Outcome:
        """Classify one event; bytes without a readable head end ``dead_lettered``, a tombstone becomes a removal."""
        event = delivery.value
        payload = event.payload
        if isinstance(payload, Tombstone):
            return self._removal(event, payload)
        if not isinstance(payload, ObjectState):
            raise TypeError(f"no decoder for a payload of type {type(payload).__name__}")
        head, delivery.head = delivery.head, None
        try:
            head = self._decoded(event.raw) if head is None else head
        except UndecodableError as error:
            return undecodable(event, error)
        if event.subject is None:
            return undecodable(event, UndecodableError(_INCOMPLETE))
        return self._state(event, payload, event.subject, cast("Head", head))

    def _decoded(self, raw: bytes) -> Head:
        head = self._projection.decode(raw)
        head.metadata.managed_fields = (
            msgspec.Raw()
        )  # it would keep the bytes in memory as long as the head
        return head

    def _state(
        self, event: RawEvent, payload: ObjectState, subject: ObjectRef, head: Head
    ) -> Classified:
        origin, resource = self._origin, payload.resource
        classified = self._decoder.classify(event, head, now=self._now())
        classified.source = origin.source
        classified.namespace = origin.namespace_of(subject)
        classified.head = head
        evidence = classified.evidence
        if evidence is not None:
            classified.identity = Identity(
                *(origin.ingester, origin.entry, resource.group, resource.resource),
                classified.namespace,
                "",
                event=evidence.identity,
            )
        else:
            classified.identity = origin.identity(
                resource.group, resource.resource, namespace=subject.namespace, name=subject.name
            )
            classified.is_occurrence = origin.occurrences
        return classified

    def _removal(self, event: RawEvent, tombstone: Tombstone) -> Removal | Outcome:
        origin, resource, subject = self._origin, tombstone.resource, event.subject
        if self._decoder.counts_events:
            return EXPIRED
        if origin.occurrences:
            return OCCURRENCE_REMOVED
        if origin.ignores_removals:
            return ON_DELETE_IGNORE
        if subject is None:
            raise TypeError("a tombstone without a subject")
        identity = origin.identity(
            resource.group, resource.resource, namespace=subject.namespace, name=subject.name
        )
        return Removal(identity, origin.namespace_of(subject), subject, tombstone.reason)


def classify(
    origin: PipelineOrigin,
    decoder: Decoder,
    *,
    now: WallClock,
    reads: frozenset[Path] = frozenset(),
) -> Operator[Delivery[RawEvent], Delivery[Classified | Removal]]:
    """Turn each raw event into a classified one; one without a readable head ends ``dead_lettered``.

    ::

        --a----{----x-->      raw events: an object, bytes that are not one, the tombstone x
        classify(origin, decoder, now=now)
        --A---------X-->      classified; { ends dead_lettered; X is the removal of x's subject

    ``reads`` are the paths that the filter's rules read; a head that came with the event is used as it is. Holds
    nothing.
    """
    return stage_of_delivery("classify", Classifier(origin, decoder, now=now, reads=reads).decide)


def describe(
    origin: PipelineOrigin, decoder: Decoder
) -> Operator[Delivery[Classified | Removal], Delivery[Observation | Removal]]:
    """Decode the body of what is classified: title, details without secrets, and the fingerprint of the state.

    ::

        --A----B----X-->      B's bytes are not UTF-8; X is a removal
        describe(origin, decoder)
        --A'--------X-->      B ends dead_lettered

    After this an Observation can be compared and written. Holds nothing.
    """

    def decide(classified: Classified | Removal) -> Observation | Removal | Outcome:
        if isinstance(classified, Removal):
            return classified
        try:
            return _described(origin, decoder, classified)
        except (UndecodableError, RecursionError) as error:
            return undecodable(classified.event, error)

    return stage("describe", decide)


def undecodable(event: RawEvent, error: Exception) -> Outcome:
    """Make the outcome of an event whose bytes cannot be decoded."""
    detail = detail_of(f"{event.key or 'an object without a name'}: {error}")
    return Outcome(Ending.DEAD_LETTERED, "undecodable", detail, type(error).__name__)


def decode_body(event: RawEvent) -> Body:
    """Decode the whole object of an event; the caller may modify the result.

    Items of built-in lists come without ``kind`` and ``apiVersion``: both are filled in, or a restart, which lists,
    would see another content than the watch.
    Raises ``UndecodableError`` where the bytes are not a JSON object.
    """
    try:
        decoded: object = msgspec.json.decode(event.raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UndecodableError(str(error)) from None
    if not isinstance(decoded, dict):
        raise UndecodableError(f"found {type(decoded).__name__}, allowed: a JSON object")
    body = cast("Body", decoded)
    if event.subject is not None:
        body["apiVersion"] = event.subject.api_version
        body["kind"] = event.subject.kind
    return body


def presentable_body(event: RawEvent) -> Body:
    """Decode an event's object as it may be shown: secrets masked, without what only its writers need.

    Raises ``UndecodableError``, and ``RecursionError`` where it is nested deeper than the interpreter recurses.
    """
    body = decode_body(event)
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        fields = cast("dict[str, Any]", metadata)
        fields.pop("managedFields", None)
        annotations = fields.get("annotations")
        if isinstance(annotations, dict):
            cast("dict[str, Any]", annotations).pop(LAST_APPLIED, None)
    return redact(body)


def _described(origin: PipelineOrigin, decoder: Decoder, classified: Classified) -> Observation:
    event, identity = classified.event, classified.identity
    payload = event.payload
    if identity is None or not isinstance(payload, ObjectState):
        raise TypeError("only what the classify operator passed on can be described")
    body = presentable_body(event)
    title = decoder.title(classified, body)
    observation = Observation(
        classified,
        identity,
        classified.namespace,
        title,
        "",
        body,
        resync=payload.change is Change.RESYNC,
    )
    if classified.evidence is not None:
        observation.fingerprint = _digest(identity)
    elif classified.is_occurrence:
        listed = payload.initial or payload.change is Change.RESYNC
        occurrence = Occurrence(payload.uid or event.key or "", payload.version, listed)
        content = compared_content(body, fields=origin.compared_fields)
        key = _deduplication_key(classified, identity, content)
        observation.occurrence, observation.fingerprint = occurrence, key
        observation.identity = replace(
            identity, occurrence=OccurrenceIdentity(key, occurrence.opened)
        )
    else:
        observation.fingerprint = fingerprint(
            _normalised(classified, title), body, fields=origin.compared_fields
        )
    return observation


def _normalised(classified: Classified, title: str) -> dict[str, object]:
    return {
        "source": classified.source,
        "category": classified.category,
        "severity": classified.severity,
        "eventType": classified.event_type,
        "title": title,
    }


def _deduplication_key(classified: Classified, identity: Identity, content: object) -> str:
    """Digest what makes occurrences equal: identity, classification, subject and content."""
    subject = classified.subject
    return _digest(
        (
            *(identity.ingester, identity.source, classified.source, classified.category),
            *(classified.severity, classified.event_type),
            *(subject.api_version.rpartition("/")[0], subject.kind),
            *(subject.namespace, subject.name, content),
        )
    )


def _digest(value: object) -> str:
    return hashlib.sha256(canonical(value)).hexdigest()[:HEX_CHARACTERS]
