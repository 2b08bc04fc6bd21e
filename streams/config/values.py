"""The kinds of value a document holds, read as strictly as the API server reads them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

from streams.config.selectors import check_field_selector, check_label_selector
from streams.config.units import duration_seconds, quantity_bytes

ADAPTIVE: Literal["adaptive"] = "adaptive"
MIN_RATE = 0.1
NAMESPACE_CHARACTERS = 63
"""The API server takes no longer name of a namespace (DNS label)."""
DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
QUANTITY = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

T = TypeVar("T")


class Spec(BaseModel):
    """A part of a document: a field it does not know is refused, and what was read never changes."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        allow_inf_nan=False,
    )


def _rate(value: float) -> float:
    # The API server compares a whole number with the whole part of a bound, so the contract has 0.
    if value != 0 and value < MIN_RATE:
        raise ValueError(f"{MIN_RATE} or more")
    return value


def matching(pattern: str, what: str, *, empty: bool = False) -> Callable[[str], str]:
    """Make a check that the contract's schema leaves to its reader.

    As a pattern of the schema it would refuse manifests that the contract accepts.
    """

    def check(text: str) -> str:
        if not (empty and not text) and not re.fullmatch(pattern, text):
            raise ValueError(f"{what} ({pattern})")
        return text

    return check


def is_namespace_name(text: str) -> bool:
    """Whether a namespace can be called so."""
    return len(text) <= NAMESPACE_CHARACTERS and re.fullmatch(DNS_LABEL, text) is not None


def _some(entries: tuple[T, ...]) -> tuple[T, ...]:
    # Not by min_length, which counts only the entries that are right.
    if not entries:
        raise ValueError("a list with at least one entry")
    return entries


def _duration(text: str) -> str:
    duration_seconds(text)
    return text


def _quantity(value: object) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('a quantity of bytes such as "64Mi" or 1000000')  # noqa: TRY004  pydantic's way
    quantity_bytes(value)
    return value


def _in_flight(value: object) -> int | Literal["adaptive"]:
    if value == ADAPTIVE:
        return ADAPTIVE
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number from 1, or adaptive")
    return value


Many = Annotated[tuple[T, ...], Strict(strict=False)]
"""A list; frozen, so that specs can be compared and kept."""

Some = Annotated[
    tuple[T, ...],
    Strict(strict=False),
    AfterValidator(_some),
    Field(json_schema_extra={"minItems": 1}),
]
"""A list that is not empty."""

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+$")]
EventType = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
Window = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(ns|us|µs|ms|s|m|h)$"), AfterValidator(_duration)
]
Age = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(ns|us|µs|ms|s|m|h|d)$"), AfterValidator(_duration)
]
Domain = Literal["security", "operations", "performance", "cost", "compliance", "custom"]
Order = Literal["filter_first", "dedup_first"]

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]
Rate = Annotated[
    float, AfterValidator(_rate), WithJsonSchema({"type": "number", "minimum": MIN_RATE})
]

Duration = Annotated[str, AfterValidator(_duration)]
Namespace = Annotated[
    str, AfterValidator(matching(DNS_LABEL, "the name of a namespace", empty=True))
]
LabelSelector = Annotated[str, AfterValidator(check_label_selector)]
FieldSelector = Annotated[str, AfterValidator(check_field_selector)]

Quantity = Annotated[
    int | str,
    PlainValidator(_quantity),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "minimum": 1}),
]
InFlight = Annotated[
    int | Literal["adaptive"],
    PlainValidator(_in_flight),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": "^adaptive$", "minimum": 1}),
]

Open = Annotated[object, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True})]
"""A field whose shape the contract leaves open."""
