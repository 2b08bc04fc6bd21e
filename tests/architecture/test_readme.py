from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.kit.demo_output import shape_of

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()
COMMANDS = [
    line.partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
EXECUTED = [c for c in COMMANDS if c.startswith(".venv/bin/zen-streams") and " run " not in c]
(EXCERPT,) = (
    block for block in re.findall(r"```text\n(.*?)```", README, re.DOTALL) if "NAMESPACE" in block
)
TESTS = re.findall(r"`(tests/[a-z_/]+\.py)`", README)


def test_every_command_is_known() -> None:
    # `make test` runs this test, tests/integration/test_demo.py runs `make demo`, tests/cluster/test_up.py the rest.
    known = {"make demo", "make test", "make cluster", *EXECUTED}
    running = [c for c in COMMANDS if c not in known]
    assert running == [
        ".venv/bin/zen-streams run -f deploy/examples --kubeconfig .cluster/kubeconfig"
    ]


@pytest.mark.parametrize("command", EXECUTED)
def test_command(command: str) -> None:
    done = subprocess.run(
        shlex.split(command), cwd=TOP, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert "error" not in done.stderr


@pytest.mark.parametrize("target", [c for c in COMMANDS if c.startswith("make ")])
def test_target(target: str) -> None:
    command = [*shlex.split(target), "--dry-run"]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_command_is_the_demonstration() -> None:
    assert COMMANDS[0] == "make demo"


def test_the_excerpt_is_the_report_of_a_demonstration() -> None:
    """That the real one looks so is tested where it runs: tests/integration/test_demo.py."""
    shape = shape_of(EXCERPT)
    documents = sorted((TOP / "demo" / "documents").glob("*.yaml"))

    assert list(shape.sources) == [file.stem for file in documents]
    assert [one[0] for one in shape.timelines] == ["stored", "deduplicated"]
    assert all(len(one) >= 4 for one in shape.timelines)
    assert shape.rows == 2


def test_the_collector_keeps_what_the_readme_says() -> None:
    said = yaml.safe_load((TOP / "otel-collector.yaml").read_text())
    policies = {it["name"]: it for it in said["processors"]["tail_sampling"]["policies"]}
    outcomes = {
        outcome
        for it in policies.values()
        if it["type"] == "string_attribute"
        for outcome in it["string_attribute"]["values"]
    }

    assert outcomes == {"stored", "dead_lettered", "failed", "dropped", "interrupted"}
    assert policies["retried"]["numeric_attribute"]["min_value"] == 2
    assert policies["slow"]["type"] == "latency"
    assert policies["rest"]["probabilistic"]["sampling_percentage"] == 10


@pytest.mark.parametrize("path", TESTS)
def test_promise_has_its_test(path: str) -> None:
    assert (TOP / path).is_file()
