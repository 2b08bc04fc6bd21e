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
    "message": "domain, type, priority, title, description and detectedAt are needed,"
    " or category, severity and eventType",
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
Open = Annotated[InstanceOf[dict[str, Any]], WithJsonSchema({"type": "object"} | _ATOMIC)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class Reference(_Model):
    """The object an Observation is about."""

    api_version: str | None = Field(default=None, description="API version of the object.")
    kind: str | None = Field(default=None, description="Kind of the object.")
    name: str | None = Field(default=None, description="Name of the object.")
    namespace: str | None = Field(default=None, description="Namespace of the object.")


class Opening(_Model):
    """What opened an Observation of something that happened, and until when it stands for its equals."""

    opening: str | None = Field(default=None, description="Event that opened it, as uid/version.")
    window_start: Moment | None = Field(default=None, description="When it was opened.")
    window_end: Moment | None = Field(
        default=None, description="Until when equal events are its duplicates."
    )


class ObservationSpec(_Model):
    """What happened, to what, and how bad it is."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"x-kubernetes-validations": [_RULE], _PRESERVE: True}
    )

    source: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")] | None = Field(
        default=None, description="Name of the source."
    )
    category: Literal["security", "compliance", "performance", "operations", "cost"] | None = Field(
        default=None, description="What it is a matter of."
    )
    severity: Literal["critical", "high", "medium", "low", "info"] | None = Field(
        default=None, description="How bad it is."
    )
    event_type: Word | None = Field(default=None, description="What kind of event it is.")
    type: Word | None = Field(default=None, description="What kind of event it is, normalised.")
    domain: (
        Literal["security", "operations", "performance", "cost", "compliance", "custom"] | None
    ) = Field(default=None, description="Domain, normalised.")
    priority: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Priority from 0 to 1, normalised."
    )
    title: str | None = Field(default=None, description="One line for a person.")
    description: str | None = Field(default=None, description="More for a person.")
    detected_at: Moment | None = Field(default=None, description="When it was detected.")
    expires_at: Moment | None = Field(
        default=None, description="When it expires.", json_schema_extra={"nullable": True}
    )
    processed_at: Moment | None = Field(
        default=None, description="When it was processed.", json_schema_extra={"nullable": True}
    )
    first_seen: Moment | None = Field(default=None, description="When it was first written.")
    last_seen: Moment | None = Field(default=None, description="When it was last seen.")
    resolved_at: Moment | None = Field(default=None, description="When its subject was gone.")
    resolved_reason: str | None = Field(
        default=None,
        description="deleted, left_selector, or the filter's rule that no longer wants it.",
    )
    resource: Reference | None = Field(default=None, description="The object it is about.")
    resources: list[Reference] | None = Field(default=None, description="Objects it is about.")
    raw: Open | None = Field(default=None, description="The event as it came.")
    details: Open | None = Field(default=None, description="The object, its secrets masked.")
    fingerprint: str | None = Field(default=None, description="Digest of what was written.")
    adapter: str | None = Field(default=None, description="What read it.")
    count: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="How often it happened, by the evidence."
    )
    evidence: (
        Annotated[dict[str, int], Field(json_schema_extra={"x-kubernetes-map-type": "atomic"})]
        | None
    ) = Field(default=None, description="A Kubernetes Event's name to its latest count.")
    evidence_base: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="What Events that fell out of the evidence counted."
    )
    occurrence: Opening | None = Field(
        default=None, description="Set where it tells what happened, not what is."
    )
    ttl_seconds_after_creation: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="For how long it is kept once there is nothing to say of it."
    )

    @model_validator(mode="after")
    def _says_enough(self) -> Self:
        trio = (self.category, self.severity, self.event_type)
        six = (
            *(self.domain, self.type, self.priority),
            *(self.title, self.description, self.detected_at),
        )
        if None in trio and None in six:
            raise ValueError(str(_RULE["message"]))
        return self


class Metadata(BaseModel):
    """What names an Observation; what else the server keeps there is its own affair."""

    model_config = ConfigDict(frozen=True, strict=True)

    name: Annotated[str, StringConstraints(pattern=_SUBDOMAIN, max_length=253)]
    namespace: Annotated[str, StringConstraints(min_length=1)]
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ObservationResource(_Model):
    """An Observation as it is sent, or as the API server holds it."""

    api_version: Literal["zen.kube-zen.io/v1alpha1", "zen.kube-zen.io/v1"]
    kind: Literal["Observation"]
    metadata: Metadata
    spec: ObservationSpec
    status: dict[str, Any] | None = None


class InvalidObservationError(ValueError):
    """An Observation that the API server would refuse: the field, what was found, what is allowed."""

    def __init__(self, path: str, *, found: str, allowed: str) -> None:
        super().__init__(f"{path}: found {found}, allowed: {allowed}")
        self.path = path
        self.found = found
        self.allowed = allowed


def validated(body: Mapping[str, Any]) -> None:
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
