r"""Objects as Table and PartialObjectMetadata (meta.k8s.io/v1): columns, ages, the simple JSONPath of columns.

The JSONPath knows fields, elements, slices, `*` and a filter on one field:
`.status.conditions[?(@.type=="Ready")].status`, `.metadata.annotations.a\.b/c`, `.spec.list[*].name`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from demo.apiserver.documents import Object, ServedResource, Value, as_list, as_object
from demo.apiserver.validation import compact, format_value

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 31_536_000


def age(since: object, *, now: str) -> str:
    """Format the age at `now`, both RFC 3339; `<unknown>` without a time, `<invalid>` for a malformed one."""
    if since is None or since == "":
        return "<unknown>"
    try:
        past = dt.datetime.fromisoformat(str(since))
        seconds = (dt.datetime.fromisoformat(now) - past).total_seconds()
    except (ValueError, TypeError):
        return "<invalid>"
    return "<invalid>" if int(seconds) < -1 else duration(max(0, int(seconds)))


def duration(seconds: int) -> str:
    """Format a duration as kubectl (duration.HumanDuration): `119s`, `5m3s`, `3h20m`, `47h`, `6d4h`, `2y3d`."""
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    for end, unit, name, below, smaller in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if seconds < end:
            rest = seconds % unit // below if below else 0
            return f"{seconds // unit}{name}" + (f"{rest}{smaller}" if rest else "")
    return f"{seconds // _YEAR}y"


Read = Callable[[Object, str], Value]
"""Reads a cell of an object at a time (RFC 3339)."""

WIDE = 1
"""The priority of columns that only `-o wide` shows."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its definition, and the reader of its cells."""

    name: str
    read: Read
    kind: str = "string"
    form: str = ""
    priority: int = 0
    description: str = ""


def value_at(obj: Object, path: str, otherwise: Value = "") -> Value:
    """Return the value at a path of fields."""
    value: Value = obj
    for step in path.split("."):
        value = (as_object(value) or {}).get(step)
    return otherwise if value is None else value


def _path(path: str, otherwise: Value = "") -> Read:
    return lambda obj, _: value_at(obj, path, otherwise)


def _aged(path: str) -> Read:
    return lambda obj, now: age(value_at(obj, path, None), now=now)


NAME = Column("Name", _path("metadata.name"), form="name", description="The name of the object.")
AGE = Column("Age", _aged("metadata.creationTimestamp"), description="Since when it is there.")
CREATED = Column(
    "Created At",
    _path("metadata.creationTimestamp"),
    kind="date",
    description="When it was made.",
)


def _data(obj: Object, _: str) -> int:
    return len(value_at(obj, "data", {})) + len(value_at(obj, "binaryData", {}))


def _containers(obj: Object) -> list[Object]:
    statuses = as_list(value_at(obj, "status.containerStatuses", [])) or []
    return [as_object(one) or {} for one in statuses]


def _ready(obj: Object, _: str) -> str:
    ready = sum(bool(one.get("ready")) for one in _containers(obj))
    return f"{ready}/{len(value_at(obj, 'spec.containers', []))}"


def _pod_status(obj: Object, _: str) -> str:
    if value_at(obj, "metadata.deletionTimestamp", None):
        return "Terminating"
    status = str(value_at(obj, "status.reason") or value_at(obj, "status.phase"))
    for one in _containers(obj):
        for state in ("state.waiting.reason", "state.terminated.reason"):
            status = str(value_at(one, state) or status)
    return status


def _restarts(obj: Object, _: str) -> str:
    return str(sum(int(one.get("restartCount", 0)) for one in _containers(obj)))


def _node_status(obj: Object, _: str) -> str:
    conditions = [
        as_object(one) or {} for one in as_list(value_at(obj, "status.conditions", [])) or []
    ]
    ready = [one.get("status") for one in conditions if one.get("type") == "Ready"]
    states = [{"True": "Ready", "False": "NotReady"}.get(str(one), "Unknown") for one in ready]
    states = states or ["Unknown"]
    return ",".join(
        [*states, *(["SchedulingDisabled"] if value_at(obj, "spec.unschedulable") else [])]
    )


def _roles(obj: Object, _: str) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = as_object(value_at(obj, "metadata.labels", {})) or {}
    return ",".join(sorted(name[len(prefix) :] for name in labels if name.startswith(prefix))) or (
        "<none>"
    )


def _last_seen(obj: Object, now: str) -> str:
    for path in ("series.lastObservedTime", "lastTimestamp", "eventTime"):
        if value_at(obj, path, None):
            return age(value_at(obj, path), now=now)
    return age(value_at(obj, "firstTimestamp", None), now=now)


def _involved(obj: Object, _: str) -> str:
    involved = as_object(obj.get("involvedObject") or obj.get("regarding")) or {}
    return f"{involved.get('kind', '')}/{involved.get('name', '')}".lower()


def _event_source(obj: Object, _: str) -> str:
    named = (value_at(obj, "source.component"), value_at(obj, "source.host"))
    return ", ".join(one for one in named if one) or str(value_at(obj, "reportingComponent"))


def _versions(obj: Object, _: str) -> str:
    versions = sorted(
        as_list(value_at(obj, "spec.versions", [])) or [], key=lambda it: str(it["name"])
    )
    return ",".join(
        f"{one['name']}{'(storage)' if one.get('storage') else ''}"
        for one in versions
        if one.get("served")
    )


def _is_established(obj: Object, _: str) -> bool:
    return any(
        one.get("type") == "Established" and one.get("status") == "True"
        for one in as_list(value_at(obj, "status.conditions", [])) or []
    )


def _of(part: str) -> Read:
    return lambda obj, _: f"{value_at(obj, part, 0)}/{value_at(obj, 'spec.replicas', 1)}"


_PLAIN = (NAME, AGE)
_EVENTS = (
    Column("Last Seen", _last_seen),
    Column("Type", _path("type")),
    Column("Reason", _path("reason")),
    Column("Object", _involved),
    Column("Subobject", _path("involvedObject.fieldPath"), priority=WIDE),
    Column("Source", _event_source, priority=WIDE),
    Column(
        "Message", lambda obj, _: str(value_at(obj, "message") or value_at(obj, "note")).strip()
    ),
    Column("First Seen", _aged("firstTimestamp"), priority=WIDE),
    Column("Count", _path("count", 1), priority=WIDE),
    Column("Name", _path("metadata.name"), form="name", priority=WIDE),
)

BUILT_IN: Mapping[str, tuple[Column, ...]] = {
    "configmaps": (NAME, Column("Data", _data), AGE),
    "customresourcedefinitions.apiextensions.k8s.io": (
        NAME,
        Column("Scope", _path("spec.scope")),
        Column("Versions", _versions),
        CREATED,
        Column("Group", _path("spec.group"), priority=WIDE),
        Column("Kind", _path("spec.names.kind"), priority=WIDE),
        Column(
            "ShortNames",
            lambda obj, _: ",".join(value_at(obj, "spec.names.shortNames", [])),
            priority=WIDE,
        ),
        Column("Established", _is_established, kind="boolean", priority=WIDE),
    ),
    "deployments.apps": (
        NAME,
        Column("Ready", _of("status.readyReplicas")),
        Column("Up-to-date", _path("status.updatedReplicas", 0)),
        Column("Available", _path("status.availableReplicas", 0)),
        AGE,
    ),
    "events": _EVENTS,
    "events.events.k8s.io": _EVENTS,
    "leases.coordination.k8s.io": (NAME, Column("Holder", _path("spec.holderIdentity")), AGE),
    "namespaces": (NAME, Column("Status", _path("status.phase")), AGE),
    "nodes": (
        NAME,
        Column("Status", _node_status),
        Column("Roles", _roles),
        AGE,
        Column("Version", _path("status.nodeInfo.kubeletVersion")),
    ),
    "pods": (
        NAME,
        Column("Ready", _ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        AGE,
        Column("IP", _path("status.podIP", "<none>"), priority=WIDE),
        Column("Node", _path("spec.nodeName", "<none>"), priority=WIDE),
    ),
    "secrets": (NAME, Column("Type", _path("type")), Column("Data", _data), AGE),
    "services": (
        NAME,
        Column("Type", _path("spec.type", "ClusterIP")),
        Column("Cluster-IP", _path("spec.clusterIP", "<none>")),
        AGE,
    ),
    **dict.fromkeys(
        (
            *("daemonsets.apps", "replicasets.apps", "statefulsets.apps", "serviceaccounts"),
            *("cronjobs.batch", "jobs.batch", "persistentvolumeclaims"),
        ),
        _PLAIN,
    ),
}
"""By `ServedResource.qualified`; other kinds have Name and Created At."""


Step = Callable[[Value], list[Value]]

_PARSED = 512
"""Bound of the cache, far above the number of columns of a demonstration."""

_STEP = re.compile(
    r"""(?:\.|\[)(?P<all>\*)\]?
    | \.(?P<field>(?:[^.\[\]\\]|\\.)+)
    | \[\?\(\s*@\.(?P<by>[-\w.]+)\s*(?P<operator>==|!=)\s*(?P<value>"[^"]*"|'[^']*'|[-\w.]+)\s*\)\]
    | \['(?P<quoted>(?:[^'\\]|\\.)+)'\]
    | \[(?P<start>-?[0-9]*):(?P<end>-?[0-9]*)\]
    | \[(?P<index>-?[0-9]+)\]
    """,
    re.VERBOSE,
)


class PathError(ValueError):
    """A path that is not a simple JSONPath."""


def find_values(path: str, obj: Object) -> list[Value]:
    """Return the values at the path. Raises PathError."""
    values: list[Value] = [obj]
    for step in _parsed(path):
        values = [one for value in values for one in step(value)]
    return values


@lru_cache(maxsize=_PARSED)
def _parsed(path: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    position = 0
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise PathError(f"{path[position:]!r} is no step of a simple JSONPath")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def _step(match: re.Match[str]) -> Step:
    if match["field"] or match["quoted"]:
        return _field(re.sub(r"\\(.)", r"\1", match["field"] or match["quoted"]))
    if match["by"]:
        return _filter(match["by"], match["value"].strip("\"'"), match["operator"] == "==")
    if match["index"]:
        return _element(int(match["index"]))
    if match["all"]:
        return _all
    return _slice(_bound(match["start"]), _bound(match["end"]))


def _bound(text: str) -> int | None:
    return int(text) if text else None


def _field(name: str) -> Step:
    def step(value: Value) -> list[Value]:
        held = as_object(value) or {}
        return [held[name]] if name in held else []

    return step


def _filter(by: str, wanted: str, equal: bool) -> Step:  # noqa: FBT001 - the two operators
    def is_wanted(element: Value) -> bool:
        values = find_values(f".{by}", as_object(element) or {})
        return (str(values[0]) == wanted) is equal if values else False

    return lambda value: [one for one in as_list(value) or [] if is_wanted(one)]


def _element(index: int) -> Step:
    def step(value: Value) -> list[Value]:
        elements = as_list(value) or []
        return [elements[index]] if -len(elements) <= index < len(elements) else []

    return step


def _slice(start: int | None, end: int | None) -> Step:
    return lambda value: (as_list(value) or [])[start:end]


def _all(value: Value) -> list[Value]:
    return list((as_object(value) or {}).values()) or list(as_list(value) or [])


META = "meta.k8s.io/v1"


def table(
    served: ServedResource, objects: Sequence[Object], *, include_object: str, now: str
) -> Object:
    """Return the objects as a Table; `now` (RFC 3339) is the end of ages.

    `include_object` is what a row has of its object: `Object`, `None`, or else its metadata.
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
    """Return an object as PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": META, "metadata": obj["metadata"]}


def partial_metadata_list(objects: Sequence[Object]) -> Object:
    """Return a PartialObjectMetadataList; the caller sets the list's own metadata."""
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


def _columns(served: ServedResource) -> list[Column]:
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
            values = find_values(path, obj)
        except PathError:
            return None
        return _cell(kind, values[0], now=now) if values else None

    return read


def _cell(kind: str, value: Value, *, now: str) -> Value:
    """Convert a value to a column type; None where it does not fit."""
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
    return "<none>" if value is None else format_value(value)
