"""Normalise: a raw event becomes an Observation, in zen-watcher's words and with a name that lasts.

In two steps, with the filter between them: what classifies an object is read out of its bytes; its body is decoded,
masked and digested only if the filter wants it. What is passed over is not looked into.
"""

from __future__ import annotations

from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from operators.decoders.kubernetes_event import is_kubernetes_event, observe_kubernetes_event
from operators.decoders.title import title_of
from operators.flow.delivery import Delivery, Operator
from operators.flow.stage import detail_of, stage
from operators.model.event import Body, Change, Head, RawEvent, UndecodableError
from operators.model.fingerprint import LAST_APPLIED, fingerprint
from operators.model.identity import observation_name
from operators.model.masking import redact
from operators.model.observation import Observation, Occurrence, Subject
from operators.model.occurrence import occurred, of_object
from operators.model.outcome import Ending, Outcome
from operators.model.severity import (
    DEFAULT_CATEGORY,
    DEFAULT_EVENT_TYPE,
    DEFAULT_SEVERITY,
    priority_of,
    severity_of,
)

EXPIRED = Outcome(
    Ending.FILTERED, "expired", "a Kubernetes Event lives an hour; its end says nothing"
)
DEPARTED = Outcome(
    Ending.FILTERED, "departed", "what happened to an object stays when the object is gone"
)
ON_DELETE_IGNORE = Outcome(Ending.FILTERED, "onDelete: ignore")


class Normalise(BaseModel):
    """Whose events these are: the Ingester's namespace and name, its ``source``, and what narrows a fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ingester_namespace: str
    ingester: str
    source: str
    fields: tuple[str, ...] | None = None
    """The fields that make two states differ; ``None`` for all of them."""
    ignore_departures: bool = False
    """Whether the end of a subject is no news (``onDelete: ignore``)."""
    occurrences: bool = False
    """Whether each change of an object is something that happened, in the place of its newest state."""


def subject_name(spec: Normalise, group: str, resource: str, *, namespace: str, name: str) -> str:
    """Name the Observation of a subject; neither content nor uid nor version is part of its identity.

    A subject that is deleted and made again under its name continues its Observation.
    """
    identity = (spec.ingester_namespace, spec.ingester, group, resource, namespace, name, "")
    return observation_name(spec.source, identity)


def normalise(spec: Normalise) -> Operator[Delivery[RawEvent], Delivery[Observation]]:
    """Turn each raw event into an Observation that is classified; one without a head ends ``dead_lettered``.

    ::

        --a----{----x-->      raw events: an object, bytes that are none, the tombstone x
        normalise(spec)
        --A---------X-->      Observations; { ends dead_lettered

    A tombstone carries no body and passes. A Kubernetes Event is small, and described at once. Holds nothing.
    """

    def decide(event: RawEvent) -> Observation | Outcome:
        try:
            if is_kubernetes_event(event.kind):
                return _kubernetes_event(spec, event)
            return _departed(spec, event) if event.change is Change.DELETED else _state(spec, event)
        except (UndecodableError, RecursionError) as error:
            return _undecodable(event, error)

    return stage("normalise", decide)


def describe(spec: Normalise) -> Operator[Delivery[Observation], Delivery[Observation]]:
    """Decode the body of what is classified: title, details without secrets, and the fingerprint of the state.

    ::

        --A----B----X-->      B's bytes are no UTF-8; X is a tombstone
        describe(spec)
        --A'--------X-->      B ends dead_lettered

    After this an Observation can be deduplicated and written, and refers to its event no longer. Holds nothing.
    """

    def decide(observation: Observation) -> Observation | Outcome:
        event = observation.event
        if event is None:
            return observation
        try:
            _describe(spec, event, observation)
        except (UndecodableError, RecursionError) as error:
            return _undecodable(event, error)
        observation.event = None
        return observation

    return stage("describe", decide)


def _undecodable(event: RawEvent, error: Exception) -> Outcome:
    detail = detail_of(f"{event.key or 'an object without a name'}: {error}")
    return Outcome(Ending.DEAD_LETTERED, "undecodable", detail, type(error).__name__)


def presentable(event: RawEvent) -> Body:
    """The event's object as it may be shown: secrets masked, without what only its writers need.

    Raises ``UndecodableError``, and ``RecursionError`` where it is nested deeper than the interpreter goes.
    """
    body = event.body()
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        fields = cast("dict[str, Any]", metadata)
        fields.pop("managedFields", None)
        annotations = fields.get("annotations")
        if isinstance(annotations, dict):
            cast("dict[str, Any]", annotations).pop(LAST_APPLIED, None)
    return redact(body)


def _kubernetes_event(spec: Normalise, event: RawEvent) -> Observation | Outcome:
    if event.change is Change.DELETED:
        return EXPIRED
    identity = (spec.ingester_namespace, spec.ingester)
    return observe_kubernetes_event(
        event, presentable(event), ingester=identity, source=spec.source
    )


def _blank(spec: Normalise, event: RawEvent) -> Observation:
    kind = event.kind
    return Observation(
        name=subject_name(
            spec, kind.group, kind.resource, namespace=event.namespace, name=event.name
        ),
        namespace=event.namespace or spec.ingester_namespace,
        source=spec.source,
        category=DEFAULT_CATEGORY,
        severity=DEFAULT_SEVERITY,
        event_type=DEFAULT_EVENT_TYPE,
        title="",
        subject=Subject(kind.api_version, kind.kind, event.namespace, event.name),
        resync=event.change is Change.RESYNC,
    )


def _departed(spec: Normalise, event: RawEvent) -> Observation | Outcome:
    if spec.occurrences:
        return DEPARTED
    if spec.ignore_departures:
        return ON_DELETE_IGNORE
    observation = _blank(spec, event)
    observation.depart(event.departure)
    return observation


def _state(spec: Normalise, event: RawEvent) -> Observation:
    head = event.head()
    if not event.name:
        raise UndecodableError("an object without metadata.name")
    observation = _blank(spec, event)
    observation.head, observation.event = head, event
    observation.severity = _severity(head)
    observation.priority = priority_of(head.priority, severity=observation.severity)
    if spec.occurrences:
        listed = event.initial or event.change is Change.RESYNC
        observation.occurrence = Occurrence(event.uid or event.key, event.version, listed)
    return observation


def _describe(spec: Normalise, event: RawEvent, observation: Observation) -> None:
    body = presentable(event)
    observation.title = title_of(observation.subject, body)
    observation.details = body
    if observation.occurrence is not None:
        said = of_object(body, fields=spec.fields)
        ingester = (spec.ingester_namespace, spec.ingester)
        occurred(observation, observation.occurrence, said, ingester=ingester)
        return
    normalised = {
        "source": spec.source,
        "category": observation.category,
        "severity": observation.severity,
        "eventType": observation.event_type,
        "title": observation.title,
    }
    observation.fingerprint = fingerprint(normalised, body, fields=spec.fields)


def _severity(head: Head) -> str:
    """The object's own ``severity``, else its ``priority``, else medium."""
    for word in (head.severity, head.priority):
        if isinstance(word, str):
            return severity_of(word)
    return DEFAULT_SEVERITY
