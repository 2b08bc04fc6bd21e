"""The built-in kinds: their verbs, statuses, selectable fields and forms of names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from demo.apiserver.documents import Object, ServedResource, as_object
from demo.apiserver.selectors import FieldNames
from demo.apiserver.store import Fields, no_fields

WRITES = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
NO_COLLECTION = ("create", "delete", "get", "list", "patch", "update", "watch")
PODS = "pods"
EVENTS = "events"


_UNKNOWN_FIELD = '"{0}" is not a known field selector: only "metadata.name", "metadata.namespace"'
PLAIN_FIELDS = FieldNames(refusal=_UNKNOWN_FIELD)
CUSTOM_FIELDS = FieldNames()


def _text(obj: Object, *path: str) -> str:
    value: Any = obj
    for step in path:
        value = (as_object(value) or {}).get(step)
    return value if isinstance(value, str) else ""


def pick_fields(names: dict[str, tuple[str, ...]]) -> Fields:
    """Return a reader of these fields."""
    fixed = tuple(names.items())
    return lambda obj: {name: _text(obj, *path) for name, path in fixed}


def field_paths(*names: str) -> dict[str, tuple[str, ...]]:
    """Return fields whose names are their paths."""
    return {name: tuple(name.split(".")) for name in names}


POD_PATHS = field_paths(
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
EVENT_PATHS = field_paths(*(f"involvedObject.{one}" for one in _INVOLVED), "reason", "type") | {
    "reportingComponent": ("reportingComponent",),
    "source": ("source", "component"),
}
REGARDING_FIELDS = FieldNames(
    *(f"regarding.{one}" for one in _INVOLVED), "reason", "type", "reportingController"
)


def event_fields(obj: Object) -> dict[str, str]:
    """Return the selectable fields of an Event, under the names of both groups."""
    found = {name: _text(obj, *path) for name, path in EVENT_PATHS.items()}
    found["source"] = found["source"] or found["reportingComponent"]
    found["reportingController"] = found["reportingComponent"]
    return found | {f"regarding.{one}": found[f"involvedObject.{one}"] for one in _INVOLVED}


@dataclass(frozen=True, slots=True)
class Kind:
    """The server's properties of one kind."""

    served: ServedResource
    verbs: tuple[str, ...] = WRITES
    name_form: str = "subdomain"
    """The form of its names: subdomain, label or path."""

    generations: bool = False
    """Whether `metadata.generation` counts the changes of its spec."""

    status: Object | None = None
    """The status of a new object in place of the client's; None keeps the client's."""

    fields: Fields = no_fields
    field_names: FieldNames = PLAIN_FIELDS
    returns_deleted: bool = False
    """Whether a delete returns the object, not a Status."""

    subresources: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Subresources other than status, with their verbs."""

    categories: tuple[str, ...] = ()
    unconditional: bool = True
    """Whether a PUT may omit the resourceVersion."""


def _served(
    group: str,
    version: str,
    resource: str,
    kind: str,
    short: str = "",
    *,
    scoped: bool = True,
    status: bool = True,
) -> ServedResource:
    return ServedResource(
        group=group,
        version=version,
        resource=resource,
        kind=kind,
        list_kind=f"{kind}List",
        singular=kind.lower(),
        short_names=tuple(short.split()),
        namespaced=scoped,
        has_status=status,
    )


_NOTHING: Object = {}
_RBAC = "rbac.authorization.k8s.io"


def built_in_kinds() -> list[Kind]:
    """Return the built-in kinds in the order of discovery."""
    return [*_core(), *_workloads(), *_others()]


def _core() -> list[Kind]:
    return [
        Kind(_served("", "v1", "configmaps", "ConfigMap", "cm", status=False)),
        Kind(
            _served("", "v1", EVENTS, "Event", "ev", status=False),
            fields=event_fields,
            field_names=FieldNames(*EVENT_PATHS),
        ),
        Kind(
            _served("", "v1", "namespaces", "Namespace", "ns", scoped=False),
            verbs=NO_COLLECTION,
            name_form="label",
            status={"phase": "Active"},
            fields=pick_fields(field_paths("status.phase")),
            field_names=FieldNames("status.phase"),
            returns_deleted=True,
            subresources=(("finalize", ("update",)),),
        ),
        Kind(
            _served("", "v1", "nodes", "Node", "no", scoped=False),
            fields=pick_fields({"spec.unschedulable": ("spec", "unschedulable")}),
            field_names=FieldNames("spec.unschedulable"),
        ),
        *_content(),
    ]


def _content() -> list[Kind]:
    return [
        Kind(
            _served("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", "pvc"),
            status={"phase": "Pending"},
            returns_deleted=True,
        ),
        Kind(
            _served("", "v1", PODS, "Pod", "po"),
            generations=True,
            status={"phase": "Pending", "qosClass": "BestEffort"},
            fields=pick_fields(POD_PATHS),
            field_names=FieldNames(*POD_PATHS),
            returns_deleted=True,
            subresources=(("log", ("get",)),),
            categories=("all",),
        ),
        Kind(
            _served("", "v1", "secrets", "Secret", status=False),
            fields=pick_fields(field_paths("type")),
            field_names=FieldNames("type"),
        ),
        Kind(
            _served("", "v1", "serviceaccounts", "ServiceAccount", "sa", status=False),
            returns_deleted=True,
        ),
        Kind(
            _served("", "v1", "services", "Service", "svc"),
            name_form="label",
            status={"loadBalancer": {}},
            returns_deleted=True,
            categories=("all",),
        ),
    ]


def _workloads() -> list[Kind]:
    rows = (
        ("apps", "daemonsets", "DaemonSet", "ds"),
        ("apps", "deployments", "Deployment", "deploy"),
        ("apps", "replicasets", "ReplicaSet", "rs"),
        ("apps", "statefulsets", "StatefulSet", "sts"),
        ("batch", "cronjobs", "CronJob", "cj"),
        ("batch", "jobs", "Job", ""),
    )
    return [
        Kind(
            _served(group, "v1", resource, kind, short),
            generations=True,
            status=_NOTHING,
            categories=("all",),
        )
        for group, resource, kind, short in rows
    ]


def _others() -> list[Kind]:
    definition = _served(
        "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
        "crd crds", scoped=False,
    )  # fmt: skip
    review = _served(
        "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview",
        scoped=False, status=False,
    )  # fmt: skip
    rules = (
        ("clusterrolebindings", "ClusterRoleBinding", False),
        ("clusterroles", "ClusterRole", False),
        ("rolebindings", "RoleBinding", True),
        ("roles", "Role", True),
    )
    return [
        Kind(definition, generations=True, categories=("api-extensions",), unconditional=False),
        Kind(review, verbs=("create",)),
        Kind(
            _served("coordination.k8s.io", "v1", "leases", "Lease", status=False),
            unconditional=False,
        ),
        Kind(
            _served("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb"),
            unconditional=False,
            generations=True,
            status=_NOTHING,
        ),
        *(
            Kind(
                _served(_RBAC, "v1", resource, kind, scoped=scoped, status=False), name_form="path"
            )
            for resource, kind, scoped in rules
        ),
    ]


NEW_EVENTS = Kind(
    _served("events.k8s.io", "v1", EVENTS, "Event", "ev", status=False),
    fields=event_fields,
    field_names=REGARDING_FIELDS,
)
"""Events in events.k8s.io/v1: another form of the same store."""
