"""Alerts and dashboard: they read only exported metrics, and an alert fires when it should and not before."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from streams.observability.metrics import Metrics, ProcessStatus
from tests.kit.shipped import DEPLOY, documents

MONITORING = DEPLOY / "monitoring"
(RULES,) = documents(MONITORING / "alerts.yaml")
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in RULES["spec"]["groups"] for rule in group["rules"]
}
DASHBOARDS = sorted((MONITORING / "dashboards").iterdir())
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

OF = '{instance="a", ingester="n/i", source="s"'
HEALTHY = {
    f'zenstreams_events_received_total{OF}, kind="informer"}}': "1+10x60",
    f'zenstreams_events_outcome_total{OF}, outcome="stored", reason=""}}': "0+10x60",
    f"zenstreams_events_in_flight{OF}}}": "1x60",
    f"zenstreams_source_up{OF}}}": "1x60",
    f"zenstreams_source_synced{OF}}}": "1x60",
    f"zenstreams_source_dirty_objects{OF}}}": "0x60",
    f"zenstreams_watch_last_activity_timestamp_seconds{OF}}}": "0+60x60",
    'zenstreams_sink_suspensions{instance="a"}': "0x60",
    'zenstreams_build_info{instance="a", version="1"}': "1x60",
    'zenstreams_spans_lost_total{instance="a", reason="timeout"}': "0x60",
}
"""One healthy hour, a sample a minute."""
DEAD_LETTERS = f'zenstreams_events_outcome_total{OF}, outcome="dead_lettered", reason="x"}}'
RECEIVED, STORED, IN_FLIGHT, UP, SYNCED, DIRTY, ACTIVITY, SUSPENSIONS, BUILD, LOST = HEALTHY


def exported() -> set[str]:
    """The names of all samples that /metrics can have."""
    metrics = Metrics(list, lambda: ProcessStatus(""), now_ns=lambda: 0, wall_seconds=lambda: 0.0)
    return {f"{one.name}{suffix}" for one in metrics.collect() for suffix in SUFFIXES[one.type]}


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\bzenstreams_\w+", text))


def panels(file: Path) -> list[dict[str, Any]]:
    return msgspec.json.decode(file.read_bytes())["panels"]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_reads_exported_metrics_and_has_a_description(name: str) -> None:
    rule = ALERTS[name]

    assert metrics_in(rule["expr"]) != set()
    assert metrics_in(str(rule)) - exported() == set()
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description"}


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_every_panel_reads_exported_metrics(file: Path) -> None:
    for panel in panels(file):
        expressions = [target["expr"] for target in panel["targets"]]
        assert expressions != []
        for expression in expressions:
            assert metrics_in(expression) != set(), panel["title"]
            assert metrics_in(expression) - exported() == set(), panel["title"]
    assert metrics_in(file.read_text()) - exported() == set()


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_no_panel_lies_over_another(file: Path) -> None:
    cells = [
        (x, y)
        for panel in panels(file)
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    identities = [panel["id"] for panel in panels(file)]
    assert len(identities) == len(set(identities))


CASES: dict[str, tuple[dict[str, str], int, set[str]]] = {
    "nothing fires while all is well": ({}, 59, set()),
    "an event that was never settled": (
        {STORED: "0+10x9 99+10x49"},
        13,
        {"ZenStreamsLedgerUnbalanced"},
    ),
    "a moment is no imbalance": ({STORED: "0+10x9 99 110+10x48"}, 13, set()),
    "the first event of all is lost": (
        {RECEIVED: "1x60", STORED: "_x60", IN_FLIGHT: "0x60"},
        3,
        {"ZenStreamsLedgerUnbalanced"},
    ),
    "the first event of all is on its way": (
        {RECEIVED: "1x60", STORED: "_x60", IN_FLIGHT: "1x60"},
        59,
        set(),
    ),
    "the very first dead letter": (
        {RECEIVED: "1+10x28 292+10x30", DEAD_LETTERS: "_x29 1x30"},
        31,
        {"ZenStreamsFaults"},
    ),
    "a further dead letter": (
        {RECEIVED: "8+10x29 299+10x30", DEAD_LETTERS: "7x29 8x30"},
        31,
        {"ZenStreamsFaults"},
    ),
    "dead letters of long ago": (
        {RECEIVED: "1+10x8 92+10x50", DEAD_LETTERS: "_x9 1x50"},
        40,
        set(),
    ),
    "a source that is kept from reading": ({UP: "1x9 0x50"}, 16, {"ZenStreamsSourceDown"}),
    "a source that never had its list": ({SYNCED: "0x60"}, 6, {"ZenStreamsSourceDown"}),
    "a source that blinks": ({UP: "1x9 0x2 1x50"}, 16, set()),
    "a dead connection": ({ACTIVITY: "0+60x9 540x50"}, 30, {"ZenStreamsSourceSilent"}),
    "more changes than can be written": (
        {DIRTY: "0x9 1+5x50"},
        35,
        {"ZenStreamsDirtyObjectsGrow"},
    ),
    "a burst that is being read again": ({DIRTY: "0x9 500-20x25 0x25"}, 30, set()),
    "a quota": ({SUSPENSIONS: "0x9 1x50"}, 16, {"ZenStreamsWritesSuspended"}),
    "the first lost span": ({LOST: "0x29 4x30"}, 31, {"ZenStreamsSpansLost"}),
    "spans lost long ago": ({LOST: "0x9 4x50"}, 40, set()),
    "no process": ({BUILD: "_x60"}, 6, {"ZenStreamsAbsent"}),
}


@pytest.mark.parametrize("case", CASES)
def test_an_alert_fires_when_it_should_and_not_before(case: str, tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on PATH, which runs alert rules")
    different, minute, firing = CASES[case]
    series = [{"series": it, "values": how} for it, how in {**HEALTHY, **different}.items()]
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(firing)]
    asked_once = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": f"{minute}m",
        "exp_samples": expected,
    }
    test = {"interval": "1m", "input_series": series, "promql_expr_test": [asked_once]}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES["spec"]))
    (tmp_path / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]})
    )

    done = subprocess.run(
        [promtool, "test", "rules", "test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
