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
from streams.runtime.garbage import spare_the_loop
from streams.runtime.running import RunningSource
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.notice import Notice, Watched
from streams.sources.informer.subscription import Subscription
from tests.bench.bed import (
    GROUP,
    VERSION,
    NullWriter,
    document,
    line,
    manager_of,
    percentile,
    river,
    session_to,
    settled,
    surroundings,
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
    """An informer manager that notes when what it tells was sent: a version is the nanosecond at which it was."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.seconds: list[float] = []
        """From the server's writing it to its end, event by event."""
        self._sent: defaultdict[tuple[str, object], deque[int]] = defaultdict(deque)

    def subscribe(
        self, watched: Watched, handler: Callable[[Notice], None], **how: Any
    ) -> Subscription:
        def hear(notice: Notice) -> None:
            key = f"{notice.namespace}/{notice.name}"
            self._sent[watched.resource, key].append(int(notice.version))
            handler(notice)

        return super().subscribe(watched, hear, **how)

    def settled(self, source: RunningSource, ticket: Ticket) -> None:
        """Events of one key end as they came, but for coalesced ones: where there are many, latencies are rough."""
        sent_ns = self._sent[source.plan.resource, ticket.key].popleft()
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
        around = surroundings(session, NullWriter(), manager=watch, listeners=(watch.settled,))
        sources = [RunningSource(document(SPEC, number=it), around) for it in range(WATCHES)]
        for source in sources:
            source.start()
        await settled(sources, 1)
        began, cpu = time.monotonic(), time.process_time()
        await settled(sources, count)
        took, used = time.monotonic() - began, time.process_time() - cpu
        assert all(source.ledger.balance == 0 for source in sources)
        outcomes = sum((outcomes_of(source) for source in sources), Counter[str]())
        for source in sources:
            source.stop_intake()
            await source.abandon()
        await watch.close()
        return Found(count / took, used / took, watch.seconds, outcomes)


def outcomes_of(source: RunningSource) -> Counter[str]:
    counts = Counter[str]()
    for (ending, _), count in source.ledger.endings.items():
        counts[ending] += count
    return counts


@pytest.mark.parametrize("per_second", RATES)
def test_fifty_watches(per_second: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line(object_of(number)) for number in range(1_000)]
    count = per_second // WATCHES * SECONDS
    spare_the_loop()  # as the product does
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
