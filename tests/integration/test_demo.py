"""`zen-streams demo` as anybody runs it."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.config.crd import manifests
from tests.cluster.processes import run, wait_until
from tests.integration.embedded import Way
from tests.kit.demo_output import shape_of

TOP = Path(__file__).parents[2]
DEMO = [sys.executable, "-m", "streams", "demo"]
SOURCES = {"trivy", "kyverno", "kubernetes-events"}


class Running:
    """A demonstration under way, its two outputs in files."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen([*DEMO, *options], stdout=out, stderr=err, cwd=TOP)

    def until(self, said: Callable[[], object], what: str) -> None:
        def look() -> bool:
            assert self.process.poll() is None, self.err.read_text()
            return bool(said())

        wait_until(look, seconds=30, what=what)

    def end(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(30)


def objects(way: Way, path: str) -> list[dict[str, Any]]:
    return way.api().need("GET", path)["items"]


def before_the_sink(timeline: tuple[str, ...]) -> list[str]:
    """What requests an event made differs from one to the next."""
    return [
        stage
        for stage in timeline
        if stage
        not in {
            *(
                "queue",
                "read Observation",
                "write Observation",
                "retry wait",
                "client limit",
                "settle",
            ),
        }
    ]


def assert_told(way: Way) -> int:
    """Every report has its Observation in its last state, every other one is resolved; how many there are."""
    found = objects(way, "/apis/zen.kube-zen.io/v1alpha1/observations")
    told = {
        (one["spec"]["source"], one["metadata"]["namespace"], one["spec"]["resource"]["name"]): one
        for one in found
        if one["spec"]["source"] != "kubernetes-events"
    }
    reports = {
        ("trivy", one["metadata"]["namespace"], one["metadata"]["name"]): one["report"]["summary"]
        for one in objects(way, "/apis/aquasecurity.github.io/v1alpha1/vulnerabilityreports")
    } | {
        ("kyverno", one["metadata"]["namespace"], one["metadata"]["name"]): one["summary"]
        for one in objects(way, "/apis/wgpolicyk8s.io/v1alpha2/policyreports")
    }
    assert len(reports) >= 15
    for key, summary in reports.items():
        spec = told[key]["spec"]
        details = spec["details"]
        assert "resolvedAt" not in spec, key
        assert details.get("report", details)["summary"] == summary, key
    for key in told.keys() - reports.keys():
        assert "resolvedAt" in told[key]["spec"], key
    events = [one["spec"] for one in found if one["spec"]["source"] == "kubernetes-events"]
    evidence = {name: count for one in events for name, count in one["evidence"].items()}
    for event in objects(way, "/api/v1/events"):
        if event["metadata"]["name"] in evidence:
            series: dict[str, int] = event.get("series") or {}
            count = series.get("count") or event.get("count") or 1
            assert evidence[event["metadata"]["name"]] == count
    assert evidence
    return len(found)


@pytest.mark.timeout(90)
def test_one_json_object_that_the_server_agrees_with(tmp_path: Path) -> None:
    running = Running(tmp_path, "--json", "--keep", "--duration", "3", "--rate", "50")
    try:
        running.until(lambda: "Ctrl-C ends it." in running.err.read_text(), "the report")
        said = msgspec.json.decode(running.out.read_text(), type=dict[str, Any])
        (kubeconfig,) = re.findall(r"export KUBECONFIG=(\S+)", running.err.read_text())
        assert assert_told(Way(Path(kubeconfig), folder=tmp_path)) == said["observations"]
        assert running.end(signal.SIGINT) == 0
    finally:
        running.process.kill()
        running.process.wait()
    assert said.keys() == {"sources", "observations", "spans_built", "duration_seconds"}
    assert said["sources"].keys() == SOURCES
    for name, one in said["sources"].items():
        assert one.keys() == {"received", "outcomes", "in_flight"}
        assert one["received"] == sum(one["outcomes"].values()) + one["in_flight"], name
        assert one["in_flight"] == 0
        assert one["outcomes"]["stored"] >= 3, name
    assert said["duration_seconds"] >= 3
    assert sum(one["received"] for one in said["sources"].values()) >= 100
    assert running.out.read_text().count("\n") == 1
    assert not Path(kubeconfig).exists()


@pytest.mark.timeout(90)
def test_the_report_is_that_of_the_readme() -> None:
    said = run([*DEMO, "--duration", "4", "--rate", "40"], folder=TOP)
    shape = shape_of(said)
    columns = manifests()[1]["spec"]["versions"][0]["additionalPrinterColumns"]
    shown = [one["name"].upper() for one in columns if not one.get("priority")]

    assert shape.columns == ("NAMESPACE", "NAME", *shown)
    assert shape.rows == 15
    assert re.search(r"^\.\.\. and \d+ more$", said, re.MULTILINE)
    assert set(shape.sources) == SOURCES
    assert shape.shows_progress
    assert [one[0] for one in shape.timelines] == ["stored", "deduplicated"]
    assert "\x1b" not in said
    blocks = re.findall(r"```text\n(.*?)```", (TOP / "README.md").read_text(), re.DOTALL)
    (excerpt,) = (block for block in blocks if "NAMESPACE" in block)
    of_readme = shape_of(excerpt)
    assert of_readme.speed == shape.speed
    assert of_readme.columns == shape.columns
    assert of_readme.sources == shape.sources
    assert list(map(before_the_sink, of_readme.timelines)) == list(
        map(before_the_sink, shape.timelines)
    )


@pytest.mark.timeout(90)
def test_the_first_ctrl_c_reports(tmp_path: Path) -> None:
    running = Running(tmp_path, "--duration", "0", "--rate", "30")
    try:
        running.until(lambda: "received" in running.out.read_text(), "some progress")
        assert running.end(signal.SIGINT) == 0
    finally:
        running.process.kill()
        running.process.wait()
    assert set(shape_of(running.out.read_text()).sources) == SOURCES


@pytest.mark.timeout(90)
def test_the_second_ctrl_c_ends_it_at_once(tmp_path: Path) -> None:
    running = Running(tmp_path, "--duration", "0", "--rate", "30")
    try:
        running.until(lambda: "received" in running.out.read_text(), "some progress")
        # Two of one number that come together are one.
        assert running.end(signal.SIGINT, signal.SIGTERM) == 130
    finally:
        running.process.kill()
        running.process.wait()
    assert "Every event has one outcome" not in running.out.read_text()
    assert "Traceback" not in running.err.read_text()


@pytest.mark.timeout(120)
def test_make_demo() -> None:
    quietly = ("make", "--no-print-directory", "demo", "OPTIONS=--duration 1 --json")
    said = run(quietly, folder=TOP)

    summary = msgspec.json.decode(said.splitlines()[-1], type=dict[str, Any])
    assert summary["sources"].keys() == SOURCES


@pytest.mark.timeout(90)
def test_a_terminal_shows_the_live_table() -> None:
    master, terminal = pty.openpty()
    command = [*DEMO, "--duration", "1", "--rate", "40"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "140"}
    process = subprocess.Popen(command, stdout=terminal, stderr=terminal, cwd=TOP, env=environment)
    os.close(terminal)
    said = bytearray()
    with suppress(OSError):  # how Linux says that nobody writes any more
        while chunk := os.read(master, 65_536):
            said += chunk
    os.close(master)
    process.wait(30)
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode())

    assert process.returncode == 0
    assert drawn.count("events/s") >= 3
    for source in SOURCES:
        assert len(re.findall(rf"│ {source} +│ +\d+ │", drawn)) >= 3
    assert drawn.count("balance 0") == len(SOURCES)
