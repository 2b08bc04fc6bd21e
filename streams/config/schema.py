"""The schemas of the models: which fields a model has, and the structural form that Kubernetes takes.

Structural (apiextensions, KEP-1979) means: no references, no alternatives with null, one type for every value.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from streams.config.tree import Location

Schema = dict[str, Any]

_KEPT = frozenset(
    {
        "description",
        "enum",
        "format",
        "maximum",
        "minItems",
        "minimum",
        "nullable",
        "pattern",
        "required",
        "type",
    }
)
_MAPPED = frozenset(
    {
        "$defs",
        "additionalProperties",
        "const",
        "default",
        "examples",
        "exclusiveMinimum",
        "items",
        "properties",
        "title",
    }
)


def structural(schema: Schema) -> Schema:
    """Map a pydantic schema to a structural one. Raises ``ValueError`` for what has no such form."""
    return _mapped(schema, cast("Schema", schema.get("$defs", {})))


def _mapped(schema: Schema, definitions: Schema) -> Schema:
    schema = _resolved(schema, definitions)
    result = {key: value for key, value in schema.items() if _is_kept(key)}
    if "const" in schema:
        result["enum"] = [schema["const"]]
    if "exclusiveMinimum" in schema:  # a number to pydantic, a flag to OpenAPI 3.0
        result |= {"minimum": schema["exclusiveMinimum"], "exclusiveMinimum": True}
    if isinstance(schema.get("default"), bool | int | float | str):
        result["default"] = schema["default"]
    if "examples" in schema:  # OpenAPI 3.0 has no such list, so the description repeats the first
        result["description"] = f"{schema['description']} Example: {spelled(schema['examples'][0])}"
    return result | _descended(schema, definitions)


def spelled(value: object) -> str:
    """A value as a document spells it in one line, such as ``[a, b]``."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def _is_kept(key: str) -> bool:
    if key in _KEPT or key.startswith("x-kubernetes-"):
        return True
    if key not in _MAPPED:
        raise ValueError(f"{key} has no place in a structural schema")
    return False


def _descended(schema: Schema, definitions: Schema) -> Schema:
    result: Schema = {}
    if "properties" in schema:
        result["properties"] = {
            name: _mapped(inner, definitions) for name, inner in schema["properties"].items()
        }
    if "items" in schema:
        result["items"] = _mapped(schema["items"], definitions)
    values = schema.get("additionalProperties")
    if isinstance(values, dict) and values and "x-kubernetes-preserve-unknown-fields" not in schema:
        result["additionalProperties"] = _mapped(cast("Schema", values), definitions)
    return result


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    """Replace references by the schemas they refer to, and remove null from alternatives."""
    rest = dict(schema)
    options = [each for each in rest.pop("anyOf", []) if each.get("type") != "null"]
    if len(options) > 1:
        raise ValueError("alternatives have no place in a structural schema")
    if "$ref" in rest:
        options.append(definitions[str(rest.pop("$ref")).rpartition("/")[2]])
    for option in options:
        rest = _resolved(option, definitions) | rest
    return rest


def known_fields(model: type[BaseModel], location: Location) -> list[str]:
    """The field names that a model has at a place; none where the place is not within the models."""
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
    """A type without its annotations, and without null."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _bare(arguments[0])
    if get_origin(annotation) in {Union, UnionType}:
        return _bare(next(one for one in arguments if one is not NoneType))
    return annotation


def example_of(model: type[BaseModel], location: Location) -> str:
    """The first example of the field at a place, as a document spells it; empty for a field without one."""
    for length in range(len(location), 0, -1):
        holder, name = location[: length - 1], location[length - 1]
        if isinstance(name, int):  # an entry of a list has the example of its list
            continue
        field = _field(model, holder, name)
        return spelled(field.examples[0]) if field is not None and field.examples else ""
    return ""


def _field(model: type[BaseModel], holder: Location, name: str) -> FieldInfo | None:
    current: object = model
    for step in holder:
        current = _inside(current, step)
    if not (isinstance(current, type) and issubclass(current, BaseModel)):
        return None
    return next(
        (info for own, info in current.model_fields.items() if (info.alias or own) == name), None
    )
