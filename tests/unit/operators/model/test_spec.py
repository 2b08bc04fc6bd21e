from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from operators.model.spec import (
    Duration,
    Fraction,
    FromText,
    InFlight,
    Many,
    Positive,
    Quantity,
    Some,
    Spec,
    WindowDuration,
    schema_of,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Whole(Spec):
    """One field of each value type."""

    a_colour: Annotated[Colour, FromText, schema_of(Colour.RED)] = Colour.RED
    duration: Duration = "0"
    window: WindowDuration = "1s"
    fraction: Fraction = 0.0
    positive: Positive = 1
    quantity: Quantity = "1Ki"
    in_flight: InFlight = 1
    many: Many[int] = ()
    some: Some[int] = Field(default=(1,))


def test_a_spec_has_the_documents_names_and_its_own() -> None:
    assert Whole.model_validate({"aColour": "blue"}) == Whole(a_colour=Colour.BLUE)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Whole.model_validate({"a_colour": "blue"}, by_alias=True, by_name=False)


def test_a_spec_never_changes_and_compares_by_value() -> None:
    spec = Whole(many=(1, 2))

    assert spec == Whole.model_validate({"many": [1, 2]})
    assert spec != Whole(many=(2, 1))
    with pytest.raises(ValidationError, match="frozen"):
        spec.positive = 2


def test_an_enumeration_stands_in_place_in_the_schema() -> None:
    assert Whole.model_json_schema()["properties"]["aColour"] == {
        "default": "red",
        "enum": ["red"],
        "type": "string",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("aColour", "green"),
        ("unknown", 1),
        ("duration", "soon"),
        ("duration", 5),
        ("window", "1h30m"),
        ("window", "7d"),
        ("fraction", 1.01),
        ("fraction", -0.01),
        ("fraction", float("nan")),
        ("positive", 0),
        ("positive", "1"),
        ("positive", 1.0),
        ("quantity", "5 MB"),
        ("quantity", True),
        ("quantity", 0),
        ("inFlight", 0),
        ("inFlight", True),
        ("inFlight", "many"),
        ("many", ["1"]),
        ("many", "12"),
        ("some", []),
    ],
)
def test_a_value_of_another_kind_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        Whole.model_validate({field: value})

    assert {error["loc"][0] for error in refused.value.errors()} == {field}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("duration", "1h30m"),
        ("window", "10µs"),
        ("fraction", 1),
        ("positive", 1),
        ("quantity", 1_000_000),
        ("inFlight", "adaptive"),
        ("some", [3]),
    ],
)
def test_a_value_of_its_kind_is_kept_as_the_document_spells_it(field: str, value: Any) -> None:
    dumped = Whole.model_validate({field: value}).model_dump(by_alias=True, mode="json")
    assert dumped[field] == value
