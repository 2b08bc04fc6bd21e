"""CPU per event from the socket to its end, each walk beside the floor of the same run: numbers, no verdicts.

The floor is the faster of orjson and msgspec decoding the whole line. One typed pass, which decodes of the object only
what the walk reads of it, is the physical limit.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import orjson
import pytest
import uvloop

from operators.decoders.generic import GenericHead
from operators.flow.capacity import Room
from operators.model.outcome import Ending
from operators.rules.paths import Projection
from streams.cluster.access import Access
from streams.config.plan import Plan
from streams.runtime.garbage import freeze_startup_objects
from streams.runtime.pipeline import Pipeline, target_of
from streams.runtime.tracing import TRACING_OFF, ProcessTracing
from streams.sources.informer.decode import LineSplitter, recognise_watch_event
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.target import WatchTarget
from tests.bench.bed import (
    GROUP,
    VERSION,
    NullExport,
    NullWriter,
    context_of,
    document,
    line,
    manager_of,
    river,
    session_to,
    settled,
    traced,
)
from tests.bench.payloads import kubernetes_event, lines

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

COUNT, ROUNDS = 8_000, 5
Walk = Callable[[Path], Coroutine[None, None, float]]
WANTED = {"minSeverity": "HIGH"}
MOST_FILTERED = {Ending.FILTERED: 0.89, Ending.STORED: 0.09}
UNLIMITED = 1_000_000
ROOMY: dict[str, Any] = {"buffer": {"capacity": 100_000, "capacityBytes": "1Gi"}}
"""The river is faster than any API server: what is measured is the walk, not the spilling."""


def bare(path: str, decode: Callable[[bytes], object]) -> Walk:
    """Read, split, decode, and nothing else."""

    async def run(kubeconfig: Path) -> float:
        server = Access.from_kubeconfig(str(kubeconfig)).server
        splitter, seen = LineSplitter(), 0
        async with (
            aiohttp.ClientSession() as client,
            client.get(f"{server}{path}?watch=true") as answer,
        ):
            began = time.process_time()
            async for chunk in answer.content.iter_any():
                for text in splitter.split(chunk):
                    decode(text)
                    seen += 1
                if seen >= COUNT:
                    break
        return time.process_time() - began

    return run


def typed_pass() -> Callable[[bytes], object]:
    """Cut the object out of its line, and decode what a filtered event's walk reads of it."""
    decode = Projection(GenericHead).decode
    return lambda text: decode(recognise_watch_event(text).object)


def bottom(kind: str, path: str) -> dict[str, tuple[str, Walk]]:
    """What no walk can fall below, on a river."""
    return {
        "whole line, msgspec": (kind, bare(path, msgspec.json.decode)),
        "whole line, orjson": (kind, bare(path, orjson.loads)),
        "one typed pass (the physical limit)": (kind, bare(path, typed_pass())),
    }


FLOORS = ("whole line, msgspec", "whole line, orjson")
"""The faster one is the floor."""


def ingest(target: WatchTarget) -> Walk:
    """The informer alone, with a subscriber that does nothing."""

    async def run(kubeconfig: Path) -> float:
        done, seen = asyncio.Event(), 0

        def count(_: ObjectChange) -> None:
            nonlocal seen
            seen += 1
            if seen == COUNT:
                done.set()

        async with session_to(kubeconfig) as session:
            manager = manager_of(session)
            began = time.process_time()
            manager.subscribe(target, count, room=Room(1, capacity_bytes=1), head=GenericHead)
            await done.wait()
            took = time.process_time() - began
            await manager.close()
            return took

    return run


OFFICIAL = """
import os, sys, threading, time
import kubernetes, kubernetes.informer

done, seen = threading.Event(), 0

def hear(_):
    global seen
    seen += 1
    if seen == int(sys.argv[2]):
        done.set()

api = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(sys.argv[1]))
informer = kubernetes.informer.SharedInformer(api.list_event_for_all_namespaces)
for kind in ("ADDED", "MODIFIED"):
    informer.add_event_handler(kind, hear)
began = time.process_time()
informer.start()
done.wait()
print(time.process_time() - began, flush=True)
os._exit(0)
"""


async def official(kubeconfig: Path) -> float:
    """The official client's SharedInformer on Kubernetes Events, with a handler that does nothing.

    In a process of its own: it never ends by itself, and requests without a pause where nothing answers.
    """
    command = (sys.executable, "-c", OFFICIAL, str(kubeconfig), str(COUNT))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    return float(printed)


def walk(
    plan: Plan,
    *,
    least: Mapping[Ending, float],
    traces: Callable[[], ProcessTracing] = lambda: TRACING_OFF,
) -> Walk:
    """The whole pipeline; at ``least`` such shares of its events must end so, or another walk was measured."""

    async def run(kubeconfig: Path) -> float:
        async with session_to(kubeconfig) as session:
            context = context_of(session, NullWriter(), traces=traces())
            pipeline = Pipeline(plan, context)
            began = time.process_time()
            pipeline.start()
            await settled([pipeline], COUNT)
            took = time.process_time() - began
            assert pipeline.ledger.balance == 0
            for ending, share in least.items():
                assert pipeline.ledger.ended(ending) >= share * COUNT, pipeline.ledger.endings
            assert not context.traces.counts().suppressed, "traces were to be kept, and were not"
            pipeline.stop_intake()
            await pipeline.abandon()
            await context.manager.close()
            return took

    return run


def tracing() -> ProcessTracing:
    return traced(NullExport())


def kept(share: float) -> dict[str, Any]:
    return {"tracing": {"ratio": share, "maxSpansPerSecond": UNLIMITED}}


def walks() -> dict[str, tuple[str, Walk]]:
    """What is measured: a name, the river it runs on, and the walk."""
    mixed: dict[str, Any] = {"filters": WANTED, **ROOMY}
    reports = f"/apis/{GROUP}/{VERSION}/river-0"
    return {
        **bottom("mixed", reports),
        "ingest: an informer, nothing else": ("mixed", ingest(target_of(document({}).source))),
        "90 % filtered, the rest stored": ("mixed", walk(document(mixed), least=MOST_FILTERED)),
        "  traced, stored and 10 % of the rest exported": (
            "mixed",
            walk(document(mixed | kept(0.1)), least=MOST_FILTERED, traces=tracing),
        ),
        "  traced, 100 % exported": (
            "mixed",
            walk(document(mixed | kept(1)), least=MOST_FILTERED, traces=tracing),
        ),
        "100 % filtered": ("unwanted", walk(document(mixed), least={Ending.FILTERED: 1})),
        "  traced, 0 % exported": (
            "unwanted",
            walk(document(mixed | kept(0)), least={Ending.FILTERED: 1}, traces=tracing),
        ),
        "everything deduplicated": (
            "same",
            walk(document(ROOMY), least={Ending.DEDUPLICATED: 0.85}),
        ),
        "everything stored": ("new", walk(document(ROOMY), least={Ending.STORED: 1})),
    }


def beside() -> dict[str, tuple[str, Walk]]:
    """What the official client can do, too: an informer of Kubernetes Events."""
    return {
        **bottom("events", "/api/v1/events"),
        "ingest: an informer, nothing else": ("events", ingest(WatchTarget("", "v1", "events"))),
        "  kubernetes 37's SharedInformer": ("events", official),
    }


def measured(folder: Path, todo: Sequence[tuple[str, str, Walk]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name, _, _ in todo}
    for number in range(ROUNDS + 1):
        for name, kind, one in todo:
            with river(folder / kind, RIVERS[kind], count=COUNT) as kubeconfig:
                took = uvloop.run(one(kubeconfig))
            if number:  # the first round warms up
                found[name].append(took / COUNT * 1e6)
    return found


RIVERS: dict[str, list[bytes]] = {}


def test_what_an_event_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("mixed", "same", "new"):
        RIVERS[kind] = lines(kind, COUNT)
    RIVERS["unwanted"] = [it.replace(b'"HIGH"', b'"LOW"') for it in RIVERS["mixed"]]
    with capsys.disabled():
        table(tmp_path, walks())


def test_what_an_informer_costs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RIVERS["events"] = [line(kubernetes_event(number)) for number in range(COUNT)]
    with capsys.disabled():
        table(tmp_path, beside())


def table(folder: Path, what: dict[str, tuple[str, Walk]]) -> None:
    """Measure, and print each beside the floor."""
    freeze_startup_objects()  # as the product does
    todo = [(name, kind, one) for name, (kind, one) in what.items()]
    found = measured(folder, todo)
    base = min(statistics.median(found[name]) for name in FLOORS)
    size = sum(map(len, RIVERS[todo[0][1]])) / COUNT
    print(
        f"\n{COUNT} events of {size:.0f} bytes, CPU us per event, median of {ROUNDS} [least..most]"
    )
    for name, figures in found.items():
        middle = statistics.median(figures)
        spread = f"[{min(figures):.1f}..{max(figures):.1f}]"
        print(f"{name:<46} {middle:7.1f} {spread:<18} {middle / base:6.2f} floors")
