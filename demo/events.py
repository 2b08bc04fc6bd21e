"""Kubernetes Events as their two recorders write them (client-go: tools/record and tools/events).

The old recorder counts in ``count``, the new one in ``series``. An Event lives an hour; a recorder that remembers it
creates it again under its name and continues the count, a restarted one begins with a new name at 1.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from demo.cluster import NODES, Cluster, Pod
from demo.signal import STRATEGIC_MERGE_PATCH, Object, Request, Signal, change, create, delete
from operators.flow.clock import NANOSECONDS_PER_SECOND, WallClock

_COMBINED = "(combined from similar events): "
_POD_EVENTS = (
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
"""The kubelet's Events of pods: type, reason, message."""
_FAILING_PODS_MOST = 8
"""The number of failing pods; all others only start."""


@dataclass(frozen=True, eq=False, slots=True)
class EventKind:
    """What a recorder aggregates into one Event: object, reason and component."""

    namespace: str
    name: str
    involved: Object
    type: str
    reason: str
    component: str
    instance: str
    text: str
    in_series: bool = False
    """Whether the new recorder writes it, through events.k8s.io/v1."""
    combined: bool = False
    """Whether more than ten similar messages were aggregated into one Event, which omits its reporter."""
    action: str = field(default="")

    @property
    def collection(self) -> str:
        """The collection its Events are created in."""
        group = "/apis/events.k8s.io/v1" if self.in_series else "/api/v1"
        return f"{group}/namespaces/{self.namespace}/events"

    def message(self, chance: random.Random) -> str:
        """Format the message of one occurrence."""
        text = self.text.format(
            pod=self.name,
            namespace=self.namespace,
            a=chance.randrange(4),
            b=chance.randrange(2, 250),
        )
        return _COMBINED + text if self.combined else text

    def body(self) -> Object:
        """Return the Event without its name, times and count."""
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


def event_kinds(cluster: Cluster, chance: random.Random) -> tuple[EventKind, ...]:
    """Return all event kinds of the cluster, a bounded set; each has one Observation."""
    failing = chance.sample(cluster.pods, _FAILING_PODS_MOST)
    found = [
        _by_kubelet(pod, kind, reason, text)
        for pod in cluster.pods
        for kind, reason, text in _POD_EVENTS
        if kind == "Normal" or pod in failing
    ]
    found += [_combined(pod) for pod in failing]
    found += [_unscheduled(pod) for pod in failing[:3]]
    found += [_not_ready(node) for node in NODES]
    return tuple(found)


def _by_kubelet(pod: Pod, kind: str, reason: str, text: str) -> EventKind:
    involved = _pod(pod) | {"fieldPath": "spec.containers{app}"}
    return EventKind(pod.namespace, pod.name, involved, kind, reason, "kubelet", pod.node, text)


def _combined(pod: Pod) -> EventKind:
    kind, reason, text = _POD_EVENTS[1]
    involved = _pod(pod) | {"fieldPath": "spec.containers{app}"}
    return EventKind(
        pod.namespace, pod.name, involved, kind, reason, "kubelet", pod.node, text, combined=True
    )


def _unscheduled(pod: Pod) -> EventKind:
    return EventKind(
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


def _not_ready(node: str) -> EventKind:
    """An Event of a Node, in the namespace default; the kubelet omits apiVersion and uses the name as uid."""
    involved: Object = {"kind": "Node", "name": node, "uid": node}
    text = "Node {pod} status is now: NodeNotReady"
    return EventKind("default", node, involved, "Normal", "NodeNotReady", "kubelet", node, text)


def _pod(pod: Pod) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": pod.namespace,
        "name": pod.name,
        "uid": pod.uid,
    }


EVENTS_MOST = 60
"""Beyond this number the oldest Event expires; its lifetime of an hour is shortened here."""
FIRST_EVENTS = 20
JUMP_MOST = 4
"""Counts jump, because the recorder's spam filter follows its aggregation."""


def kubernetes_events(cluster: Cluster, seed: int, *, now: WallClock) -> Signal:
    """Create the signal with the Events of all pods and nodes."""
    chance = random.Random(f"events {seed}")  # noqa: S311  a seed, not a secret
    return Signal(
        "kubernetes-events",
        _Recorders(cluster, chance, now).requests(),
        first=FIRST_EVENTS,
        share=2,
    )


@dataclass(slots=True)
class _CacheEntry:
    """A recorder's cache entry of an Event."""

    name: str
    count: int
    first: str


class _Recorders:
    """Both recorders of all components: their caches, and the Events that exist."""

    def __init__(self, cluster: Cluster, chance: random.Random, now: WallClock) -> None:
        self._chance = chance
        self._now = now
        self._kinds = event_kinds(cluster, chance)
        self._cache: dict[EventKind, _CacheEntry] = {}
        self._alive: dict[str, None] = {}
        """The paths of existing Events, the least recently written first."""
        self._stamped_ns = 0
        self._recent: deque[EventKind] = deque(maxlen=12)
        """Recent kinds, which are likely to occur again."""

    def requests(self) -> Iterator[Request]:
        """Record random occurrences endlessly."""
        while True:
            if len(self._alive) > EVENTS_MOST or (self._alive and self._chance.random() < 0.05):  # noqa: PLR2004
                yield self._expire()
            dice = self._chance.random()
            if dice < 0.6 and self._recent:  # noqa: PLR2004
                kind = self._chance.choice(self._recent)
            else:
                kind = self._chance.choice(self._kinds)
                self._recent.append(kind)
            if dice > 0.98:  # noqa: PLR2004
                self._cache.pop(kind, None)  # its reporter was restarted
            yield self._record(kind)

    def _expire(self) -> Request:
        path = next(iter(self._alive))
        del self._alive[path]
        return delete(path)

    def _record(self, kind: EventKind) -> Request:
        entry = self._cache.get(kind)
        if entry is None:
            name = f"{kind.name}.{self._stamp():x}"
            entry = _CacheEntry(name, 0, self._moment(kind))
            self._cache[kind] = entry
        entry.count += self._chance.randrange(1, JUMP_MOST) if entry.count else 1
        path = f"{kind.collection}/{entry.name}"
        is_alive = path in self._alive
        self._alive.pop(path, None)
        self._alive[path] = None
        if is_alive:
            fields = self._again(kind, entry)
            return change(path, fields, content_type=STRATEGIC_MERGE_PATCH)
        metadata = {"name": entry.name, "namespace": kind.namespace}
        body = kind.body() | {"metadata": metadata}
        return create(kind.collection, body | self._counted(kind, entry))

    def _again(self, kind: EventKind, entry: _CacheEntry) -> Object:
        """Return the fields a recorder patches for a further occurrence."""
        moment = self._moment(kind)
        if kind.in_series:
            return {"series": {"count": entry.count, "lastObservedTime": moment}}
        return {
            "count": entry.count,
            "lastTimestamp": moment,
            "message": kind.message(self._chance),
        }

    def _counted(self, kind: EventKind, entry: _CacheEntry) -> Object:
        if not kind.in_series:
            fields = {"firstTimestamp": entry.first, "eventTime": None}
            return fields | self._again(kind, entry)
        fields = {"eventTime": entry.first, "note": kind.message(self._chance)}
        return fields | (self._again(kind, entry) if entry.count > 1 else {})

    def _stamp(self) -> int:
        """Return the time in nanoseconds, strictly increasing, because names are made of it."""
        now = self._now()
        now_ns = int(now.timestamp()) * NANOSECONDS_PER_SECOND + now.microsecond * 1000
        self._stamped_ns = max(now_ns, self._stamped_ns + 1)
        return self._stamped_ns

    def _moment(self, kind: EventKind) -> str:
        """Format the time in the precision of its recorder: seconds or microseconds."""
        form = "%Y-%m-%dT%H:%M:%S.%fZ" if kind.in_series else "%Y-%m-%dT%H:%M:%SZ"
        return self._now().strftime(form)
