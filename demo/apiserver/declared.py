"""Whether what is applied fits the schema at all; a genuine API server answers 500 where it does not."""

from __future__ import annotations

from collections.abc import Iterator

from demo.apiserver.constraints import type_of, types_of
from demo.apiserver.documents import Object, Schema, Value, as_list, as_object, list_type
from demo.apiserver.shapes import parts, shown, step_of

_WANTED = {"array": "list", "boolean": "boolean", "object": "map"}
_GO_TYPES = {
    "array": "[]interface {}",
    "boolean": "bool",
    "object": "map[string]interface {}",
    "string": "string",
}


class UndeclaredError(Exception):
    """A field that the schema does not have, or a value of another type; the message is the answer's."""


def check(schema: Schema, wanted: Object) -> None:
    """Raise UndeclaredError for what does not fit the schema of the whole object."""
    found = [f"{path}: {text}" for path, text in _complaints(schema, wanted, "")]
    if not found:
        return
    metadata = as_object(wanted.get("metadata")) or {}
    group, _, version = str(wanted.get("apiVersion", "")).rpartition("/")
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    of = f"{name}; {group}/{version}, Kind={wanted.get('kind', '')}"
    listed = found[0] if len(found) == 1 else "errors:\n  " + "\n  ".join(sorted(found))
    raise UndeclaredError(f"failed to create typed patch object ({of}): {listed}")


def _complaints(schema: Schema, value: Value, path: str) -> Iterator[tuple[str, str]]:
    wrong = _mistyped(schema, value)
    if wrong:
        yield path, wrong
        return
    if as_list(value) is not None and list_type(schema) != "atomic":
        yield from ((path, text) for text in _unkeyed(schema, as_list(value) or []))
    if schema.get("x-kubernetes-map-type") == "atomic":
        return
    closed = "properties" in schema and not _is_open(schema)
    for part in parts(schema, value) or ():
        at = path + shown((part.step,))
        if closed and as_object(value) is not None and not part.declared:
            yield at, "field not declared in schema"
        else:
            yield from _complaints(part.schema, part.value, at)


def _is_open(schema: Schema) -> bool:
    return bool(
        schema.get("additionalProperties") or schema.get("x-kubernetes-preserve-unknown-fields")
    )


def _unkeyed(schema: Schema, elements: list[Value]) -> Iterator[str]:
    """Elements without a key, or with one that another has."""
    seen: set[str] = set()
    names = schema.get("x-kubernetes-list-map-keys", ())
    quoted = " ".join(f'"{name}"' for name in names)
    for index, one in enumerate(elements):
        step = step_of(schema, one)
        if step == "k:{}":
            yield (
                f"element {index}: associative list with keys has an element that omits all key"
                f" fields [{quoted}] (and doesn't have default values for any key fields)"
            )
        elif step in seen:
            yield f"duplicate entries for key {shown((step,))}"
        seen.add(step)


def _mistyped(schema: Schema, value: Value) -> str:
    types = types_of(schema)
    if value is None or len(types) != 1:
        return ""
    wanted, found = types[0], type_of(value)
    if found == wanted or {found, wanted} == {"integer", "number"}:
        return ""
    go = _go(value)
    if wanted == "string":
        return f"expected string, got &value.valueUnstructured{{Value:{go}}}"
    if wanted in _WANTED:
        return f"expected {_WANTED[wanted]}, got &{{{go}}}"
    return f"expected numeric (int or float), got {_GO_TYPES[found]}"


def _go(value: Value) -> str:
    """A value as Go's %v writes it."""
    held, elements = as_object(value), as_list(value)
    if held is not None:
        return f"map[{' '.join(f'{name}:{_go(one)}' for name, one in sorted(held.items()))}]"
    if elements is not None:
        return f"[{' '.join(_go(one) for one in elements)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
