"""Server-side apply, and the ownership that every other write leaves behind.

The rules are structured-merge-diff's. All versions of a resource have one schema here, so an entry of
`managedFields` counts whatever its `apiVersion` says.
"""

from __future__ import annotations

from dataclasses import replace

from demo.apiserver import declared
from demo.apiserver.causes import Cause
from demo.apiserver.documents import Object, Schema, Value, as_object
from demo.apiserver.merging import merged, removed
from demo.apiserver.ownership import (
    Owner,
    capped,
    difference,
    ensured,
    ownable,
    owned,
    owners_of,
    reachable,
    without,
    written,
)
from demo.apiserver.shapes import Part, Path, in_order, shown, whole

Owners = dict[tuple[str, ...], Owner]

_RESET: list[Object] = [{}]
"""The `managedFields` with which a client asks that nobody owns anything."""


class ConflictError(Exception):
    """Fields that others own have other values: 409, reason Conflict, with the causes."""

    def __init__(self, conflicts: list[tuple[Owner, Path]]) -> None:
        self.causes = [
            Cause(shown(path), "FieldManagerConflict", f"conflict with {owner.shown}")
            for owner, path in conflicts
        ]
        super().__init__(f"Apply failed with {_told(conflicts)}")


def _told(conflicts: list[tuple[Owner, Path]]) -> str:
    if len(conflicts) == 1:
        owner, path = conflicts[0]
        return f"1 conflict: conflict with {owner.shown}: {shown(path)}"
    lines: dict[str, list[str]] = {}
    for owner, path in conflicts:
        at = lines.setdefault(owner.shown, [f"conflicts with {owner.shown}:"])
        at.append(f"- {shown(path)}")
    said = "\n".join(line for _, each in sorted(lines.items()) for line in each)
    return f"{len(conflicts)} conflicts: {said}"


def applied(
    live: Object | None,
    wanted: Object,
    *,
    manager: str,
    force: bool,
    schema: Schema | None,
    now: str,
    api_version: str,
    subresource: str = "",
    has_status: bool = True,
) -> Object:
    """The object after a manager applied what it wants, with `managedFields`; it shares parts with both.

    `now` is RFC 3339 to the second. Nothing is defaulted, pruned or judged, and the status of an
    apply to the main endpoint is there: that is the caller's. Raises ConflictError, and
    `declared.UndeclaredError` for what does not fit the schema.
    """
    typed = whole(schema, str(wanted.get("kind", "")))
    declared.check(typed, wanted)
    before, owners = _without_owners(live or {}), owners_of(live)
    own = Owner(manager, "Apply", api_version, subresource, frozenset())
    own = replace(own, paths=_reach(owned(typed, wanted), own, has_status=has_status))
    last = owners.get(own.identity)
    owners[own.identity] = own
    after = merged(Part("", typed, before, declared=True), wanted)
    if last is not None:
        after = _dropped(typed, after, last.paths, owners)
    found = difference(typed, before, after)
    changed = _reach(found.changed, own, has_status=has_status)
    lost = changed | _reach(found.removed, own, has_status=has_status)
    others = {key: one for key, one in owners.items() if key != own.identity}
    if not force:
        _refuse(others, changed)
    left = {key: without(one, lost) for key, one in others.items()}
    time = now if after != before else (last.time if last else "")
    left[own.identity] = replace(own, paths=ownable(own.paths), time=time)
    if schema is None:  # built-in kinds know no null
        after = {name: one for name, one in after.items() if one is not None}
    return _with_owners(after, written(left.values()))


def tracked(
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
    """The object after a create, an update or a patch, with the `managedFields` that this leaves.

    `now` is RFC 3339 to the second; an object that did not change keeps its owners as they are.
    """
    typed = whole(schema, str(after.get("kind", "")))
    own = Owner(manager, "Update", api_version, subresource, frozenset(), now)
    found = difference(typed, _without_owners(before or {}), _with_owners(after, []))
    changed = ownable(_reach(found.changed, own, has_status=has_status))
    owners = {
        key: without(one, changed | found.removed)
        for key, one in _claimed(before, after, subresource).items()
    }
    if changed:
        former = owners.get(own.identity, own)
        owners[own.identity] = replace(own, paths=former.paths | changed)
    return _with_owners(after, written(capped(owners.values())))


def _claimed(before: Object | None, after: Object, subresource: str) -> Owners:
    """The owners that a write claims: its own list if it has one, but not through a subresource."""
    if subresource:
        return owners_of(before)
    if (as_object(after.get("metadata")) or {}).get("managedFields") == _RESET:
        return {}
    return owners_of(after) or owners_of(before)


def _reach(paths: frozenset[Path], own: Owner, *, has_status: bool) -> frozenset[Path]:
    return reachable(paths, subresource=own.subresource, resets_status=has_status)


def _refuse(others: Owners, changed: frozenset[Path]) -> None:
    conflicts = [
        (one, path) for _, one in sorted(others.items()) for path in in_order(one.paths & changed)
    ]
    if conflicts:
        raise ConflictError(conflicts)


def _dropped(schema: Schema, value: Value, last: frozenset[Path], owners: Owners) -> Value:
    """What was merged, without what its manager applied last and nobody owns any more."""

    def paths(value: Value) -> frozenset[Path]:
        return ensured(schema, owned(schema, value))

    mine = ensured(schema, last)
    everybodys = ensured(schema, {path for one in owners.values() for path in one.paths})
    every = paths(value)
    never_mine = paths(removed(schema, value, mine))
    kept = paths(removed(schema, value, every - never_mine - everybodys))
    return removed(schema, value, (every - kept) & mine)


def _without_owners(obj: Object) -> Object:
    metadata = as_object(obj.get("metadata")) or {}
    if "managedFields" not in metadata:
        return obj
    rest = {name: one for name, one in metadata.items() if name != "managedFields"}
    return {**obj, "metadata": rest}


def _with_owners(obj: Object, owners: list[Object]) -> Object:
    """An object with these owners, and without what metadata never has: a list or a map without entries."""
    metadata = dict(as_object(obj.get("metadata")) or {})
    for name in ("annotations", "finalizers", "labels", "ownerReferences", "managedFields"):
        if not metadata.get(name):
            metadata.pop(name, None)
    metadata["managedFields"] = owners
    if not owners:
        del metadata["managedFields"]
    return {**obj, "metadata": metadata}
