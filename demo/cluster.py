"""The simulated cluster that the signals refer to: namespaces, nodes, workloads and pods, by a seed."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass

NAMESPACES = ("shop", "payments", "platform")
NODES = ("node-1", "node-2", "node-3")
REVISIONS = 3
"""Pod templates a workload alternates between: names change with a rollout, and their number is bounded."""
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""The alphabet of generated names (apimachinery, util/rand), without vowels."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload with one container, and the hashes of its pod templates."""

    namespace: str
    kind: str
    name: str
    image: str
    tag: str
    uid: str
    hashes: tuple[str, ...]

    @property
    def is_deployment(self) -> bool:
        """Whether its pods belong to ReplicaSets."""
        return self.kind == "Deployment"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a workload, and its node."""

    namespace: str
    name: str
    uid: str
    node: str


_WORKLOADS = (
    ("shop", "Deployment", "checkout", "shop/checkout", "4.2.1"),
    ("shop", "Deployment", "cart", "shop/cart", "2.9.0"),
    ("shop", "Deployment", "catalog", "shop/catalog", "7.0.3"),
    ("shop", "StatefulSet", "orders-db", "library/postgres", "16.4"),
    ("payments", "Deployment", "ledger", "payments/ledger", "1.14.2"),
    ("payments", "Deployment", "fraud-score", "payments/fraud-score", "0.8.7"),
    ("payments", "StatefulSet", "queue", "library/rabbitmq", "3.13.7"),
    ("platform", "Deployment", "ingress", "platform/ingress", "1.11.3"),
    ("platform", "Deployment", "dns", "platform/dns", "1.12.0"),
    ("platform", "DaemonSet", "log-agent", "platform/log-agent", "3.1.9"),
)


class Cluster:
    """The workloads and pods, deterministic by seed."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(f"cluster {seed}")  # noqa: S311  a seed, not a secret
        self.workloads = tuple(
            Workload(
                *described,
                uid=random_uid(chance),
                hashes=tuple(random_suffix(chance, 10) for _ in range(REVISIONS)),
            )
            for described in _WORKLOADS
        )
        self.pods = tuple(pod for one in self.workloads for pod in _pods(one, chance))


def random_uid(chance: random.Random) -> str:
    """Return a random UUID, the form of an API server's uids."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def random_suffix(chance: random.Random, count: int) -> str:
    """Return a random suffix of a generated name."""
    return "".join(chance.choices(_SAFE, k=count))


def _pods(workload: Workload, chance: random.Random) -> list[Pod]:
    if workload.kind == "StatefulSet":
        names = [f"{workload.name}-{ordinal}" for ordinal in range(2)]
    elif workload.is_deployment:
        names = [
            f"{workload.name}-{workload.hashes[0]}-{random_suffix(chance, 5)}" for _ in range(2)
        ]
    else:
        names = [f"{workload.name}-{random_suffix(chance, 5)}" for _ in NODES]
    return [
        Pod(workload.namespace, name, random_uid(chance), chance.choice(NODES)) for name in names
    ]
