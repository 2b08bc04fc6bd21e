"""The generators against the shapes of the real objects, and against a server that believes nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.events import EVENTS_MOST
from demo.signal import JSON, MERGE_PATCH, STRATEGIC_MERGE_PATCH, Request, merged
from operators.model.content import content
from tests.kit.signals import BEGINNING, every_signal

STEPS = 400
TRIVY = {
    "report": {
        *("updateTimestamp", "registry", "artifact", "os", "scanner", "summary"),
        "vulnerabilities",
    },
    "summary": {
        *("criticalCount", "highCount", "mediumCount", "lowCount", "unknownCount"),
        "noneCount",
    },
    "finding": {
        *("vulnerabilityID", "resource", "installedVersion", "fixedVersion", "severity"),
        *("title", "links", "publishedDate", "lastModifiedDate", "target"),
    },
}
KYVERNO = {
    *("policy", "rule", "result", "severity", "category", "scored", "source", "message"),
    *("timestamp", "properties"),
}
OLD = {
    *("apiVersion", "kind", "metadata", "involvedObject", "type", "reason", "message", "source"),
    *("reportingComponent", "reportingInstance", "count", "firstTimestamp", "lastTimestamp"),
    "eventTime",
}
NEW = {
    *("apiVersion", "kind", "metadata", "regarding", "type", "reason", "note", "action"),
    *("reportingController", "reportingInstance", "eventTime"),
}


class StrictServer:
    """Refuses what an API server would refuse; a bare PUT needs a version, so there is none."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}

    def take(self, request: Request) -> None:
        if request.method == "POST":
            assert request.body is not None
            assert request.content_type == JSON
            namespace = request.body["metadata"]["namespace"]
            assert f"/namespaces/{namespace}/" in request.path
            path = f"{request.path}/{request.body['metadata']['name']}"
            assert path not in self.objects, "409 AlreadyExists"
            self.objects[path] = request.body
        elif request.method == "PATCH":
            assert request.path in self.objects, "404 NotFound"
            built_in = "/events/" in request.path
            assert request.content_type == (STRATEGIC_MERGE_PATCH if built_in else MERGE_PATCH)
            self.objects[request.path] = merged(self.objects[request.path], request.body or {})
        else:
            assert request.method == "DELETE"
            assert request.body is None
            del self.objects[request.path]


@given(seed=st.integers(0, 2**32), steps=st.integers(1, STEPS))
def test_every_request_can_succeed_and_the_final_state_is_known(seed: int, steps: int) -> None:
    for signal in every_signal(seed):
        server = StrictServer()
        for _ in range(steps):
            server.take(signal.next())
        assert server.objects == signal.objects
        assert signal.sent == steps


def test_the_first_requests_only_make_objects_of_their_own() -> None:
    for signal in every_signal(7):
        made = [signal.next() for _ in range(signal.first)]
        if signal.source != "kubernetes-events":
            assert {one.method for one in made} == {"POST"}
            assert len(signal.objects) == signal.first


def test_a_seed_is_a_story() -> None:
    def told(seed: int) -> list[Request]:
        return [signal.next() for signal in every_signal(seed) for _ in range(STEPS)]

    assert told(3) == told(3)
    assert told(3) != told(4)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_there_is_no_end_of_changes_but_one_of_objects(index: int) -> None:
    """What is kept of them, here, in the server and in the product, has a bound."""
    signal = every_signal(11)[index]
    subjects: set[str] = set()
    for _ in range(5000):
        signal.next()
        if index < 2:
            subjects |= signal.objects.keys()
        else:
            subjects |= {
                str((one.get("involvedObject") or one["regarding"], one["reason"], one["type"]))
                for one in list(signal.objects.values())[-1:]
            }
            assert len(signal.objects) <= EVENTS_MOST + 1
    print(signal.source, len(subjects))
    assert 8 <= len(subjects) <= 120


def test_trivy_writes_what_its_operator_writes() -> None:
    signal = every_signal(5)[0]
    for _ in range(STEPS):
        signal.next()
    for path, report in signal.objects.items():
        assert path.endswith("/vulnerabilityreports/" + report["metadata"]["name"])
        (owner,) = report["metadata"]["ownerReferences"]
        assert owner["controller"]
        assert report["metadata"]["name"] == f"{owner['kind'].lower()}-{owner['name']}-app"
        assert report["report"].keys() == TRIVY["report"]
        summary = report["report"]["summary"]
        assert summary.keys() == TRIVY["summary"]
        findings = report["report"]["vulnerabilities"]
        assert sum(summary.values()) == len(findings)
        for one in findings:
            assert one.keys() - {"score", "primaryLink"} == TRIVY["finding"]


def test_trivy_rescans_under_the_same_name_and_mostly_finds_the_same() -> None:
    signal = every_signal(5)[0]
    met: Counter[str] = Counter()
    gone: dict[str, dict[str, Any]] = {}
    for _ in range(2000):
        before = dict(signal.objects)
        request = signal.next()
        if request.method == "DELETE":
            gone[request.path] = before[request.path]
            met["deleted"] += 1
        elif request.method == "POST":
            assert request.body is not None
            path = f"{request.path}/{request.body['metadata']['name']}"
            if path in gone:
                met["made again"] += 1
                met["the same"] += content(request.body) == content(gone.pop(path))
        else:
            after = signal.objects[request.path]
            met["rewritten" if content(after) == content(before[request.path]) else "changed"] += 1
    print(met)
    assert min(met[each] for each in ("made again", "the same", "rewritten", "changed")) >= 100
    assert met["the same"] < met["made again"]


def test_kyverno_writes_what_its_controller_writes() -> None:
    signal = every_signal(5)[1]
    met: Counter[str] = Counter()
    for _ in range(2000):
        before = dict(signal.objects)
        request = signal.next()
        if request.method == "PATCH":
            after, was = signal.objects[request.path], before[request.path]
            assert after != was, "the time stamps are rewritten"
            met["nothing new" if content(after) == content(was) else "judged anew"] += 1
        met[request.method] += 1
    for path, report in signal.objects.items():
        assert report["metadata"]["name"] == report["scope"]["uid"] == path.rpartition("/")[2]
        assert len(report["results"]) == sum(report["summary"].values())
        failed = [one for one in report["results"] if one["result"] == "fail"]
        assert report["summary"]["fail"] == len(failed)
        for one in report["results"]:
            assert one.keys() == KYVERNO
            assert one["timestamp"].keys() == {"seconds", "nanos"}
            assert one["timestamp"]["seconds"] >= BEGINNING.timestamp()
    print(met)
    assert met["nothing new"] >= 500
    assert min(met[each] for each in ("judged anew", "DELETE", "POST")) >= 50


def test_events_are_written_by_both_recorders() -> None:
    signal = every_signal(5)[2]
    met: Counter[str] = Counter()
    counts: dict[str, int] = {}
    for _ in range(3000):
        request = signal.next()
        met[request.method] += 1
        if request.method == "DELETE":
            continue
        assert request.body is not None
        made = request.method == "POST"
        path = f"{request.path}/{request.body['metadata']['name']}" if made else request.path
        event = signal.objects[path]
        is_new = "regarding" in event
        assert event.keys() - {"series"} == (NEW if is_new else OLD)
        assert path.startswith("/apis/events.k8s.io/v1/" if is_new else "/api/v1/")
        count = event.get("series", {}).get("count", 1) if is_new else event["count"]
        assert count > counts.get(path, 0), "a recorder that remembers goes on counting"
        met["new recorder"] += is_new
        met["series"] += "series" in event
        met["combined"] += event.get("message", "").startswith("(combined")
        met["made again"] += made and path in counts
        met["began anew"] += made and path not in counts
        counts[path] = count
    print(met)
    assert min(met[each] for each in ("made again", "began anew", "DELETE")) >= 50
    assert min(met[each] for each in ("series", "combined", "new recorder")) >= 20
