"""Fifty watches at once, 20,000 events a second in all: is that sustained, and how long is an event on its way?"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from operators.flow.delivery import Ticket
from streams.runtime.garbage import freeze_startup_objects
from streams.runtime.pipeline import Pipeline
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.subscription import Subscription
from streams.sources.informer.target import WatchTarget
from tests.bench.bed import (
    GROUP,
    VERSION,
    NullWriter,
    context_of,
    document,
    line,
    manager_of,
    percentile,
    river,
    session_to,
    settled,
)

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

WATCHES, SECONDS = 50, 10
RATES = (5_000, 10_000, 20_000)
KEPT_OF = 10
OBJECTS = 50
SPEC: dict[str, Any] = {"filters": {"minSeverity": "HIGH"}}
SUSTAINED = 0.98


def object_of(number: int) -> dict[str, Any]:
    """About what a Kubernetes Event weighs: 1 KB."""
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "River",
        "metadata": {
            "name": f"o{number % OBJECTS}",
            "namespace": "shop",
            "uid": f"7c0e2f5a-1d43-4a86-9b1e-{number % OBJECTS:012d}",
            "resourceVersion": "@VERSION@",
            "labels": {"app": "checkout", "pod-template-hash": "6bd9f8c7d4"},
        },
        "severity": "HIGH" if number % KEPT_OF == 0 else "LOW",
        "message": f"Back-off restarting failed container, {number} times. " * 12,
        "count": number,
    }


class Stopwatch(InformerManager):
    """An informer manager that records when what it delivers was sent: a version is the nanosecond at which it was."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seconds: list[float] = []
        """From the server's writing it to its end, event by event."""
        self._sent: defaultdict[tuple[str, object], deque[int]] = defaultdict(deque)

    def subscribe(
        self, target: WatchTarget, handler: Callable[[ObjectChange], None], **how: Any
    ) -> Subscription:
        def note(change: ObjectChange) -> None:
            self._sent[target.resource, change.key].append(int(change.payload.version))
            handler(change)

        return super().subscribe(target, note, **how)

    def settled(self, pipeline: Pipeline, ticket: Ticket) -> None:
        """Events of one key end as they came, but for coalesced ones: where there are many, latencies are rough."""
        sent_ns = self._sent[pipeline.plan.source.watched.resource, ticket.key].popleft()
        self.seconds.append((time.monotonic_ns() - sent_ns) / 1e9)


@dataclass(frozen=True, slots=True)
class Found:
    """What a run has shown."""

    per_second: float
    cpus: float
    seconds: list[float]
    outcomes: Counter[str]


async def run(kubeconfig: Path, count: int) -> Found:
    async with session_to(kubeconfig) as session:
        watch = cast("Stopwatch", manager_of(session, Stopwatch))
        context = context_of(session, NullWriter(), manager=watch, listeners=(watch.settled,))
        pipelines = [Pipeline(document(SPEC, number=it), context) for it in range(WATCHES)]
        for pipeline in pipelines:
            pipeline.start()
        await settled(pipelines, 1)
        began, cpu = time.monotonic(), time.process_time()
        await settled(pipelines, count)
        took, used = time.monotonic() - began, time.process_time() - cpu
        assert all(pipeline.ledger.balance == 0 for pipeline in pipelines)
        outcomes = sum((outcomes_of(pipeline) for pipeline in pipelines), Counter[str]())
        for pipeline in pipelines:
            pipeline.stop_intake()
            await pipeline.abandon()
        await watch.close()
        return Found(count / took, used / took, watch.seconds, outcomes)


def outcomes_of(pipeline: Pipeline) -> Counter[str]:
    counts = Counter[str]()
    for (ending, _), count in pipeline.ledger.endings.items():
        counts[ending] += count
    return counts


@pytest.mark.parametrize("per_second", RATES)
def test_fifty_watches(per_second: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line(object_of(number)) for number in range(1_000)]
    count = per_second // WATCHES * SECONDS
    freeze_startup_objects()  # as the product does
    place = river(tmp_path, lines, count=count, watches=WATCHES, per_second=per_second)
    with place as kubeconfig:
        found = uvloop.run(run(kubeconfig, count * WATCHES))
    p50, p99 = (percentile(found.seconds, share) * 1e3 for share in (0.5, 0.99))
    verdict = "sustained" if found.per_second >= SUSTAINED * per_second else "not sustained"
    with capsys.disabled():
        print(
            f"\n{WATCHES} watches, {per_second} events/s of {len(lines[0])} bytes for {SECONDS} s: {verdict}, "
            f"{found.per_second:.0f}/s on {found.cpus:.0%} of a CPU; sent to settled p50 {p50:.1f} ms, "
            f"p99 {p99:.1f} ms; {dict(found.outcomes)}"
        )
