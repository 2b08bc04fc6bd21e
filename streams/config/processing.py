"""The parts of an Ingester that no operator reads as they stand: alternative spellings, thresholds, failure handling.

zen-watcher's manifests spell several settings in more than one place; every spelling that its loader reads is a field
here, and ``spellings`` decides which one counts. The parts that an operator reads as they stand are the specs in the
operators' own modules (Buffer, Throttle, Filters, Deduplication, Retry).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from operators.deduplicate import Deduplication
from operators.model.spec import (
    Age,
    DecisionOrder,
    Fraction,
    FromText,
    Many,
    Positive,
    Spec,
    WindowDuration,
    schema_of,
)
from operators.rules.lists import Filters
from sinks.retry import Retry
from streams.config.destination import FieldMapping
from streams.config.values import Open, Rate

DEFAULT_TTL_SECONDS = 604_800
TTL_SECONDS = (60, 31_536_000)
"""The shortest and the longest TTL. These bounds and the default are zen-watcher's."""

OrderField = Annotated[DecisionOrder, FromText, schema_of(*DecisionOrder)]


class RateLimit(Spec):
    """Limits the rate of events, by zen-watcher's field names. Equivalent to throttle with whenOver: wait."""

    enabled: bool = Field(
        default=False, description="Whether the limit applies; without true it is ignored."
    )
    requests_per_second: Rate | None = Field(
        default=None,
        description="Events per second that may pass; 0 is no limit.",
        examples=[10],
    )
    burst: Positive | None = Field(
        default=None,
        description="Events that may pass at once after a pause; the rate, rounded up, if unset.",
        examples=[20],
    )
    observations_per_minute: int | None = Field(
        default=None,
        description="Events per minute that may pass; read only where requestsPerSecond is unset.",
        examples=[600],
    )


class FractionBounds(Spec):
    """Limits of a share between 0 and 1."""

    warning: Fraction | None = Field(
        default=None, description="Value at which a warning is raised.", examples=[0.5]
    )
    critical: Fraction | None = Field(
        default=None, description="Value at which an alert is raised.", examples=[0.3]
    )


class CountBounds(Spec):
    """Limits of a count."""

    warning: Positive | None = Field(
        default=None, description="Value at which a warning is raised.", examples=[100]
    )
    critical: Positive | None = Field(
        default=None, description="Value at which an alert is raised.", examples=[200]
    )


class CustomThreshold(Spec):
    """Compares a field of each event with a value, and warns where the comparison is true."""

    name: str | None = Field(default=None, description="Name of the threshold.")
    field: str | None = Field(
        default=None, description="Dotted path of the field in the event.", examples=["spec.score"]
    )
    operator: Literal[">", "<", "==", "!=", "contains"] | None = Field(
        default=None, description="How the field is compared with the value."
    )
    value: str | None = Field(
        default=None, description="The value to compare with, as text.", examples=["7.5"]
    )
    message: str | None = Field(default=None, description="Text of the warning.")


class Thresholds(Spec):
    """Limits of processing figures, and the warnings they raise."""

    dedup_effectiveness: FractionBounds | None = Field(
        default=None, description="Limits of the share of events that were duplicates."
    )
    low_severity_percent: FractionBounds | None = Field(
        default=None, description="Limits of the share of events with low severity."
    )
    observations_per_minute: CountBounds | None = Field(
        default=None, description="Limits of the Observations written per minute."
    )
    custom: Many[CustomThreshold] = Field(
        default=(), description="Comparisons of single fields with values."
    )


class Ttl(Spec):
    """How long Observations are kept."""

    default: Age | None = Field(
        default=None,
        description="Time to keep an Observation after it was resolved or last seen, from 60s to"
        " 365d; 7d if unset. This version writes it to ttlSecondsAfterCreation and deletes nothing.",
        examples=["30d"],
    )
    min: Age | None = Field(
        default=None, description="Shortest time that an event may set.", examples=["1h"]
    )
    max: Age | None = Field(
        default=None, description="Longest time that an event may set.", examples=["90d"]
    )


class TracingSpec(Spec):
    """Whether, and how many, OpenTelemetry traces of events are exported."""

    enabled: bool = Field(default=True, description="Whether events of this source are traced.")
    ratio: Fraction = Field(
        default=1.0,
        description="Share of the uneventful traces to export. Traces of events that failed, were"
        " lost, retried, slow or stored are exported anyway, within maxSpansPerSecond.",
        examples=[0.1],
    )
    max_spans_per_second: Annotated[int, Field(ge=0)] = Field(
        default=2000,
        description="Spans that may be exported per second; traces beyond it are dropped and"
        " counted. The process as a whole uses the largest value of its Ingesters.",
    )
    incoming: Literal["auto", "parent", "link", "ignore"] = Field(
        default="auto",
        description="How the traceparent that a sender transmits is used: as the parent of the"
        " event's trace, as a link, not at all, or as its kind of source suggests.",
    )


class Normalization(Spec):
    """Sets fields of the Observation. Alternative to destinations[].mapping."""

    domain: str | None = Field(
        default=None, description="Category of the Observation.", examples=["security"]
    )
    type: str | None = Field(
        default=None, description="Event type of the Observation.", examples=["runtime_threat"]
    )
    priority: dict[str, float] | None = Field(
        default=None,
        description="Priority from 0 to 1, by a value or key of the event.",
        examples=[{"Critical": 1.0}],
    )
    field_mapping: Many[FieldMapping] = Field(
        default=(), description="Values to copy from the event into the Observation's details."
    )


class Advice(Spec):
    """What is done when a processing figure crosses its limits."""

    action: Literal["warn", "alert", "optimize"] | None = Field(
        default=None, description="What is done."
    )
    warning: float | None = Field(default=None, description="Value at which a warning is raised.")
    critical: float | None = Field(default=None, description="Value at which an alert is raised.")
    description: str | None = Field(default=None, description="Text of the warning.")


class Optimization(Spec):
    """Sets the order of filtering and deduplication."""

    order: OrderField = Field(
        default=DecisionOrder.FILTER_FIRST,
        description="Whether events are filtered before they are deduplicated, or after.",
    )
    processing: dict[str, Advice] | None = Field(
        default=None, description="What is done when a figure crosses its limits, by figure."
    )
    thresholds: Thresholds | None = Field(
        default=None, description="Limits of processing figures, and the warnings they raise."
    )


class ProcessingOrder(Spec):
    """Alternative spelling of optimization.order."""

    order: OrderField | None = Field(
        default=None, description="Alternative spelling of spec.optimization.order."
    )


class Processing(Spec):
    """Alternative spellings of optimization.order, filters and deduplication."""

    order: OrderField | None = Field(
        default=None,
        description="Alternative spelling of spec.optimization.order, and preferred to it.",
    )
    filter: Filters | None = Field(
        default=None, description="Alternative spelling of spec.filters, which is preferred."
    )
    dedup: Deduplication | None = Field(
        default=None, description="Alternative spelling of spec.deduplication, which is preferred."
    )
    optimization: ProcessingOrder | None = Field(
        default=None, description="Alternative spelling of spec.optimization, which is preferred."
    )


class TemplateField(Spec):
    """Sets one field of every Observation: a constant, or a value of the event, translated by a table."""

    from_: str | None = Field(
        default=None,
        alias="from",
        description="Dotted path of the value in the event.",
        examples=["spec.level"],
    )
    to: str | None = Field(
        default=None, description="Field of the Observation.", examples=["severity"]
    )
    constant: str | None = Field(default=None, description="The value, for every event.")
    static_mappings: dict[str, str] | None = Field(
        default=None,
        description="The value of the Observation by the value of the event.",
        examples=[{"error": "high"}],
    )


class ObservationTemplate(Spec):
    """Sets fields of every Observation. Alternative to destinations[].mapping and ttl."""

    field_mapping: Many[TemplateField] = Field(default=(), description="Fields to set.")
    ttl: str | None = Field(
        default=None, description="Alternative spelling of spec.ttl.default.", examples=["7d"]
    )


class Replay(Spec):
    """Whether, and how, dead letters are processed again."""

    enabled: bool = Field(default=False, description="Whether dead letters are processed again.")
    interval: WindowDuration = Field(
        default="5m", description="Time between two runs.", examples=["10m"]
    )
    max_batch_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100, description="Dead letters processed per run."
    )
    max_concurrent: Annotated[int, Field(ge=1, le=1_000)] = Field(
        default=10, description="Dead letters processed at the same time."
    )
    max_replay_age: Age = Field(
        default="24h", description="Older dead letters are not processed again.", examples=["7d"]
    )
    max_replay_count: Annotated[int, Field(ge=0)] = Field(
        default=3, description="Times that a dead letter is processed again; 0 is without limit."
    )


class DeadLettersSpec(Spec):
    """Whether, and where, events that could not be delivered are stored."""

    enabled: bool = Field(default=False, description="Whether dead letters are stored.")
    destination: Open = Field(default=None, description="Where dead letters are stored.")
    replay: Replay | None = Field(
        default=None, description="Whether, and how, dead letters are processed again."
    )


class FailureLogging(Spec):
    """What is logged when an event cannot be delivered."""

    include_body: bool = Field(
        default=False, description="Whether the body of the event is logged."
    )
    level: Literal["debug", "info", "warn", "error"] = Field(
        default="error", description="Level of the log record."
    )


class ErrorHandling(Spec):
    """What is done with events whose Observation cannot be written."""

    strategy: Literal["fail-fast", "retry", "dlq"] = Field(
        default="fail-fast",
        description="retry: the settings of retry replace the default of 8 attempts in about two"
        " minutes. Only writes of occurrences are limited; the state of a subject is written as"
        " soon as the API server accepts it.",
    )
    retry: Retry | None = Field(
        default=None, description="Attempts and waits; read with strategy: retry."
    )
    dlq: DeadLettersSpec | None = Field(
        default=None, description="Where dead letters are stored; read with strategy: dlq."
    )
    logging: FailureLogging | None = Field(
        default=None, description="What is logged when an event cannot be delivered."
    )
