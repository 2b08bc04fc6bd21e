from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from streams.config.ingester import IngesterSpec
from streams.config.reference import reference
from streams.config.schema import example_of, known_fields
from streams.config.unbuilt import UNBUILT

ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in reference().splitlines()
    if line.startswith(("| `", "| **`"))
]
BY_PATH = {row[0].strip("*`"): row for row in ROWS}


def models(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[type[BaseModel]]:
    if model in seen:
        return
    seen.add(model)
    yield model
    for info in model.model_fields.values():
        for inner in within(info.annotation):
            yield from models(inner, seen)


def within(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from within(argument)


MODELS = list(models(IngesterSpec, set()))
FIELDS = [
    pytest.param(model, info, id=f"{model.__name__}.{info.alias}")
    for model in MODELS
    for info in model.model_fields.values()
]


def test_every_row_is_whole_and_no_path_occurs_twice() -> None:
    assert {len(row) for row in ROWS} == {6}
    assert len(BY_PATH) == len(ROWS)


def test_every_field_of_every_block_has_a_row() -> None:
    names = sorted(path.rpartition(".")[2].rstrip("[]{}") for path in BY_PATH)

    assert names == sorted(
        str(info.alias) for model in MODELS for info in model.model_fields.values()
    )


@pytest.mark.parametrize(("model", "info"), FIELDS)
def test_every_field_is_described(model: type[BaseModel], info: FieldInfo) -> None:
    assert model.__doc__
    assert info.description
    assert info.description.endswith(".")


@pytest.mark.parametrize(("model", "info"), FIELDS)
def test_an_example_is_a_value_that_the_field_accepts(
    model: type[BaseModel], info: FieldInfo
) -> None:
    assert [
        error for example in info.examples or () for error in errors(model, info, example)
    ] == []


def errors(model: type[BaseModel], info: FieldInfo, example: object) -> list[str]:
    """The errors of the field itself; other fields of the block may be missing."""
    try:
        model.model_validate({info.alias: example})
    except ValidationError as error:
        return [each["msg"] for each in error.errors() if each["loc"][0] == info.alias]
    return []


@pytest.mark.parametrize(
    ("path", "row"),
    [
        (
            "spec.ttl.default",
            ["text", "", "30d", "yes"],
        ),
        ("spec.buffer.capacityBytes", ["quantity", "64Mi", "256Mi", "yes"]),
        (
            "spec.buffer.inFlight",
            ["integer from 1, or `adaptive`", "64", "", "yes, but `adaptive`: 64 is used"],
        ),
        ("spec.throttle.perSecond", ["number above 0", "", "50", "yes"]),
        ("spec.throttle.whenOver", ["`wait` or `end`", "wait", "", "yes"]),
        ("spec.deduplication.windowSeconds", ["integer from 1 to 31536000", "", "3600", "yes"]),
        ("spec.filters.expression", ["text", "", "", "no"]),
        ("spec.filters.includeKinds", ["list of text", "", "[Pod]", "yes"]),
        ("spec.sources[].name", ["text", "", "pods", "not run"]),
        (
            "spec.errorHandling.retry.backoff",
            ["text", "exponential", "", "no: each wait is twice as long as the one before"],
        ),
        (
            "spec.ingester",
            [
                "`informer`, `webhook` or `logs`",
                "",
                "",
                "yes, but `webhook`: not run; `logs`: not run",
            ],
        ),
    ],
)
def test_a_row_has_type_default_example_and_effect(path: str, row: list[str]) -> None:
    _, kind, default, _, example, effect = BY_PATH[path]

    assert [kind, default.strip("`"), example.strip("`"), effect] == row


def test_a_block_of_several_paths_is_listed_once() -> None:
    assert "Fields: see `spec.filters`." in BY_PATH["spec.processing.filter"][3]
    assert "spec.processing.filter.minSeverity" not in BY_PATH


def test_every_field_without_effect_is_marked() -> None:
    plain = {f"spec.{row.path}" for row in UNBUILT if not row.values} & {*BY_PATH}

    assert plain
    assert [path for path in plain if BY_PATH[path][5].startswith("yes")] == []


def test_an_example_is_found_by_its_place() -> None:
    assert example_of(IngesterSpec, ("informer", "gvr", "version")) == "v1"
    assert example_of(IngesterSpec, ("destinations", 0, "value")) == "observations"
    assert example_of(IngesterSpec, ("deduplication", "fields", 3)) == "[spec.image, status.phase]"
    assert example_of(IngesterSpec, ("buffer", "capacity")) == ""
    assert example_of(IngesterSpec, ("buffer", "unknown")) == ""
    assert example_of(IngesterSpec, ("unknown", "deeper")) == ""
    assert known_fields(IngesterSpec, ("unknown", "deeper")) == []
