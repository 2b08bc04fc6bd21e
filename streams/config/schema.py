"""Which fields a model knows, for whoever mistyped one."""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel

from streams.config.tree import Location


def known_fields(model: type[BaseModel], location: Location) -> list[str]:
    """The names a model knows at a place; none where the place leads out of the models."""
    current: object = model
    for step in location:
        current = _inside(current, step)
    return list(_fields(current))


def _fields(annotation: object) -> dict[str, object]:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    return {
        field.alias or name: _bare(field.annotation)
        for name, field in annotation.model_fields.items()
    }


def _inside(annotation: object, step: str | int) -> object:
    """The type of an entry of a list, of a value of a mapping, or of a field of a model."""
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple:
        return _bare(arguments[0])
    if get_origin(annotation) is dict:
        return _bare(arguments[1])
    return _fields(annotation).get(str(step))


def _bare(annotation: object) -> object:
    """A type without what is only said of it, and without null."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _bare(arguments[0])
    if get_origin(annotation) in {Union, UnionType}:
        return _bare(next(one for one in arguments if one is not NoneType))
    return annotation
