"""Server-side apply, and the ownership that every other write records.

The rules are structured-merge-diff's. All versions of a resource have one schema here, so an entry of
`managedFields` counts whatever its `apiVersion` is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from demo.apiserver.constraints import type_of, types_of
from demo.apiserver.documents import (
    MISSING,
    Object,
    Schema,
    Value,
    as_list,
    as_object,
    copied,
    list_type,
)
from demo.apiserver.ownership import (
    Owner,
    Part,
    Path,
    cap_updaters,
    difference,
    ensured,
    in_order,
    ownable,
    owned_paths,
    owners_of,
    parts,
    path_text,
    reachable,
    step_of,
    to_managed_fields,
    whole_schema,
    without_paths,
)
from demo.apiserver.validation import Cause

_EXPECTED = {"array": "list", "boolean": "boolean", "object": "map"}
_GO_TYPES = {
    "array": "[]interface {}",
    "boolean": "bool",
    "object": "map[string]interface {}",
    "string": "string",
}


class UndeclaredError(Exception):
    """A field that the schema does not declare, or a value of another type; the message is the response's."""


def check_declared(schema: Schema, applied: Object) -> None:
    """Raise UndeclaredError unless the configuration fits the schema of the whole object."""
    found = [f"{path}: {text}" for path, text in _mismatches(schema, applied, "")]
    if not found:
        return
    metadata = as_object(applied.get("metadata")) or {}
    group, _, version = str(applied.get("apiVersion", "")).rpartition("/")
    name = f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"
    of = f"{name}; {group}/{version}, Kind={applied.get('kind', '')}"
    listed = found[0] if len(found) == 1 else "errors:\n  " + "\n  ".join(sorted(found))
    raise UndeclaredError(f"failed to create typed patch object ({of}): {listed}")


def _mismatches(schema: Schema, value: Value, path: str) -> Iterator[tuple[str, str]]:
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
        at = path + path_text((part.step,))
        if closed and as_object(value) is not None and not part.declared:
            yield at, "field not declared in schema"
        else:
            yield from _mismatches(part.schema, part.value, at)


def _is_open(schema: Schema) -> bool:
    return bool(
        schema.get("additionalProperties") or schema.get("x-kubernetes-preserve-unknown-fields")
    )


def _unkeyed(schema: Schema, elements: list[Value]) -> Iterator[str]:
    """Yield complaints about elements without a key or with a duplicate key."""
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
            yield f"duplicate entries for key {path_text((step,))}"
        seen.add(step)


def _mistyped(schema: Schema, value: Value) -> str:
    types = types_of(schema)
    if value is None or len(types) != 1:
        return ""
    expected, found = types[0], type_of(value)
    if found == expected or {found, expected} == {"integer", "number"}:
        return ""
    go = _go(value)
    if expected == "string":
        return f"expected string, got &value.valueUnstructured{{Value:{go}}}"
    if expected in _EXPECTED:
        return f"expected {_EXPECTED[expected]}, got &{{{go}}}"
    return f"expected numeric (int or float), got {_GO_TYPES[found]}"


def _go(value: Value) -> str:
    """Format a value as Go's %v does."""
    held, elements = as_object(value), as_list(value)
    if held is not None:
        return f"map[{' '.join(f'{name}:{_go(one)}' for name, one in sorted(held.items()))}]"
    if elements is not None:
        return f"[{' '.join(_go(one) for one in elements)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def merge(live: Part, applied: Value) -> Value:
    """Merge the applied value into the live one."""
    below = parts(live.schema, applied)
    if not below:  # a leaf; or empty, which leaves what is there where that has parts
        keeps = below is not None and bool(parts(live.schema, live.value))
        return copied(live.value if keeps else applied)
    there = {part.step: part for part in parts(live.schema, live.value) or ()}
    united = {part.step: merge(there.get(part.step, _missing(part)), part.value) for part in below}
    if as_list(applied) is not None:
        steps = _ordered(list(there), [part.step for part in below])
        return [united[step] if step in united else there[step].value for step in steps]
    kept = as_object(live.value) or {}
    return {**kept, **{step.removeprefix("f:"): value for step, value in united.items()}}


def _missing(part: Part) -> Part:
    return replace(part, value=MISSING)


def _ordered(there: list[str], applied: list[str]) -> list[str]:
    """Return the elements of both lists in structured-merge-diff's order.

    Applied elements keep their order; an element that is only live stays behind its predecessor where possible.
    """
    shared = [step for step in applied if step in there]
    found: list[str] = []
    rest = list(there)
    for step in applied:
        while rest and rest[0] != step and rest[:1] != shared[:1]:
            first = rest.pop(0)
            if first not in applied:
                found.append(first)
        rest = rest[1:] if rest[:1] == [step] else rest
        shared = shared[1:] if shared[:1] == [step] else shared
        found.append(step)
    return found + [step for step in rest if step not in applied]


def remove_paths(schema: Schema, value: Value, paths: frozenset[Path], path: Path = ()) -> Value:
    """Remove paths from a value; a value that loses all its parts becomes null, as on a cluster."""
    below = parts(schema, value)
    if not below:
        return value
    kept = [
        (part.step, remove_paths(part.schema, part.value, paths, (*path, part.step)))
        for part in below
        if (*path, part.step) not in paths
    ]
    if not kept:
        return None
    if as_list(value) is not None:
        return [one for _, one in kept]
    return {step.removeprefix("f:"): one for step, one in kept}


Owners = dict[tuple[str, ...], Owner]

_RESET: list[Object] = [{}]
"""The `managedFields` by which a client clears all ownership."""


class ConflictError(Exception):
    """Fields owned by other managers would change: 409, reason Conflict, with the causes."""

    def __init__(self, conflicts: list[tuple[Owner, Path]]) -> None:
        self.causes = [
            Cause(path_text(path), "FieldManagerConflict", f"conflict with {owner.shown}")
            for owner, path in conflicts
        ]
        super().__init__(f"Apply failed with {_conflict_message(conflicts)}")


def _conflict_message(conflicts: list[tuple[Owner, Path]]) -> str:
    if len(conflicts) == 1:
        owner, path = conflicts[0]
        return f"1 conflict: conflict with {owner.shown}: {path_text(path)}"
    lines: dict[str, list[str]] = {}
    for owner, path in conflicts:
        at = lines.setdefault(owner.shown, [f"conflicts with {owner.shown}:"])
        at.append(f"- {path_text(path)}")
    message = "\n".join(line for _, each in sorted(lines.items()) for line in each)
    return f"{len(conflicts)} conflicts: {message}"


def server_side_apply(
    live: Object | None,
    applied: Object,
    *,
    manager: str,
    force: bool,
    schema: Schema | None,
    now: str,
    api_version: str,
    subresource: str = "",
    has_status: bool = True,
) -> Object:
    """Apply a configuration and return the object with its `managedFields`; it shares parts with both inputs.

    `now` is RFC 3339 to the second. Defaults, pruning and validation, and the status of an
    apply to the main endpoint, are left to the caller. Raises ConflictError, and
    `declared.UndeclaredError` for what does not fit the schema.
    """
    typed = whole_schema(schema, str(applied.get("kind", "")))
    check_declared(typed, applied)
    before, owners = _without_owners(live or {}), owners_of(live)
    own = Owner(manager, "Apply", api_version, subresource, frozenset())
    own = replace(own, paths=_reach(owned_paths(typed, applied), own, has_status=has_status))
    last = owners.get(own.identity)
    owners[own.identity] = own
    after = merge(Part("", typed, before, declared=True), applied)
    if last is not None:
        after = _drop_unowned(typed, after, last.paths, owners)
    found = difference(typed, before, after)
    changed = _reach(found.changed, own, has_status=has_status)
    lost = changed | _reach(found.removed, own, has_status=has_status)
    others = {key: one for key, one in owners.items() if key != own.identity}
    if not force:
        _refuse_conflicts(others, changed)
    left = {key: without_paths(one, lost) for key, one in others.items()}
    time = now if after != before else (last.time if last else "")
    left[own.identity] = replace(own, paths=ownable(own.paths), time=time)
    if schema is None:  # built-in kinds know no null
        after = {name: one for name, one in after.items() if one is not None}
    return _with_owners(after, to_managed_fields(left.values()))


def track_update(
    before: Object | None,
    after: Object,
    *,
    manager: str,
    now: str,
    api_version: str,
    subresource: str = "",
    schema: Schema | None = None,
    has_status: bool = True,
) -> Object:
    """Return the object after a create, an update or a patch with its updated `managedFields`.

    `now` is RFC 3339 to the second; an object that did not change keeps its owners as they are.
    """
    typed = whole_schema(schema, str(after.get("kind", "")))
    own = Owner(manager, "Update", api_version, subresource, frozenset(), now)
    found = difference(typed, _without_owners(before or {}), _with_owners(after, []))
    changed = ownable(_reach(found.changed, own, has_status=has_status))
    owners = {
        key: without_paths(one, changed | found.removed)
        for key, one in _claimed(before, after, subresource).items()
    }
    if changed:
        former = owners.get(own.identity, own)
        owners[own.identity] = replace(own, paths=former.paths | changed)
    return _with_owners(after, to_managed_fields(cap_updaters(owners.values())))


def _claimed(before: Object | None, after: Object, subresource: str) -> Owners:
    """Return the owners a write starts from: the list it sends, except through a subresource."""
    if subresource:
        return owners_of(before)
    if (as_object(after.get("metadata")) or {}).get("managedFields") == _RESET:
        return {}
    return owners_of(after) or owners_of(before)


def _reach(paths: frozenset[Path], own: Owner, *, has_status: bool) -> frozenset[Path]:
    return reachable(paths, subresource=own.subresource, resets_status=has_status)


def _refuse_conflicts(others: Owners, changed: frozenset[Path]) -> None:
    conflicts = [
        (one, path) for _, one in sorted(others.items()) for path in in_order(one.paths & changed)
    ]
    if conflicts:
        raise ConflictError(conflicts)


def _drop_unowned(schema: Schema, value: Value, last: frozenset[Path], owners: Owners) -> Value:
    """Remove fields that the manager applied last time, omitted now, and that have no other owner."""

    def paths(value: Value) -> frozenset[Path]:
        return ensured(schema, owned_paths(schema, value))

    own_last = ensured(schema, last)
    all_owned = ensured(schema, {path for one in owners.values() for path in one.paths})
    every = paths(value)
    foreign = paths(remove_paths(schema, value, own_last))
    kept = paths(remove_paths(schema, value, every - foreign - all_owned))
    return remove_paths(schema, value, (every - kept) & own_last)


def _without_owners(obj: Object) -> Object:
    metadata = as_object(obj.get("metadata")) or {}
    if "managedFields" not in metadata:
        return obj
    rest = {name: one for name, one in metadata.items() if name != "managedFields"}
    return {**obj, "metadata": rest}


def _with_owners(obj: Object, owners: list[Object]) -> Object:
    """Set the `managedFields`, and drop empty lists and maps of the metadata, which a server never stores."""
    metadata = dict(as_object(obj.get("metadata")) or {})
    for name in ("annotations", "finalizers", "labels", "ownerReferences", "managedFields"):
        if not metadata.get(name):
            metadata.pop(name, None)
    metadata["managedFields"] = owners
    if not owners:
        del metadata["managedFields"]
    return {**obj, "metadata": metadata}
