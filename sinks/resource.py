"""The Observation custom resource: what is checked before it is sent, and the source of its CRD."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_ATOMIC: JsonDict = {"x-kubernetes-map-type": "atomic", _PRESERVE: True}
_TRIO = "has(self.category) && has(self.severity) && has(self.eventType)"
_SIX = (
    "has(self.domain) && has(self.type) && has(self.priority)"
    " && has(self.title) && has(self.description) && has(self.detectedAt)"
)
_RULE: JsonDict = {
    "rule": f"({_SIX}) || ({_TRIO})",
    "message": "category, severity and eventType are required, or domain, type, priority, title,"
    " description and detectedAt",
}

_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_RFC_3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
FOUND_CHARACTERS = 80
"""How much of a wrong value is repeated."""


def _moment(text: str) -> str:
    datetime.fromisoformat(text.upper())
    return text


Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Moment = Annotated[
    str,
    StringConstraints(pattern=_RFC_3339),
    AfterValidator(_moment),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
OpenMap = Annotated[InstanceOf[dict[str, Any]], WithJsonSchema({"type": "object"} | _ATOMIC)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class Reference(_Model):
    """The object an Observation is about."""

    api_version: str | None = Field(default=None, description="API version of the object.")
    kind: str | None = Field(default=None, description="Kind of the object.")
    name: str | None = Field(default=None, description="Name of the object.")
    namespace: str | None = Field(default=None, description="Namespace of the object.")


class IngesterReference(_Model):
    """The Ingester that an Observation belongs to."""

    namespace: str = Field(description="Namespace of the Ingester.")
    name: str = Field(description="Name of the Ingester.")
    uid: str | None = Field(
        default=None, description="UID of the Ingester; absent for a document from a file."
    )


class EventReference(_Model):
    """What tells Kubernetes Events of one object apart."""

    object: str | None = Field(
        default=None, description="UID of the involved object, else namespace/kind/name."
    )
    reason: str | None = Field(default=None, description="Reason of the Events.")
    type: str | None = Field(default=None, description="Type of the Events: Normal or Warning.")
    reporter: str | None = Field(
        default=None, description="Component that reports the Events, such as kubelet."
    )
    class_: str | None = Field(
        default=None,
        alias="class",
        description="Meaning of the reason, where a reason has several.",
    )
    newest: str | None = Field(
        default=None, description="Name of the Event whose text the Observation carries."
    )


class OccurrenceReference(_Model):
    """What tells occurrences apart."""

    key: str = Field(description="Deduplication key: equal occurrences have the same.")
    opened: str = Field(description="Id of the event that opened the window, as uid/version.")


class StoredIdentity(_Model):
    """The identity that the Observation's name follows from; read after a restart."""

    ingester: IngesterReference = Field(description="Ingester that the Observation belongs to.")
    source: str | None = Field(
        default=None, description="Name of the entry of spec.sources; absent for a single source."
    )
    group: str | None = Field(default=None, description="API group of the observed object.")
    resource: str | None = Field(
        default=None, description="Plural name of the observed object's resource, such as pods."
    )
    namespace: str | None = Field(default=None, description="Namespace of the observed object.")
    name: str | None = Field(
        default=None, description="Name of the observed object; absent for Kubernetes Events."
    )
    part: str | None = Field(default=None, description="Part of the object, where it has several.")
    uid: str | None = Field(
        default=None, description="UID of the observed object when it was last written."
    )
    version: str | None = Field(
        default=None, description="resourceVersion of the observed object when it was last written."
    )
    event: EventReference | None = Field(
        default=None, description="Set for Observations of Kubernetes Events."
    )
    occurrence: OccurrenceReference | None = Field(
        default=None, description="Set for Observations of what happened, not of what is."
    )


class OccurrenceWindow(_Model):
    """The time within which equal occurrences are not written again."""

    window_start: Moment | None = Field(
        default=None, description="When the first one was observed."
    )
    window_end: Moment | None = Field(
        default=None, description="Until when equal occurrences are counted as its duplicates."
    )


class ObservationSpec(_Model):
    """What happened to an object of the cluster, how severe it is, and whether it is over."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"x-kubernetes-validations": [_RULE], _PRESERVE: True}
    )

    source: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] | None = Field(
        default=None, description="Name of the source: spec.source of its Ingester."
    )
    category: Literal["security", "compliance", "performance", "operations", "cost"] | None = Field(
        default=None, description="Domain of the problem."
    )
    severity: Literal["critical", "high", "medium", "low", "info"] | None = Field(
        default=None, description="How bad it is: critical, high, medium, low or info."
    )
    event_type: Word | None = Field(
        default=None,
        description="Kind of event, in lower case and underscores, such as failed_scheduling.",
    )
    type: Word | None = Field(default=None, description="Kind of event, normalised.")
    domain: (
        Literal["security", "operations", "performance", "cost", "compliance", "custom"] | None
    ) = Field(default=None, description="Domain of the finding, in the six-field form.")
    priority: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Priority from 0 to 1; 1 is the most urgent."
    )
    title: str | None = Field(default=None, description="One line: what happened to what.")
    description: str | None = Field(default=None, description="Longer text for a person.")
    detected_at: Moment | None = Field(default=None, description="When it was detected.")
    expires_at: Moment | None = Field(
        default=None,
        description="When the Observation expires.",
        json_schema_extra={"nullable": True},
    )
    processed_at: Moment | None = Field(
        default=None,
        description="When the event was processed.",
        json_schema_extra={"nullable": True},
    )
    first_seen: Moment | None = Field(
        default=None, description="When the Observation was first written."
    )
    last_seen: Moment | None = Field(
        default=None,
        description="When the state was last written or confirmed; refreshed once per deduplication window.",
    )
    resolved_at: Moment | None = Field(
        default=None,
        description="When the subject was removed or no longer matched; unset while the Observation is open.",
    )
    resolved_reason: str | None = Field(
        default=None,
        description="Why it was resolved: deleted, left_selector, or the filter rule that no longer wants it.",
    )
    resource: Reference | None = Field(
        default=None, description="The object that a person has to look at."
    )
    resources: list[Reference] | None = Field(default=None, description="Objects that it is about.")
    raw: OpenMap | None = Field(default=None, description="The event as it was received.")
    details: OpenMap | None = Field(
        default=None, description="The observed object; secrets are masked."
    )
    fingerprint: str | None = Field(
        default=None, description="Digest of what was written; an equal state is not written again."
    )
    adapter: str | None = Field(default=None, description="Adapter that read the event.")
    count: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="How often it happened, computed from the evidence."
    )
    evidence: (
        Annotated[dict[str, int], Field(json_schema_extra={"x-kubernetes-map-type": "atomic"})]
        | None
    ) = Field(default=None, description="Kubernetes Events by name, with the latest count of each.")
    evidence_base: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Sum of the counts of Events that are no longer listed in evidence.",
    )
    occurrence: OccurrenceWindow | None = Field(
        default=None, description="Set for what happened; absent for the state of a subject."
    )
    identity: StoredIdentity | None = Field(
        default=None, description="What the Observation is identified by; its name follows from it."
    )
    ttl_seconds_after_creation: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Seconds to keep the Observation after it was resolved or last seen.",
    )

    @model_validator(mode="after")
    def _requires_one_form(self) -> Self:
        trio = (self.category, self.severity, self.event_type)
        six = (
            *(self.domain, self.type, self.priority),
            *(self.title, self.description, self.detected_at),
        )
        if None in trio and None in six:
            raise ValueError(str(_RULE["message"]))
        return self


class ObservationMetadata(BaseModel):
    """What names an Observation; the server's other fields are not checked."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: Annotated[str, StringConstraints(pattern=_SUBDOMAIN, max_length=253)]
    namespace: Annotated[str, StringConstraints(min_length=1)]
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ObservationResource(_Model):
    """An Observation as it is sent, or as the API server holds it."""

    api_version: Literal["zen.kube-zen.io/v1alpha1", "zen.kube-zen.io/v1"]
    kind: Literal["Observation"]
    metadata: ObservationMetadata
    spec: ObservationSpec
    status: dict[str, Any] | None = None


class InvalidObservationError(ValueError):
    """An Observation that the API server would refuse: the field, what was found, what is allowed."""

    def __init__(self, path: str, *, found: str, allowed: str) -> None:
        super().__init__(f"{path}: found {found}, allowed: {allowed}")
        self.path = path
        self.found = found
        self.allowed = allowed


def validate(body: Mapping[str, Any]) -> None:
    """Check an Observation before it is sent. Raises ``InvalidObservationError`` for its first error.

    The object in ``details`` is not looked into.
    """
    try:
        ObservationResource.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(step) for step in first["loc"])
        allowed = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
        raise InvalidObservationError(path, found=_found(first), allowed=allowed) from None


def _found(error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return "nothing"
    found: object = error["input"]
    return "an object" if isinstance(found, Mapping) else repr(found)[:FOUND_CHARACTERS]
