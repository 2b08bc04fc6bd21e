"""Which fields of the built-in kinds a selector may ask for, and where they stand."""

from __future__ import annotations

from typing import Any

from demo.apiserver.documents import Object, as_object
from demo.apiserver.selectors import FieldNames
from demo.apiserver.store import Fields

_ONLY_THE_KNOWN = '"{0}" is not a known field selector: only "metadata.name", "metadata.namespace"'
PLAIN_FIELDS = FieldNames(refusal=_ONLY_THE_KNOWN)
CUSTOM_FIELDS = FieldNames()


def _text(obj: Object, *path: str) -> str:
    value: Any = obj
    for step in path:
        value = (as_object(value) or {}).get(step)
    return value if isinstance(value, str) else ""


def picked(names: dict[str, tuple[str, ...]]) -> Fields:
    """Reads these fields, by name and path."""
    fixed = tuple(names.items())
    return lambda obj: {name: _text(obj, *path) for name, path in fixed}


def paths(*names: str) -> dict[str, tuple[str, ...]]:
    """Fields whose names are their paths."""
    return {name: tuple(name.split(".")) for name in names}


POD_PATHS = paths(
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
EVENT_PATHS = paths(*(f"involvedObject.{one}" for one in _INVOLVED), "reason", "type") | {
    "reportingComponent": ("reportingComponent",),
    "source": ("source", "component"),
}
REGARDING_FIELDS = FieldNames(
    *(f"regarding.{one}" for one in _INVOLVED), "reason", "type", "reportingController"
)


def event_fields(obj: Object) -> dict[str, str]:
    """The fields of an Event, under the names of both its groups."""
    found = {name: _text(obj, *path) for name, path in EVENT_PATHS.items()}
    found["source"] = found["source"] or found["reportingComponent"]
    found["reportingController"] = found["reportingComponent"]
    return found | {f"regarding.{one}": found[f"involvedObject.{one}"] for one in _INVOLVED}
