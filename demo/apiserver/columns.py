"""The columns of built-in kinds, as `kubectl get` shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from demo.apiserver.ages import age
from demo.apiserver.documents import Object, Value, as_list, as_object

Read = Callable[[Object, str], Value]
"""A cell of an object, at a moment (RFC 3339)."""

WIDE = 1
"""The priority of what only `-o wide` shows."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its head, and what an object shows in it."""

    name: str
    read: Read
    kind: str = "string"
    form: str = ""
    priority: int = 0
    description: str = ""


def at(obj: Object, path: str, otherwise: Value = "") -> Value:
    """What stands at a path of fields."""
    value: Value = obj
    for step in path.split("."):
        value = (as_object(value) or {}).get(step)
    return otherwise if value is None else value


def _path(path: str, otherwise: Value = "") -> Read:
    return lambda obj, _: at(obj, path, otherwise)


def _aged(path: str) -> Read:
    return lambda obj, now: age(at(obj, path, None), now=now)


NAME = Column("Name", _path("metadata.name"), form="name", description="The name of the object.")
AGE = Column("Age", _aged("metadata.creationTimestamp"), description="Since when it is there.")
CREATED = Column(
    "Created At",
    _path("metadata.creationTimestamp"),
    kind="date",
    description="When it was made.",
)


def _data(obj: Object, _: str) -> int:
    return len(at(obj, "data", {})) + len(at(obj, "binaryData", {}))


def _containers(obj: Object) -> list[Object]:
    statuses = as_list(at(obj, "status.containerStatuses", [])) or []
    return [as_object(one) or {} for one in statuses]


def _ready(obj: Object, _: str) -> str:
    ready = sum(bool(one.get("ready")) for one in _containers(obj))
    return f"{ready}/{len(at(obj, 'spec.containers', []))}"


def _pod_status(obj: Object, _: str) -> str:
    if at(obj, "metadata.deletionTimestamp", None):
        return "Terminating"
    status = str(at(obj, "status.reason") or at(obj, "status.phase"))
    for one in _containers(obj):
        for state in ("state.waiting.reason", "state.terminated.reason"):
            status = str(at(one, state) or status)
    return status


def _restarts(obj: Object, _: str) -> str:
    return str(sum(int(one.get("restartCount", 0)) for one in _containers(obj)))


def _node_status(obj: Object, _: str) -> str:
    conditions = [as_object(one) or {} for one in as_list(at(obj, "status.conditions", [])) or []]
    ready = [one.get("status") for one in conditions if one.get("type") == "Ready"]
    said = [{"True": "Ready", "False": "NotReady"}.get(str(one), "Unknown") for one in ready]
    said = said or ["Unknown"]
    return ",".join([*said, *(["SchedulingDisabled"] if at(obj, "spec.unschedulable") else [])])


def _roles(obj: Object, _: str) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = as_object(at(obj, "metadata.labels", {})) or {}
    return ",".join(sorted(name[len(prefix) :] for name in labels if name.startswith(prefix))) or (
        "<none>"
    )


def _last_seen(obj: Object, now: str) -> str:
    for path in ("series.lastObservedTime", "lastTimestamp", "eventTime"):
        if at(obj, path, None):
            return age(at(obj, path), now=now)
    return age(at(obj, "firstTimestamp", None), now=now)


def _involved(obj: Object, _: str) -> str:
    whom = as_object(obj.get("involvedObject") or obj.get("regarding")) or {}
    return f"{whom.get('kind', '')}/{whom.get('name', '')}".lower()


def _event_source(obj: Object, _: str) -> str:
    named = (at(obj, "source.component"), at(obj, "source.host"))
    return ", ".join(one for one in named if one) or str(at(obj, "reportingComponent"))


def _versions(obj: Object, _: str) -> str:
    versions = sorted(as_list(at(obj, "spec.versions", [])) or [], key=lambda it: str(it["name"]))
    return ",".join(
        f"{one['name']}{'(storage)' if one.get('storage') else ''}"
        for one in versions
        if one.get("served")
    )


def _is_established(obj: Object, _: str) -> bool:
    return any(
        one.get("type") == "Established" and one.get("status") == "True"
        for one in as_list(at(obj, "status.conditions", [])) or []
    )


def _of(part: str) -> Read:
    return lambda obj, _: f"{at(obj, part, 0)}/{at(obj, 'spec.replicas', 1)}"


_PLAIN = (NAME, AGE)
_EVENTS = (
    Column("Last Seen", _last_seen),
    Column("Type", _path("type")),
    Column("Reason", _path("reason")),
    Column("Object", _involved),
    Column("Subobject", _path("involvedObject.fieldPath"), priority=WIDE),
    Column("Source", _event_source, priority=WIDE),
    Column("Message", lambda obj, _: str(at(obj, "message") or at(obj, "note")).strip()),
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
            lambda obj, _: ",".join(at(obj, "spec.names.shortNames", [])),
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
"""By `Served.qualified`. What is not here shows its name and when it was made."""
