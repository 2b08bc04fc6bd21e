"""What the README says to type for a genuine cluster, typed."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

import pytest

from tests.cluster.processes import Program, free_ports, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

TOP = Path(__file__).parents[2]
KUBECONFIG = TOP / ".cluster" / "kubeconfig"
(RUN,) = re.findall(
    r"^\.venv/bin/zen-streams run .*$", (TOP / "README.md").read_text(), re.MULTILINE
)


@contextmanager
def typed(command: str, *, log: Path) -> Generator[Program]:
    """A command in a terminal of its own; make hands a SIGTERM on to what it runs."""
    program = Program(["sh", "-c", f"cd {shlex.quote(str(TOP))} && exec {command}"], log=log)
    try:
        yield program
    finally:
        program.stop(number=Signals.SIGTERM)


@pytest.mark.timeout(300)
def test_the_product_runs_on_what_make_cluster_starts(
    programs: Mapping[str, Path], tmp_path: Path
) -> None:
    kubectl = (str(programs["kubectl"]), f"--kubeconfig={KUBECONFIG}")

    def observed() -> bool:
        return "configmaps" in run([*kubectl, "get", "observations", "--all-namespaces"])

    with typed("make cluster", log=tmp_path / "cluster.log") as cluster:
        wait_until(
            lambda: "In another terminal" in cluster.tail(100) or not cluster.running(),
            seconds=120,
            what="how to use the cluster",
        )
        assert cluster.running(), cluster.tail()
        (port,) = free_ports(1)
        with typed(f"{RUN} --listen 127.0.0.1:{port}", log=tmp_path / "run.log"):
            run([*kubectl, "create", "configmap", "hello", "--from-literal=a=b"])
            run([*kubectl, "label", "configmap", "hello", "zen-streams/watch=yes"])
            wait_until(observed, seconds=90, what="the Observation")
        assert cluster.running()
    assert "stopped" in cluster.tail()
    assert not KUBECONFIG.exists()
