"""The demonstration's realistic objects as any test can have them: every signal, seeded, under a clock that ticks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from demo.cluster import Cluster
from demo.events import kubernetes_events
from demo.kyverno import kyverno
from demo.signal import Signal
from demo.trivy import trivy

BEGINNING = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def ticking() -> Callable[[], datetime]:
    """A wall clock that goes on by a second whenever somebody looks."""
    looks = 0

    def now() -> datetime:
        nonlocal looks
        looks += 1
        return BEGINNING + timedelta(seconds=looks)

    return now


def every_signal(seed: int) -> list[Signal]:
    """Trivy's reports, Kyverno's reports and Kubernetes Events of one cluster."""
    estate = Cluster(seed)
    clock = ticking()
    return [make(estate, seed, now=clock) for make in (trivy, kyverno, kubernetes_events)]
