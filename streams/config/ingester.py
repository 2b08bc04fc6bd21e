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

from operators.buffer import Buffer
from operators.deduplicate import Deduplication
from operators.model.spec import FromText, Observe, OnDelete, Some, Spec, schema_of
from operators.rules.lists import Filters
from operators.throttle import Throttle
from streams.config.destination import Destination
from streams.config.processing import (
    ErrorHandling,
    Normalization,
    ObservationTemplate,
    Optimization,
    Processing,
    RateLimit,
    Thresholds,
    TracingSpec,
    Ttl,
)
from streams.config.source import InformerSpec, IngesterKind, Logs, SourceEntry, Webhook
from streams.config.unbuilt import Found, unbuilt
from streams.config.values import (
    DNS_LABEL,
    DNS_SUBDOMAIN,
    NAMESPACE_CHARACTERS,
    Slug,
)

_SOURCE_OR_SOURCES: JsonDict = {
    "rule": "has(self.sources) ? size(self.sources) > 0 : has(self.source) && has(self.ingester)",
    "message": "source and ingester are required, unless sources has entries",
}


class IngesterSpec(Spec):
    """One source, and how its events are processed and written."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [_SOURCE_OR_SOURCES]})

    sources: Some[SourceEntry] | None = Field(
        default=None, description="Several sources, in place of source and ingester."
    )
    source: Slug | None = Field(
        default=None,
        validate_default=True,
        description="Name of the source, which its Observations carry in spec.source; lower case"
        " letters, digits and hyphens. Required unless sources is set.",
        examples=["trivy"],
    )
    ingester: IngesterKind | None = Field(
        default=None,
        validate_default=True,
        description="Kind of the source. Required unless sources is set.",
    )
    observe: Annotated[Observe, FromText, schema_of(*Observe)] | None = Field(
        default=None,
        description="subject: one Observation per object, which follows its state and is resolved"
        " with it (default of informers). occurrence: one Observation per distinct event and"
        " deduplication window (default of webhooks and logs). Kubernetes Events are always"
        " counted per object.",
    )
    on_delete: Annotated[OnDelete, FromText, schema_of(*OnDelete)] | None = Field(
        default=None,
        description="What is done with the Observation of an object that was deleted or left the"
        " selector: resolve it (sets resolvedAt), delete it, or ignore the deletion; resolve if"
        " unset.",
    )
    informer: InformerSpec | None = Field(
        default=None, description="Settings of ingester: informer; lists and watches a resource."
    )
    webhook: Webhook | None = Field(
        default=None, description="Settings of ingester: webhook; receives events by HTTP."
    )
    logs: Logs | None = Field(
        default=None, description="Settings of ingester: logs; reads the logs of pods."
    )
    destinations: Some[Destination] = Field(
        description="Custom resources that are written; at least one."
    )
    deduplication: Deduplication | None = Field(
        default=None, description="Which events are duplicates, and for how long."
    )
    dedup: Deduplication | None = Field(
        default=None, description="Alternative spelling of spec.deduplication, which is preferred."
    )
    filters: Filters | None = Field(
        default=None,
        description="Which events become Observations; every rule must accept an event.",
    )
    filter: Filters | None = Field(
        default=None, description="Alternative spelling of spec.filters, which is preferred."
    )
    normalization: Normalization | None = Field(
        default=None,
        description="Sets fields of the Observation. Alternative to destinations[].mapping.",
    )
    processing: Processing | None = Field(
        default=None,
        description="Alternative spellings of optimization.order, filters and deduplication.",
    )
    optimization: Optimization | None = Field(
        default=None, description="Sets the order of filtering and deduplication."
    )
    observation_template: ObservationTemplate | None = Field(
        default=None,
        description="Sets fields of every Observation. Alternative to destinations[].mapping.",
    )
    buffer: Buffer | None = Field(
        default=None, description="Limits how many events the pipeline holds."
    )
    throttle: Throttle | None = Field(default=None, description="Limits the rate of events.")
    rate_limit: RateLimit | None = Field(
        default=None,
        description="Limits the rate of events, by zen-watcher's field names; throttle is"
        " preferred.",
    )
    ttl: Ttl | None = Field(default=None, description="How long Observations are kept.")
    thresholds: Thresholds | None = Field(
        default=None, description="Alternative spelling of spec.optimization.thresholds."
    )
    error_handling: ErrorHandling | None = Field(
        default=None,
        description="What is done with events whose Observation cannot be written.",
    )
    tracing: TracingSpec | None = Field(
        default=None,
        description="Whether, and how many, OpenTelemetry traces of events are exported.",
    )

    @field_validator("source", "ingester")
    @classmethod
    def _required_without_sources(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and "sources" in info.data and info.data["sources"] is None:
            raise PydanticKnownError("missing")
        return value


class IngesterMetadata(Spec):
    """The object's metadata; that of a live document also has the fields that the API server sets."""

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
    """An Ingester document, read from a file or from the API server."""

    api_version: Literal["zen.kube-zen.io/v1alpha1", "zen.kube-zen.io/v1"]
    kind: Literal["Ingester"]
    metadata: IngesterMetadata
    spec: IngesterSpec
    status: object = None

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def unbuilt(self) -> tuple[Found, ...]:
        """The fields of this document that have no effect in this version."""
        return unbuilt(self.spec.model_dump(by_alias=True, exclude_defaults=True))

    @property
    def runnable(self) -> bool:
        """Whether this version can run the document; ``unbuilt`` has the fields it cannot run."""
        return not any(found.stops for found in self.unbuilt)
