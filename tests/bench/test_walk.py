"""CPU per event from the socket to its end, each walk beside the floor of the same run: numbers, no verdicts."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import uvloop

from operators.room import Room
from streams.cluster.access import Access
from streams.config.plan import Plan
from streams.informers.lines import Lines
from streams.informers.manager import always
from streams.informers.notice import Notice
from streams.runtime.pipeline import watched_of
from streams.runtime.running import RunningSource
from streams.runtime.traces import UNTRACED, Traces
from tests.bench.bed import (
    GROUP,
    VERSION,
    NullExport,
    NullWriter,
    document,
    line,
    manager_of,
    river,
    session_to,
    settled,
    surroundings,
    traced,
)

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

COUNT, ROUNDS = 8_000, 5
OBJECTS = 500
KEPT_OF = 10
WANTED = {"minSeverity": "HIGH"}
ROOMY: dict[str, Any] = {"buffer": {"capacity": 100_000, "capacityBytes": "1Gi"}}
"""The river is faster than any API server: what is measured is the walk, not the spilling."""


def report(number: int, chance: random.Random, *, severity: str, same: bool) -> dict[str, Any]:
    """About what a vulnerability report weighs: 4 KB."""
    findings = [
        {
            "vulnerabilityID": f"CVE-2026-{10_000 + (index if same else chance.randrange(9_000))}",
            "resource": chance.choice(["libssl3", "zlib1g", "openssl", "curl", "glibc"]),
            "installedVersion": "3.0.15-1",
            "fixedVersion": "",
            "severity": severity,
            "score": 7.5,
            "title": "openssl: out-of-bounds read in the handling of certificate names",
            "primaryLink": f"https://example.com/advisories/{index}",
            "publishedDate": "2026-10-02T11:15:00Z",
            "lastModifiedDate": "",
            "target": "",
        }
        for index in range(10)
    ]
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "River",
        "metadata": {
            "name": f"replicaset-checkout-{number % OBJECTS}",
            "namespace": "shop",
            "uid": f"7c0e2f5a-1d43-4a86-9b1e-{number % OBJECTS:012d}",
            "resourceVersion": "@VERSION@",
            "labels": {"trivy-operator.resource.kind": "ReplicaSet"},
        },
        "severity": severity,
        "report": {"updateTimestamp": f"{number}", "vulnerabilities": findings},
    }


def lines(kind: str) -> list[bytes]:
    chance = random.Random(1)
    told: list[bytes] = []
    for number in range(COUNT):
        wanted = kind != "mixed" or number % KEPT_OF == 0
        seed = random.Random(number % OBJECTS) if kind == "same" else chance
        severity = "HIGH" if wanted else "LOW"
        told.append(line(report(number, seed, severity=severity, same=kind == "same")))
    return told


async def floor(kubeconfig: Path) -> float:
    """Bare: read, split, decode."""
    server = Access.from_kubeconfig(str(kubeconfig)).server
    splitter, seen = Lines(), 0
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{server}/apis/{GROUP}/{VERSION}/river-0?watch=true") as answer,
    ):
        began = time.process_time()
        async for chunk in answer.content.iter_any():
            for text in splitter.feed(chunk):
                msgspec.json.decode(text)
                seen += 1
            if seen >= COUNT:
                break
    return time.process_time() - began


async def ingest(kubeconfig: Path) -> float:
    """The informer alone, with a subscriber that does nothing."""
    done, seen = asyncio.Event(), 0

    def hear(_: Notice) -> None:
        nonlocal seen
        seen += 1
        if seen == COUNT:
            done.set()

    async with session_to(kubeconfig) as session:
        manager = manager_of(session)
        began = time.process_time()
        manager.subscribe(
            watched_of(document({})),
            hear,
            room=Room(1, capacity_bytes=1),
            resync_seconds=0,
            matters=always,
        )
        await done.wait()
        took = time.process_time() - began
        await manager.close()
        return took


def walk(plan: Plan, *, traces: Callable[[], Traces] = lambda: UNTRACED) -> Walk:
    async def run(kubeconfig: Path) -> float:
        async with session_to(kubeconfig) as session:
            around = surroundings(session, NullWriter(), traces=traces())
            source = RunningSource(plan, around)
            began = time.process_time()
            source.start()
            await settled([source], COUNT)
            took = time.process_time() - began
            assert source.ledger.balance == 0
            source.stop_intake()
            await source.abandon()
            await around.manager.close()
            return took

    return run


Walk = Callable[[Path], Coroutine[None, None, float]]


def tracing() -> Traces:
    return traced(NullExport())


def ratio(share: float) -> dict[str, Any]:
    return {"tracing": {"ratio": share}}


def walks() -> dict[str, tuple[str, Walk]]:
    """What is measured: a name, the river it runs on, and the walk."""
    mixed: dict[str, Any] = {"filters": WANTED, **ROOMY}
    return {
        "split and decode (the floor)": ("mixed", floor),
        "ingest: an informer, nothing else": ("mixed", ingest),
        "90 % filtered, the rest stored": ("mixed", walk(document(mixed))),
        "  traced, 0 % kept": ("unwanted", walk(document(mixed | ratio(0)), traces=tracing)),
        "  traced, stored and 10 % of the rest kept": (
            "mixed",
            walk(document(mixed | ratio(0.1)), traces=tracing),
        ),
        "  traced, 100 % kept": ("mixed", walk(document(mixed), traces=tracing)),
        "100 % filtered": ("unwanted", walk(document(mixed))),
        "everything deduplicated": ("same", walk(document(ROOMY))),
        "everything stored": ("new", walk(document(ROOMY))),
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
        RIVERS[kind] = lines(kind)
    RIVERS["unwanted"] = [it.replace(b'"HIGH"', b'"LOW"') for it in RIVERS["mixed"]]
    todo = [(name, kind, one) for name, (kind, one) in walks().items()]
    found = measured(tmp_path, todo)
    base = statistics.median(found[todo[0][0]])
    size = sum(map(len, RIVERS["mixed"])) / COUNT
    with capsys.disabled():
        print(
            f"\n{COUNT} events of {size:.0f} bytes, CPU us per event, median of {ROUNDS} [least..most]"
        )
        for name, figures in found.items():
            middle = statistics.median(figures)
            spread = f"[{min(figures):.1f}..{max(figures):.1f}]"
            print(f"{name:<46} {middle:7.1f} {spread:<18} {middle / base:5.2f}x the floor")
