"""What makes a cluster whole: controllers, a scheduler, and a node whose kubelet fakes its pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from tests.cluster import commands
from tests.cluster.commands import ControllerPorts
from tests.cluster.keys import self_signed
from tests.cluster.processes import Program, free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cluster.cluster import Cluster

NODE = "fake"
ROOM = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "10Gi"}
READY_SECONDS = 60.0
"""Three seconds on an idle machine."""


class Controllers:
    """The controllers of a running cluster, and its one node: ready on entry, gone on exit.

    Deployments roll out and namespaces end as on any cluster; no container ever runs. `programs`
    comes from `parts.ensure` for `parts.CONTROLLERS`.
    """

    def __init__(self, cluster: Cluster, *, programs: Mapping[str, Path]) -> None:
        self._cluster = cluster
        self._wanted = programs
        self._running: list[Program] = []

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start them, and wait until the node is ready and namespaces have their accounts."""
        folder = self._cluster.folder
        self_signed(folder, "kubelet")
        command_lines = commands.controllers(
            self._wanted,
            folder,
            ControllerPorts(*free_ports(3)),
            kubeconfig=self._cluster.kubeconfig,
        )
        for name, command in command_lines.items():
            self._running.append(Program(command, log=folder / f"{name}.log"))
        node = {
            "metadata": {"name": NODE, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "status": {"capacity": ROOM, "allocatable": ROOM},
        }
        self._cluster.api().need("POST", "/api/v1/nodes", body=node)
        wait_until(self._ready, seconds=READY_SECONDS, what="the node and the accounts")

    def stop(self) -> None:
        """Kill them; their logs stay in the cluster's folder."""
        for program in self._running:
            program.stop()
        self._running.clear()

    def check(self) -> None:
        """Raise RuntimeError, with the end of its log, where one does not run."""
        for program in self._running:
            if not program.running():
                raise RuntimeError(f"{program.log} ends:\n{program.tail()}")

    def _ready(self) -> bool:
        self.check()
        api = self._cluster.api()
        node = api.need("GET", f"/api/v1/nodes/{NODE}")
        conditions = node.get("status", {}).get("conditions", ())
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        return (
            any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
            and not node["spec"].get("taints")
            and api.request("GET", account).status == 200
        )
