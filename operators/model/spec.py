"""The base and the value types of specs. An operator's spec is the part of an Ingester document that it reads.

A spec is read from the document by its camelCase field names and constructed in code by its snake_case attribute
names. Durations and quantities stay as the document spells them, so that a spec can be compared with, and written
back as, what was read; the specs' properties convert them.
"""

from __future__ import annotations

from enum import StrEnum
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

from operators.model.units import duration_seconds, quantity_bytes

ADAPTIVE: Literal["adaptive"] = "adaptive"
QUANTITY = r"^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"

T = TypeVar("T")


class Spec(BaseModel):
    """A part of a document: immutable, comparable with ``==``, and strict as the API server is.

    An unknown field and a value of another type (``"5"`` for a number) raise pydantic's ``ValidationError``.
    A reader of documents validates with ``by_name=False``: there a field has its camelCase name alone.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        populate_by_name=True,
        allow_inf_nan=False,
    )


class Observe(StrEnum):
    """What Observations describe (``spec.observe``)."""

    SUBJECT = "subject"
    """The present state of an object: one Observation per object, updated and resolved."""
    OCCURRENCE = "occurrence"
    """What happened: one Observation per distinct occurrence and window, never resolved by a deletion."""


class OnDelete(StrEnum):
    """What becomes of the Observation of an object that was deleted or left the selector (``spec.onDelete``)."""

    RESOLVE = "resolve"
    """It is kept and gets ``resolvedAt``."""
    DELETE = "delete"
    """It is deleted."""
    IGNORE = "ignore"
    """It stays as it is."""


class DecisionOrder(StrEnum):
    """Whether an event is filtered or deduplicated first (``spec.processing.order``)."""

    FILTER_FIRST = "filter_first"
    DEDUP_FIRST = "dedup_first"


def _some(entries: tuple[T, ...]) -> tuple[T, ...]:
    # Not by min_length, which counts only the valid entries.
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


FromText = Strict(strict=False)
"""For an enumeration in a strict model: the document spells its member as text."""


def schema_of(*members: StrEnum) -> WithJsonSchema:
    """The schema of a field that takes these members: in place, not by reference, as a CRD needs it."""
    return WithJsonSchema({"enum": [member.value for member in members], "type": "string"})


Many = Annotated[tuple[T, ...], Strict(strict=False)]
"""A list, held as a tuple: a spec is immutable and hashable values compare by content."""

Some = Annotated[
    tuple[T, ...],
    Strict(strict=False),
    AfterValidator(_some),
    Field(json_schema_extra={"minItems": 1}),
]
"""A list with at least one entry."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]

Duration = Annotated[str, AfterValidator(_duration)]
"""Text that ``duration_seconds`` reads, such as ``30s`` or ``1h30m``."""
WindowDuration = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(ns|us|µs|ms|s|m|h)$"), AfterValidator(_duration)
]
"""A duration of one number and one unit, as zen-watcher's contract has it."""
Age = Annotated[
    str, StringConstraints(pattern=r"^[0-9]+(ns|us|µs|ms|s|m|h|d)$"), AfterValidator(_duration)
]
"""A ``WindowDuration`` that may also count days, such as ``30d``."""

Quantity = Annotated[
    int | str,
    PlainValidator(_quantity),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "minimum": 1}),
]
"""Bytes as Kubernetes spells them: ``64Mi``, or a whole number."""
InFlight = Annotated[
    int | Literal["adaptive"],
    PlainValidator(_in_flight),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": "^adaptive$", "minimum": 1}),
]
