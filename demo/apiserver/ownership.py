"""Who owns which fields of an object: sets of paths, how two states differ, and `metadata.managedFields`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from demo.apiserver.documents import MISSING, Object, Schema, Value, as_object
from demo.apiserver.shapes import Part, Path, below, from_fields, parts, to_fields

UPDATE_MANAGERS = 10
"""How many updaters an object remembers one by one; the oldest beyond are taken together."""

ANCIENT = "ancient-changes"

_NOBODYS = frozenset(
    (
        *(("f:apiVersion",), ("f:kind",), ("f:metadata",)),
        *(
            ("f:metadata", f"f:{name}")
            for name in (
                *("name", "namespace", "creationTimestamp", "selfLink", "uid"),
                *("clusterName", "generation", "managedFields", "resourceVersion"),
            )
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Owner:
    """One entry of `managedFields`."""

    manager: str
    operation: str
    api_version: str
    subresource: str
    paths: frozenset[Path]
    time: str = ""
    """RFC 3339, to the second; empty for who came to share fields without changing any."""

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells two entries apart: who applies in two versions is still one."""
        version = "" if self.operation == "Apply" else self.api_version
        return (self.manager, self.operation, version, self.subresource)

    @property
    def shown(self) -> str:
        """How a conflict names it."""
        name = f'"{self.manager}"'
        if self.subresource:
            name = f'{name} with subresource "{self.subresource}"'
        return name if self.operation == "Apply" else f"{name} using {self.api_version}"


@dataclass(frozen=True, slots=True)
class Difference:
    """What is no longer there, and what is new or another."""

    removed: frozenset[Path]
    changed: frozenset[Path]


def owned(schema: Schema, value: Value) -> frozenset[Path]:
    """The paths that who applies the value comes to own."""
    found: set[Path] = set()
    _own(schema, value, (), found)
    return frozenset(found)


def _own(schema: Schema, value: Value, path: Path, found: set[Path]) -> None:
    inside = parts(schema, value)
    if inside is None:
        found.add(path)
        return
    for part in inside:
        at = (*path, part.step)
        _own(part.schema, part.value, at, found)
        if part.value is None or part.value == {} or not part.declared:
            found.add(at)


def difference(schema: Schema, before: Value, after: Value) -> Difference:
    """The paths at which two states differ."""
    removed: set[Path] = set()
    changed: set[Path] = set()
    _differ(Part("", schema, before, declared=True), after, (), removed=removed, changed=changed)
    return Difference(frozenset(removed), frozenset(changed))


def _differ(
    part: Part, after: Value, path: Path, *, removed: set[Path], changed: set[Path]
) -> None:
    """`part` is the state before; its value or the one after may be MISSING."""
    before = part.value
    old = {one.step: one for one in parts(part.schema, before) or ()}
    new = {one.step: one for one in parts(part.schema, after) or ()}
    for step in {**old, **new}:
        one = old.get(step) or _absent(new[step])
        later = new[step].value if step in new else MISSING
        _differ(one, later, (*path, step), removed=removed, changed=changed)
    if after is MISSING:
        removed.add(path)
    elif before is MISSING or (not (old and new) and not _same(before, after, old or new)):
        changed.add(path)


def _absent(part: Part) -> Part:
    """The part where it is not there."""
    return Part(part.step, part.schema, MISSING, part.declared)


def _same(before: Value, after: Value, below: object) -> bool:
    """Whether two values are the same leaf, or differ only in their parts; null has none."""
    if below:
        return before is None or after is None or type(before) is type(after)
    return type(before) is type(after) and before == after


def reachable(paths: Iterable[Path], *, subresource: str, resets_status: bool) -> frozenset[Path]:
    """Paths that can be owned through an endpoint: status only where it is written."""

    def is_kept(path: Path) -> bool:
        is_status = path[:1] == ("f:status",)
        return is_status if subresource == "status" else not (is_status and resets_status)

    return frozenset(path for path in paths if path and is_kept(path))


def ownable(paths: frozenset[Path]) -> frozenset[Path]:
    """Paths without those that nobody owns: what an object is, and what only the server writes."""
    return paths - _NOBODYS


def ensured(schema: Schema, paths: Iterable[Path]) -> frozenset[Path]:
    """The paths, and what is above them as far as the schema declares it."""
    found = set(paths)
    for path in paths:
        at = schema
        for length, step in enumerate(path[:-1], start=1):
            at, declared = below(at, step)
            if declared:
                found.add(path[:length])
    return frozenset(found)


def owners_of(obj: Object | None) -> dict[tuple[str, ...], Owner]:
    """The owners that an object names, by identity; none if what it says cannot be read."""
    entries = (as_object((obj or {}).get("metadata")) or {}).get("managedFields") or ()
    found: dict[tuple[str, ...], Owner] = {}
    for entry in entries:
        if entry.get("operation") not in ("Apply", "Update") or not entry.get("apiVersion"):
            return {}
        owner = Owner(
            manager=entry.get("manager", ""),
            operation=entry["operation"],
            api_version=entry["apiVersion"],
            subresource=entry.get("subresource", ""),
            paths=from_fields(entry.get("fieldsV1") or {}),
            time=entry.get("time", ""),
        )
        found[owner.identity] = owner
    return found


def written(owners: Iterable[Owner]) -> list[Object]:
    """Owners as `managedFields` lists them: appliers first, then by time."""
    held = [owner for owner in owners if owner.paths]
    held.sort(key=lambda it: (it.operation, it.time, it.manager, it.api_version, it.subresource))
    return [_written(owner) for owner in held]


def _written(owner: Owner) -> Object:
    entry: Object = {
        "manager": owner.manager,
        "operation": owner.operation,
        "apiVersion": owner.api_version,
        "time": owner.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": to_fields(owner.paths),
        "subresource": owner.subresource,
    }
    return {name: value for name, value in entry.items() if value != ""}


def without(owner: Owner, paths: frozenset[Path]) -> Owner:
    """An owner who lost paths."""
    return replace(owner, paths=owner.paths - paths)


def capped(owners: Iterable[Owner]) -> list[Owner]:
    """Owners, the oldest updaters beyond the bound taken together."""
    everyone = list(owners)
    updaters = sorted(
        (one for one in everyone if one.operation == "Update"),
        key=lambda it: (it.time, it.identity),
    )
    old = updaters[: max(0, len(updaters) - UPDATE_MANAGERS + 1)]
    if len(updaters) <= UPDATE_MANAGERS:
        return everyone
    together: dict[str, Owner] = {}
    for one in old:
        former = together.get(one.api_version)
        paths = one.paths if former is None else one.paths | former.paths
        together[one.api_version] = replace(one, manager=ANCIENT, subresource="", paths=paths)
    return [one for one in everyone if one not in old] + list(together.values())
