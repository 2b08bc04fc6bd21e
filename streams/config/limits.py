"""How much, how fast and how long: an Ingester's bounds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from streams.config.values import Age, Fraction, InFlight, Many, Positive, Quantity, Rate, Spec

DEFAULT_CAPACITY = 1000
DEFAULT_IN_FLIGHT = 64
DEFAULT_TTL_SECONDS = 604_800
TTL_SECONDS = (60, 31_536_000)
"""zen-watcher's default and bounds."""


class Buffer(Spec):
    """How much a pipeline may hold, from admission until an event ends."""

    capacity: Positive = Field(default=DEFAULT_CAPACITY, description="Events it may hold.")
    capacity_bytes: Quantity = Field(default="64Mi", description="Bytes it may hold.")
    in_flight: InFlight = Field(
        default=DEFAULT_IN_FLIGHT,
        description="Events that may be on their way to the cluster at once, or adaptive.",
    )
    when_full: Literal["block", "dropNewest", "dropOldest"] | None = Field(
        default=None,
        description="What a webhook or log source does when full, block if unset; an informer reads"
        " again later.",
    )


class Throttle(Spec):
    """How fast events may pass."""

    per_second: Annotated[float, Field(gt=0)] = Field(description="Events per second.")
    burst: Positive | None = Field(
        default=None, description="Events that may pass at once; perSecond, rounded up, if unset."
    )
    when_over: Literal["wait", "end"] = Field(
        default="wait", description="Whether an event over the rate waits or ends."
    )


class RateLimit(Spec):
    """How fast events may pass, in zen-watcher's words; like throttle with whenOver wait."""

    enabled: bool = Field(default=False, description="Whether to limit.")
    requests_per_second: Rate | None = Field(default=None, description="Events per second.")
    burst: Positive | None = Field(default=None, description="Events that may pass at once.")
    observations_per_minute: int | None = Field(default=None, description="Events per minute.")


class FractionBounds(Spec):
    """Bounds of a share."""

    warning: Fraction | None = Field(default=None, description="Bound of a warning.")
    critical: Fraction | None = Field(default=None, description="Bound of an alarm.")


class CountBounds(Spec):
    """Bounds of a count."""

    warning: Positive | None = Field(default=None, description="Bound of a warning.")
    critical: Positive | None = Field(default=None, description="Bound of an alarm.")


class CustomThreshold(Spec):
    """A comparison that deserves a warning when it is true."""

    name: str | None = Field(default=None, description="What to call it.")
    field: str | None = Field(default=None, description="Dotted path in the event.")
    operator: Literal[">", "<", "==", "!=", "contains"] | None = Field(
        default=None, description="How to compare."
    )
    value: str | None = Field(default=None, description="What to compare with.")
    message: str | None = Field(default=None, description="What to say.")


class Thresholds(Spec):
    """Figures that deserve a warning."""

    dedup_effectiveness: FractionBounds | None = Field(
        default=None, description="Share of events that were duplicates."
    )
    low_severity_percent: FractionBounds | None = Field(
        default=None, description="Share of events of low severity."
    )
    observations_per_minute: CountBounds | None = Field(
        default=None, description="Observations per minute."
    )
    custom: Many[CustomThreshold] = Field(default=(), description="Comparisons of one's own.")


class Ttl(Spec):
    """For how long Observations are kept."""

    default: Age | None = Field(
        default=None, description="How long an Observation is kept, such as 30d; 7d if unset."
    )
    min: Age | None = Field(default=None, description="Shortest time one may ask for.")
    max: Age | None = Field(default=None, description="Longest time one may ask for.")


class Tracing(Spec):
    """Which events are traced."""

    enabled: bool = Field(default=True, description="Whether events are traced.")
    ratio: Fraction = Field(
        default=1.0, description="Share of the traces to keep that no other rule keeps."
    )
    max_spans_per_second: Annotated[int, Field(ge=0)] = Field(
        default=2000, description="Spans per second and process; what exceeds it is not kept."
    )
    incoming: Literal["auto", "parent", "link", "ignore"] = Field(
        default="auto", description="What a sender's own trace becomes."
    )
