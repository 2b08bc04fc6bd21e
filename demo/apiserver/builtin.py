"""The kinds that are built in: plain data, with no more meaning than their names say."""

from __future__ import annotations

from demo.apiserver.documents import Object
from demo.apiserver.fields import (
    EVENT_PATHS,
    POD_PATHS,
    REGARDING_FIELDS,
    event_fields,
    paths,
    picked,
)
from demo.apiserver.kinds import EVENTS, NO_COLLECTION, PODS, Kind
from demo.apiserver.selectors import FieldNames
from demo.apiserver.served import Served


def _served(
    group: str,
    version: str,
    resource: str,
    kind: str,
    short: str = "",
    *,
    scoped: bool = True,
    status: bool = True,
) -> Served:
    return Served(
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


def kinds() -> list[Kind]:
    """All of them, in the order of discovery."""
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
            fields=picked(paths("status.phase")),
            field_names=FieldNames("status.phase"),
            returns_deleted=True,
            subresources=(("finalize", ("update",)),),
        ),
        Kind(
            _served("", "v1", "nodes", "Node", "no", scoped=False),
            fields=picked({"spec.unschedulable": ("spec", "unschedulable")}),
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
            fields=picked(POD_PATHS),
            field_names=FieldNames(*POD_PATHS),
            returns_deleted=True,
            subresources=(("log", ("get",)),),
            categories=("all",),
        ),
        Kind(
            _served("", "v1", "secrets", "Secret", status=False),
            fields=picked(paths("type")),
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
"""Events in their newer group: another view of the same store."""
