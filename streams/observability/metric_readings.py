"""What the metrics read, so that they need not know who runs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from operators.flow.capacity import Room
    from operators.flow.delivery import Ledger
    from operators.model.index import Index
    from operators.model.windows import Windows
    from streams.cluster.durations import DurationCounts
    from streams.observability.timings import Timings
    from streams.sources.informer.subscription import Subscription


class PipelineReading(Protocol):
    """What the metrics read of one pipeline."""

    source: str
    ingester: str
    kind: str
    timings: Timings

    @property
    def ledger(self) -> Ledger:
        """What came in, and how it ended."""
        ...

    @property
    def room(self) -> Room:
        """What it holds, and may hold."""
        ...

    @property
    def index(self) -> Index:
        """The Observations it knows of."""
        ...

    @property
    def windows(self) -> Windows:
        """The windows of its occurrences."""
        ...

    @property
    def subscription(self) -> Subscription | None:
        """Its share in an informer, once it has one."""
        ...


@dataclass(frozen=True, slots=True)
class TraceReading:
    """What the metrics read of the traces: spans made, delivered, and lost by reason; traces kept back by class."""

    built: int = 0
    exported: int = 0
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    suppressed: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """What the metrics read of the process as a whole."""

    requests: Callable[[], Mapping[tuple[str, int], int]]
    """Requests by verb and HTTP status; status 0 where no answer came."""
    durations: Callable[[], Mapping[str, DurationCounts]]
    waited: Callable[[], Mapping[str, float]]
    """Seconds that requests waited for the client's own limit, by bucket: ``read``, ``write``."""
    holds: Callable[[], int]
    dead_letters: Callable[[], int]
    traces: Callable[[], TraceReading] = TraceReading
