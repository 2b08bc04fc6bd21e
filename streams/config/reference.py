"""The reference of the Ingester's fields (``docs/fields.md``), generated from the models and the unbuilt fields.

``python -m tests.kit.generate`` writes the file; a test compares it with ``reference()``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from streams.config.ingester import IngesterSpec
from streams.config.schema import Schema, spelled, structural
from streams.config.unbuilt import UNBUILT, Unbuilt

_TOP = "spec"
_INTRODUCTION = """\
# The fields of an Ingester

One table row per field of `spec`. `kubectl explain ingester.spec --recursive` lists the same fields where the
CustomResourceDefinitions are installed, and `zen-streams validate -f FILE` checks a document without a cluster.

- **Field**: `[]` in a path is every entry of a list, `{}` every value of a map. A block requires its bold fields.
- **Effect**: `no` is a field that this version accepts and ignores, with a warning of `zen-streams validate`. `not run`
  marks Ingesters that this version does not run at all.
- A block that occurs at several paths is listed at one of them; the other paths refer to it.

Durations are written as in Go, in `ttl` also with `d` for days: `30s`, `1h30m`, `30d`. Quantities are those of
Kubernetes: `64Mi`.

The file is generated (`make generate`).

| Field | Type | Default | Meaning | Example | Effect |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class _Field:
    """One row: the field's path, its schema, the block it refers to (empty for a scalar), whether it is required."""

    path: str
    schema: Schema
    block: str
    required: bool


def reference() -> str:
    """The reference as Markdown."""
    schema = IngesterSpec.model_json_schema(by_alias=True)
    definitions = cast("Schema", schema["$defs"])
    homes = _homes(schema, definitions)
    rows = (_row(field, definitions, homes) for field in _fields(schema, _TOP, definitions, homes))
    return _INTRODUCTION + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _homes(schema: Schema, definitions: Schema) -> dict[str, str]:
    """The path at which each block is listed: the shortest one, and of these the first."""
    homes: dict[str, str] = {}
    queue = deque([(_TOP, schema)])
    while queue:
        path, block = queue.popleft()
        for field in _properties(block, path):
            if field.block and field.block not in homes:
                homes[field.block] = field.path
                queue.append((field.path, definitions[field.block]))
    return homes


def _fields(
    schema: Schema, path: str, definitions: Schema, homes: dict[str, str]
) -> Iterator[_Field]:
    """The fields of a block and of the blocks listed below it, in the order of the model."""
    for field in _properties(schema, path):
        yield field
        if field.block and homes[field.block] == field.path:
            yield from _fields(definitions[field.block], field.path, definitions, homes)


def _properties(schema: Schema, path: str) -> Iterator[_Field]:
    required = schema.get("required", [])
    for name, inner in cast("Schema", schema["properties"]).items():
        suffix, block = _block(inner)
        yield _Field(f"{path}.{name}{suffix}", inner, block, required=name in required)


def _block(schema: Schema) -> tuple[str, str]:
    """The block that a field's schema refers to, and how the field's path continues into it."""
    for option in (schema, *schema.get("anyOf", ())):
        if "$ref" in option:
            return "", str(option["$ref"]).rpartition("/")[2]
        for key, suffix in (("items", "[]"), ("additionalProperties", "{}")):
            inner = option.get(key)
            if isinstance(inner, dict) and "$ref" in inner:
                return suffix, _block(cast("Schema", inner))[1]
    return "", ""


def _row(field: _Field, definitions: Schema, homes: dict[str, str]) -> tuple[str, ...]:
    schema = structural(_without_examples(field.schema) | {"$defs": definitions})
    path = f"`{field.path}`"
    meaning = str(field.schema["description"])
    home = homes.get(field.block, field.path)
    if home != field.path:
        meaning = f"{meaning} Fields: see `{home}`."
    default, examples = field.schema.get("default"), field.schema.get("examples", ())
    return (
        f"**{path}**" if field.required else path,
        _escaped(_type(schema)),
        f"`{spelled(default)}`" if default not in (None, ()) and default != [] else "",
        _escaped(meaning),
        f"`{_escaped(spelled(examples[0]))}`" if examples else "",
        _escaped(_effect(field.path.removeprefix(f"{_TOP}."))),
    )


def _without_examples(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "examples"}


def _type(schema: Schema) -> str:
    if "enum" in schema:
        *most, last = (f"`{value}`" for value in schema["enum"])
        return f"{', '.join(most)} or {last}" if most else last
    if schema.get("x-kubernetes-int-or-string"):
        is_adaptive = schema["pattern"] == "^adaptive$"
        return "integer from 1, or `adaptive`" if is_adaptive else "quantity"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object":
        values = schema.get("additionalProperties")
        return "block" if values is None else f"map of {_type(values)}"
    return f"{'text' if kind == 'string' else kind}{_bounds(schema)}"


def _bounds(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None:
        return ""
    if schema.get("exclusiveMinimum"):
        return f" above {_number(least)}"
    return f" from {_number(least)}" + (f" to {_number(most)}" if most is not None else "")


def _number(bound: float) -> str:
    return str(int(bound) if bound == int(bound) else bound)


def _effect(path: str) -> str:
    """Whether a field has an effect in this version, and for which values it has none."""
    rows = [row for row in UNBUILT if _covers(row, path)]
    for row in rows:
        if not row.values:
            return "not run" if row.stops else f"no{f': {row.instead}' if row.instead else ''}"
    exceptions = [_exception(row) for row in rows if row.path == path.removesuffix("{}")]
    return f"yes, but {'; '.join(exceptions)}" if exceptions else "yes"


def _covers(row: Unbuilt, path: str) -> bool:
    return path == row.path or path.startswith((f"{row.path}.", f"{row.path}[", f"{row.path}{{"))


def _exception(row: Unbuilt) -> str:
    values = row.values if " " in row.values else f"`{row.values}`"
    return f"{values}: {'not run' if row.stops else row.instead or 'no effect'}"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
