"""Objects as the tables and the bare metadata that kubectl and metadata clients ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from demo.apiserver import jsonpath
from demo.apiserver.ages import age
from demo.apiserver.causes import compact, shown
from demo.apiserver.columns import AGE, BUILT_IN, CREATED, NAME, Column, Read
from demo.apiserver.documents import Object, Value, as_list, as_object
from demo.apiserver.jsonpath import PathError
from demo.apiserver.served import Served

META = "meta.k8s.io/v1"


def table(served: Served, objects: Sequence[Object], *, include_object: str, now: str) -> Object:
    """The objects as a Table, a row each; `now`, RFC 3339, is what ages are counted to.

    `include_object` says what a row holds of its object: `Object`, `None`, or else its metadata.
    """
    columns = _columns(served)
    return {
        "kind": "Table",
        "apiVersion": META,
        "metadata": {},
        "columnDefinitions": [_definition(column) for column in columns],
        "rows": [
            {
                "cells": [column.read(obj, now) for column in columns],
                "object": _included(obj, include_object),
            }
            for obj in objects
        ],
    }


def partial_metadata(obj: Object) -> Object:
    """An object as its metadata alone."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": obj["metadata"]}


def partial_metadata_list(objects: Sequence[Object]) -> Object:
    """A list of bare metadata; the list's own metadata is the caller's."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": META,
        "metadata": {},
        "items": [partial_metadata(obj) for obj in objects],
    }


def _included(obj: Object, include: str) -> Object | None:
    if include == "None":
        return None
    return obj if include == "Object" else partial_metadata(obj)


def _columns(served: Served) -> list[Column]:
    if served.schema is None:
        return list(BUILT_IN.get(served.qualified, (NAME, CREATED)))
    if not served.columns:
        return [NAME, Column("Age", AGE.read, kind="date", description=AGE.description)]
    return [NAME, *(_custom(column) for column in served.columns)]


def _custom(column: Mapping[str, Any]) -> Column:
    path = column["jsonPath"]
    otherwise = f"Custom resource definition column (in JSONPath format): {path}"
    return Column(
        column["name"],
        _reader(path, column["type"]),
        kind=column["type"],
        form=column.get("format", ""),
        priority=column.get("priority", 0),
        description=column.get("description") or otherwise,
    )


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.kind,
        "format": column.form,
        "description": column.description,
        "priority": column.priority,
    }


def _reader(path: str, kind: str) -> Read:
    def read(obj: Object, now: str) -> Value:
        try:
            values = jsonpath.found(path, obj)
        except PathError:
            return None
        return _cell(kind, values[0], now=now) if values else None

    return read


def _cell(kind: str, value: Value, *, now: str) -> Value:
    """A value in a column of this type; None where it does not fit."""
    if kind == "string":
        return _text(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if kind == "date":
        return age(value, now=now) if isinstance(value, str) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if kind == "integer" else value


def _text(value: Value) -> str:
    if as_object(value) is not None or as_list(value) is not None:
        return compact(value)
    return "<none>" if value is None else shown(value)
