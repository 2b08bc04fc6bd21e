"""What is done with events on their way: shaping, filtering, deduplicating, and in which order.

zen-watcher's manifests spell several of these in more than one place; every spelling its loader reads is a field here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from operators.model.severity import Level
from streams.config.destination import FieldMapping
from streams.config.limits import Thresholds
from streams.config.values import Fraction, Many, Order, Spec, Window

ONE_YEAR_SECONDS = 31_536_000


class Deduplication(Spec):
    """When two events say the same."""

    enabled: bool = Field(default=True, description="Whether equal events are stored once.")
    strategy: Literal["fingerprint", "key", "hybrid"] = Field(
        default="fingerprint", description="What makes events equal."
    )
    fields: Many[str] = Field(
        default=(), description="Dotted paths that alone make events equal; all of it if empty."
    )
    window: Window | None = Field(
        default=None, description="For how long an event is remembered, such as 24h."
    )
    window_seconds: Annotated[int, Field(ge=1, le=ONE_YEAR_SECONDS)] | None = Field(
        default=None, description="For how many seconds an event is remembered."
    )
    learning_rate: Fraction = Field(default=0.1, description="How fast a strategy adapts.")
    min_change: Fraction = Field(default=0.05, description="How little counts as a change.")
    max_events_per_window: int | None = Field(
        default=None, description="How many events one window takes."
    )


class Filters(Spec):
    """Which events are wanted; every comparison of names ignores case."""

    enabled: bool = Field(default=True, description="Whether to filter.")
    expression: str | None = Field(
        default=None, description="Expression that is true for what is wanted."
    )
    min_severity: Level | None = Field(default=None, description="Lowest severity wanted.")
    include_severity: Many[Level] = Field(default=(), description="Severities wanted, alone.")
    min_priority: Fraction | None = Field(default=None, description="Lowest priority wanted.")
    include_namespaces: Many[str] = Field(default=(), description="Namespaces wanted, alone.")
    exclude_namespaces: Many[str] = Field(default=(), description="Namespaces not wanted.")
    include_event_types: Many[str] = Field(default=(), description="Event types wanted, alone.")
    exclude_event_types: Many[str] = Field(default=(), description="Event types not wanted.")
    include_kinds: Many[str] = Field(default=(), description="Kinds wanted, alone.")
    exclude_kinds: Many[str] = Field(default=(), description="Kinds not wanted.")
    ignore_kinds: Many[str] = Field(default=(), description="Another spelling of excludeKinds.")
    include_categories: Many[str] = Field(default=(), description="Categories wanted, alone.")
    exclude_categories: Many[str] = Field(default=(), description="Categories not wanted.")
    exclude_rules: Many[str] = Field(default=(), description="Rules not wanted.")


class Normalization(Spec):
    """How an event becomes an Observation; another spelling of a destination's mapping."""

    domain: str | None = Field(default=None, description="Category of the Observation.")
    type: str | None = Field(default=None, description="Event type of the Observation.")
    priority: dict[str, float] | None = Field(
        default=None, description="Priority by a value or a key of the event."
    )
    field_mapping: Many[FieldMapping] = Field(default=(), description="Values to copy.")


class Advice(Spec):
    """What to do when a figure crosses its bounds."""

    action: Literal["warn", "alert", "optimize"] | None = Field(
        default=None, description="What to do."
    )
    warning: float | None = Field(default=None, description="Bound of a warning.")
    critical: float | None = Field(default=None, description="Bound of an alarm.")
    description: str | None = Field(default=None, description="What it is about.")


class Optimization(Spec):
    """In which order events are filtered and deduplicated, and when to reconsider it."""

    order: Order = Field(default="filter_first", description="Which comes first.")
    processing: dict[str, Advice] | None = Field(
        default=None, description="What to do when a figure crosses its bounds, by figure."
    )
    thresholds: Thresholds | None = Field(
        default=None, description="Figures that deserve a warning."
    )


class ProcessingOrder(Spec):
    """Another spelling of optimization.order."""

    order: Order | None = Field(default=None, description="Which comes first.")


class Processing(Spec):
    """Other spellings of optimization.order, filters and deduplication."""

    order: Order | None = Field(default=None, description="Another spelling of optimization.order.")
    filter: Filters | None = Field(default=None, description="Another spelling of filters.")
    dedup: Deduplication | None = Field(
        default=None, description="Another spelling of deduplication."
    )
    optimization: ProcessingOrder | None = Field(
        default=None, description="Another spelling of optimization."
    )


class TemplateField(Spec):
    """A field of every Observation: a constant, or a value of the event, translated by a table."""

    from_: str | None = Field(default=None, alias="from", description="Dotted path in the event.")
    to: str | None = Field(default=None, description="Field of the Observation.")
    constant: str | None = Field(default=None, description="The value, whatever the event says.")
    static_mappings: dict[str, str] | None = Field(
        default=None, description="The value by what the event says."
    )


class ObservationTemplate(Spec):
    """The fields of every Observation; another spelling of a destination's mapping and of ttl."""

    field_mapping: Many[TemplateField] = Field(default=(), description="Fields to fill.")
    ttl: str | None = Field(default=None, description="Another spelling of ttl.default.")
