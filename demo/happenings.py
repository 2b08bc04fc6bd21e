"""What can happen to the pods and nodes of the demonstration, in the words of those who report it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from demo.estate import NODES, Estate, Pod
from demo.signal import Object

_AGAIN = "(combined from similar events): "
_OF_PODS = (
    ("Warning", "BackOff", "Back-off restarting failed container app in pod {pod}_{namespace}"),
    (
        "Warning",
        "Unhealthy",
        "Readiness probe failed: Get http://10.0.{a}.{b}:8080/healthz: timeout",
    ),
    ("Warning", "FailedMount", 'MountVolume.SetUp failed for volume "config": configmap not found'),
    ("Normal", "Pulled", "Container image already present on machine"),
    ("Normal", "Started", "Container started"),
)
"""What the kubelet says of pods: type, reason, message."""
_TROUBLED_MOST = 8
"""So many pods are in trouble; all others only start."""


@dataclass(frozen=True, eq=False, slots=True)
class Happening:
    """One kind of thing that happens to one object: what a recorder counts as the same."""

    namespace: str
    name: str
    involved: Object
    type: str
    reason: str
    component: str
    instance: str
    text: str
    in_series: bool = False
    """Whether the new recorder tells it, through events.k8s.io/v1."""
    combined: bool = False
    """Ten different messages were too many: the rest is told as one, whose reporter is left out."""
    action: str = field(default="")

    @property
    def collection(self) -> str:
        """Where its Events are made."""
        group = "/apis/events.k8s.io/v1" if self.in_series else "/api/v1"
        return f"{group}/namespaces/{self.namespace}/events"

    def message(self, chance: random.Random) -> str:
        """What is said of it this time."""
        said = self.text.format(
            pod=self.name,
            namespace=self.namespace,
            a=chance.randrange(4),
            b=chance.randrange(2, 250),
        )
        return _AGAIN + said if self.combined else said

    def body(self) -> Object:
        """The Event, without its name, its times and its count."""
        if self.in_series:
            return {
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "regarding": self.involved,
                "type": self.type,
                "reason": self.reason,
                "action": self.action,
                "reportingController": self.component,
                "reportingInstance": self.instance,
            }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "involvedObject": self.involved,
            "type": self.type,
            "reason": self.reason,
            "source": {"component": self.component, "host": self.instance},
            "reportingComponent": "" if self.combined else self.component,
            "reportingInstance": "" if self.combined else self.instance,
        }


def happenings(estate: Estate, chance: random.Random) -> tuple[Happening, ...]:
    """Everything that can happen, a bounded set: each has one Observation."""
    troubled = chance.sample(estate.pods, _TROUBLED_MOST)
    told = [
        _by_kubelet(pod, kind, reason, text)
        for pod in estate.pods
        for kind, reason, text in _OF_PODS
        if kind == "Normal" or pod in troubled
    ]
    told += [_combined(pod) for pod in troubled]
    told += [_unscheduled(pod) for pod in troubled[:3]]
    told += [_not_ready(node) for node in NODES]
    return tuple(told)


def _by_kubelet(pod: Pod, kind: str, reason: str, text: str) -> Happening:
    involved = _pod(pod) | {"fieldPath": "spec.containers{app}"}
    return Happening(pod.namespace, pod.name, involved, kind, reason, "kubelet", pod.node, text)


def _combined(pod: Pod) -> Happening:
    kind, reason, text = _OF_PODS[1]
    involved = _pod(pod) | {"fieldPath": "spec.containers{app}"}
    return Happening(
        pod.namespace, pod.name, involved, kind, reason, "kubelet", pod.node, text, combined=True
    )


def _unscheduled(pod: Pod) -> Happening:
    return Happening(
        pod.namespace,
        pod.name,
        _pod(pod),
        "Warning",
        "FailedScheduling",
        "default-scheduler",
        "default-scheduler-control-plane-1",
        "0/3 nodes are available: {a} Insufficient cpu, 3 Insufficient memory.",
        in_series=True,
        action="Scheduling",
    )


def _not_ready(node: str) -> Happening:
    """Of a Node, in the namespace default; the kubelet leaves its version out and its name as its uid."""
    involved: Object = {"kind": "Node", "name": node, "uid": node}
    text = "Node {pod} status is now: NodeNotReady"
    return Happening("default", node, involved, "Normal", "NodeNotReady", "kubelet", node, text)


def _pod(pod: Pod) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
    }
