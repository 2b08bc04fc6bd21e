"""The Ingester: the document a user writes, one per source."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)
from pydantic.config import JsonDict
from pydantic_core import PydanticKnownError

from streams.config.destination import Destination
from streams.config.failure import ErrorHandling
from streams.config.limits import Buffer, RateLimit, Thresholds, Throttle, Tracing, Ttl
from streams.config.rules import (
    Deduplication,
    Filters,
    Normalization,
    ObservationTemplate,
    Optimization,
    Processing,
)
from streams.config.source import Informer, IngesterKind, Logs, SourceEntry, Webhook
from streams.config.unbuilt import Found, unbuilt
from streams.config.values import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    NAMESPACE_CHARACTERS,
    Slug,
    Some,
    Spec,
)

_SOURCE_OR_SOURCES: JsonDict = {
    "rule": "has(self.sources) ? size(self.sources) > 0 : has(self.source) && has(self.ingester)",
    "message": "source and ingester are required, unless sources has entries",
}


class IngesterSpec(Spec):
    """One source, and what becomes of its events."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_SOURCE_OR_SOURCES]})

    sources: Some[SourceEntry] | None = Field(
        default=None, description="Several sources in the place of source and ingester."
    )
    source: Slug | None = Field(
        default=None,
        validate_default=True,
        description="Name of the source; Observations carry it.",
    )
    ingester: IngesterKind | None = Field(
        default=None, validate_default=True, description="Kind of source."
    )
    observe: Literal["subject", "occurrence"] | None = Field(
        default=None,
        description="Whether Observations show the state of things (default for informers)"
        " or what happened (default for webhooks and logs).",
    )
    on_delete: Literal["resolve", "delete", "ignore"] | None = Field(
        default=None,
        description="What becomes of an Observation whose subject is gone; resolve if unset.",
    )
    informer: Informer | None = Field(default=None, description="Set for ingester informer.")
    webhook: Webhook | None = Field(default=None, description="Set for ingester webhook.")
    logs: Logs | None = Field(default=None, description="Set for ingester logs.")
    destinations: Some[Destination] = Field(description="Where Observations go.")
    deduplication: Deduplication | None = Field(
        default=None, description="When two events say the same."
    )
    dedup: Deduplication | None = Field(
        default=None, description="Another spelling of deduplication."
    )
    filters: Filters | None = Field(default=None, description="Which events are wanted.")
    filter: Filters | None = Field(default=None, description="Another spelling of filters.")
    normalization: Normalization | None = Field(
        default=None, description="How an event becomes an Observation."
    )
    processing: Processing | None = Field(
        default=None, description="Other spellings of optimization.order, filters, deduplication."
    )
    optimization: Optimization | None = Field(
        default=None, description="In which order events are filtered and deduplicated."
    )
    observation_template: ObservationTemplate | None = Field(
        default=None, description="The fields of every Observation."
    )
    buffer: Buffer | None = Field(default=None, description="How much the pipeline may hold.")
    throttle: Throttle | None = Field(default=None, description="How fast events may pass.")
    rate_limit: RateLimit | None = Field(
        default=None, description="How fast events may pass, in zen-watcher's words."
    )
    ttl: Ttl | None = Field(default=None, description="For how long Observations are kept.")
    thresholds: Thresholds | None = Field(
        default=None, description="Another spelling of optimization.thresholds."
    )
    error_handling: ErrorHandling | None = Field(
        default=None, description="What is done with events that cannot be delivered."
    )
    tracing: Tracing | None = Field(default=None, description="Which events are traced.")

    @field_validator("source", "ingester")
    @classmethod
    def _required_without_sources(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and "sources" in info.data and info.data["sources"] is None:
            raise PydanticKnownError("missing")
        return value


class Metadata(Spec):
    """Kubernetes' own part of the document; a live one has the fields its server set."""

    name: Annotated[str, StringConstraints(pattern=DNS_SUBDOMAIN, max_length=253)]
    namespace: Annotated[str, StringConstraints(pattern=DNS_LABEL, max_length=NAMESPACE_CHARACTERS)]
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    uid: object = None
    resource_version: object = None
    generation: object = None
    generate_name: object = None
    creation_timestamp: object = None
    deletion_timestamp: object = None
    deletion_grace_period_seconds: object = None
    finalizers: object = None
    owner_references: object = None
    managed_fields: object = None
    self_link: object = None


class Ingester(Spec):
    """A document as it was read: from a file, or from the API server."""

    api_version: Literal["zen.kube-zen.io/v1alpha1", "zen.kube-zen.io/v1"]
    kind: Literal["Ingester"]
    metadata: Metadata
    spec: IngesterSpec
    status: object = None

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def unbuilt(self) -> tuple[Found, ...]:
        """What it says that has no effect in this version."""
        return unbuilt(self.spec.model_dump(by_alias=True, exclude_defaults=True))

    @property
    def runnable(self) -> bool:
        """Whether this version can run it; ``unbuilt`` says why not."""
        return not any(found.stops for found in self.unbuilt)
