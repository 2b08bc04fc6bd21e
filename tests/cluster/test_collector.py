"""The shipped collector configuration at work: what the demonstration sends, what is kept, what a Jaeger answers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.cluster.backends import CONFIGURATION, Collector, Jaeger
from tests.cluster.processes import run, wait_until
from tests.cluster.product import Product, ingester
from tests.integration.embedded import Embedded
from tests.kit.otlp import LoopbackCollector, Trace, WireSpan
from tests.kit.shape import faults

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DEMO = ("-m", "streams", "demo", "--json", "--duration", "4", "--rate", "60")
ALWAYS_KEPT = {"stored", "dropped", "dead_lettered", "failed", "interrupted"}
NOWHERE = "127.0.0.1:9"
"""A Tempo that is out of reach: it must not keep anything from Jaeger."""

Backends = tuple[Jaeger, Collector]
Tree = set[tuple[str, str, str, int, int]]


@pytest.fixture(scope="module")
def backends(
    telemetry_programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backends]:
    folder = tmp_path_factory.mktemp("telemetry")
    with (
        Jaeger(folder / "jaeger", telemetry_programs) as jaeger,
        Collector(
            folder / "collector", telemetry_programs, jaeger=jaeger.endpoint, tempo=NOWHERE
        ) as collector,
    ):
        yield jaeger, collector


async def demonstrated(onward: str) -> tuple[dict[str, Any], dict[str, Trace]]:
    """Run the demonstration with a wire between it and the collector: its report, and what the wire held."""
    async with LoopbackCollector() as wire:
        wire.onward = onward
        told = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": wire.endpoint}
        demo = await asyncio.create_subprocess_exec(
            sys.executable, *DEMO, env=told, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await demo.communicate()
        assert demo.returncode == 0
        return msgspec.json.decode(said), wire.traces


def tree_of(spans: list[WireSpan]) -> Tree:
    return {(it.span_id, it.parent_id, it.name, it.start_ns, it.end_ns) for it in spans}


def kept_trees(collector: Collector) -> dict[str, Tree]:
    trees: dict[str, Tree] = {}
    for span in collector.spans():
        times = int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"])
        one = (span["spanId"], span.get("parentSpanId", ""), span["name"], *times)
        trees.setdefault(span["traceId"], set()).add(one)
    return trees


def test_the_shipped_configuration_is_valid(telemetry_programs: Mapping[str, Path]) -> None:
    run([str(telemetry_programs["otelcol"]), "validate", "--config", str(CONFIGURATION)])


def test_what_the_wire_held_is_kept_whole_and_jaeger_tells_what_became_of_it(
    backends: Backends,
) -> None:
    jaeger, collector = backends
    report, sent = asyncio.run(demonstrated(collector.endpoint))
    outcomes = Counter(trace.outcome for trace in sent.values())
    print(f"{report['spans_built']} spans built; {len(sent)} traces on the wire: {dict(outcomes)}")

    told: Counter[str] = Counter()
    for source in report["sources"].values():
        told.update(source["outcomes"])
    assert faults(sent.values()) == []
    assert outcomes == +told
    assert report["spans_built"] == sum(len(trace.spans) for trace in sent.values())

    certain = {name for name, trace in sent.items() if trace.outcome in ALWAYS_KEPT}
    wait_until(
        lambda: certain <= kept_trees(collector).keys(), seconds=30, what="the collector's choice"
    )
    trees = {name: tree for name, tree in kept_trees(collector).items() if name in sent}
    print(f"{len(trees)} traces kept, {len(certain)} of them for certain")
    assert all(tree == tree_of(sent[name].spans) for name, tree in trees.items())

    stored = next(sent[name] for name in certain if sent[name].outcome == "stored")
    uid = str(stored.root.attributes["zenstreams.object.uid"])
    about = {t for t in trees if sent[t].root.attributes.get("zenstreams.object.uid") == uid}
    wait_until(
        lambda: (
            {each["traceID"] for each in jaeger.find(**{"zenstreams.object.uid": uid})} == about
        ),
        seconds=30,
        what="Jaeger to have exactly these",
    )
    wait_until(
        lambda: 'zenstreams_outcome="stored"' in collector.metrics(), seconds=10, what="metrics"
    )


def test_jaeger_tells_which_events_failed(backends: Backends, tmp_path: Path) -> None:
    jaeger, collector = backends
    with Embedded(tmp_path) as server:
        namespace = server.namespace()
        narrow = ingester(
            "narrow", namespace, resource="configmaps", buffer={"capacityBytes": "1Ki"}
        )
        server.api().need(
            "POST",
            f"/api/v1/namespaces/{namespace}/configmaps",
            body={"metadata": {"name": "wide"}, "data": {"text": "x" * 4096}},
        )
        telemetry = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        with Product(
            tmp_path / "product", [narrow], kubeconfig=server.kubeconfig, environment=telemetry
        ) as product:
            product.ready()
            product.quiet()
            product.stop()
    wait_until(
        lambda: bool(jaeger.find(**{"zenstreams.outcome": "dead_lettered"})),
        seconds=30,
        what="Jaeger to have it",
    )
    (failed,) = jaeger.find(**{"zenstreams.outcome": "dead_lettered"})
    tags = {tag["key"]: tag["value"] for span in failed["spans"] for tag in span["tags"]}
    print({key: value for key, value in tags.items() if key.startswith(("zenstreams", "error"))})
    assert tags["zenstreams.object.name"] == "wide"
    assert tags["zenstreams.outcome.reason"] == "too_large"
