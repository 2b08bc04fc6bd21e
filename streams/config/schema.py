"""Which fields a model knows, for whoever mistyped one."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from streams.config.tree import Location


def known_fields(model: type[BaseModel], location: Location) -> list[str]:
    """The names a model knows at a place; none where the place leads out of the models."""
    current = model
    for step in location:
        inner = _model_of(current, step) if isinstance(step, str) else current
        if inner is None:
            return []
        current = inner
    return [field.alias or name for name, field in current.model_fields.items()]


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    for own, field in model.model_fields.items():
        if name in {own, field.alias}:
            return _model_in(field.annotation)
    return None


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401  any annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
