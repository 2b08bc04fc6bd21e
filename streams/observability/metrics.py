"""The metrics: a table of families, what a scrape reads, and the collector that fills the families from it.

Counts are read from the ledgers at scrape time; no metric is counted beside them. ``documentation`` writes the table as
docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from operators.flow.capacity import Room
from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.flow.delivery import Ledger
from operators.flow.histogram import Histogram, StageTimings
from operators.model.outcome import Ending
from streams.observability.tracer import LossReason
from streams.sources.source import SourceStatus

REASON_CHARACTERS = 64
REASONS_MOST = 50
"""Distinct reasons one pipeline exports, those that came first; all others are counted as ``OTHER``.

A reason may be the name of a rule, so without a bound the documents would set the number of series.
"""
OTHER = "other"

PIPELINE_LABELS = ("source", "ingester")

T = TypeVar("T")
Row = tuple[tuple[str, ...], float | Histogram]
"""Label values and the value of one series."""

# --- what a scrape reads --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """What a scrape reads of one pipeline."""

    source: str
    ingester: str
    """``namespace/name``."""
    status: SourceStatus
    ledger: Ledger
    room: Room
    timings: StageTimings
    state_entries: int
    state_evicted: int


@dataclass(frozen=True, slots=True)
class TraceCounts:
    """What a scrape reads of the tracing: spans built, exported and lost (by reason), traces suppressed (by class)."""

    built: int = 0
    exported: int = 0
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    suppressed: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """What a scrape reads of the process as a whole."""

    version: str
    requests: Mapping[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """Requests by verb and HTTP status; status 0 where no response came."""
    durations: Mapping[str, Histogram] = field(default_factory=dict[str, Histogram])
    """Durations of requests by verb."""
    waited_seconds: Mapping[str, float] = field(default_factory=dict[str, float])
    """How long requests waited for the client's rate limit, by token bucket: ``read``, ``write``."""
    suspensions: int = 0
    dead_letters: int = 0
    traces: TraceCounts = TraceCounts()


# --- the families ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family(Generic[T]):
    """One metric: its name (a counter's without ``_total``), its type, its help text, and how its series are read."""

    kind: type[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]
    name: str
    text: str
    rows: Callable[[T], Iterable[Row]]
    labels: tuple[str, ...] = ()
    is_moment: bool = False
    """Whether ``rows`` gives seconds of the monotonic clock, exported as seconds since 1970."""


def _one(read: Callable[[T], float]) -> Callable[[T], Iterable[Row]]:
    """Read one series without labels of its own."""
    return lambda status: [((), read(status))]


def _each(
    read: Callable[[T], Mapping[str, float] | Mapping[str, Histogram]],
) -> Callable[[T], Iterable[Row]]:
    """Read one series for each label value."""
    return lambda status: [((label,), value) for label, value in read(status).items()]


def _counter(name: str) -> Callable[[PipelineStatus], Iterable[Row]]:
    """Read one of a source's own counters; no series where this kind of source does not have it."""
    return _each(lambda it: it.status.counters.get(name, {}))


def _outcomes(it: PipelineStatus) -> Iterator[Row]:
    """Count by ending and reason.

    A ledger never removes an entry and keeps their order, so the reasons exported under their own name stay the same
    from one scrape to the next.
    """
    named: set[str] = {""}
    counts: dict[tuple[str, str], int] = {}
    for (ending, reason), count in it.ledger.endings.items():
        label = reason[:REASON_CHARACTERS]
        if label not in named and len(named) > REASONS_MOST:
            label = OTHER
        else:
            named.add(label)
        counts[ending.value, label] = counts.get((ending.value, label), 0) + count
    yield from counts.items()


def _known_objects(it: PipelineStatus) -> Iterator[Row]:
    if it.status.last_activity_ns:  # before the first byte it is unknown, not 0
        yield (), it.status.known_objects


def _last_activity(it: PipelineStatus) -> Iterator[Row]:
    if it.status.last_activity_ns:
        yield (), it.status.last_activity_ns / NANOSECONDS_PER_SECOND


def _resource_version(it: PipelineStatus) -> Iterator[Row]:
    version = it.status.resource_version
    if (
        version.isdecimal()
    ):  # opaque by the API conventions, decimal in every kube-apiserver (KEP-5504)
        yield (), float(version)


def _lost(process: ProcessStatus) -> Iterator[Row]:
    """Export every reason from the start: ``increase()`` is 0 for a series whose first sample is its first increase."""
    for reason in LossReason:
        yield (reason.value,), process.traces.lost.get(reason.value, 0)


PIPELINE_FAMILIES: tuple[Family[PipelineStatus], ...] = (
    Family(
        CounterMetricFamily,
        "zenstreams_events_received",
        "Events admitted.",
        lambda it: [((it.status.kind,), it.ledger.received)],
        ("kind",),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_events_outcome",
        f"Events that ended. After {REASONS_MOST} distinct reasons a further one is counted as other.",
        _outcomes,
        ("outcome", "reason"),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_events_in_flight",
        "Events admitted that have not ended: received - outcomes, counted apart.",
        _one(lambda it: it.ledger.in_flight),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_coalesced",
        "Events that ended because a newer state of their object was received or will be read.",
        _one(lambda it: it.ledger.ended(Ending.COALESCED)),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_dedup_hits",
        "Events that ended as duplicates.",
        _one(lambda it: it.ledger.ended(Ending.DEDUPLICATED)),
    ),
    Family(
        HistogramMetricFamily,
        "zenstreams_stage_duration_seconds",
        "How long events stayed in a stage, waits included.",
        _each(lambda it: it.timings.stages),
        ("stage",),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_buffer_items",
        "Events that occupy the buffer's capacity: from admission until they end.",
        _one(lambda it: it.room.items),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_buffer_bytes",
        "Bytes of the events that occupy the buffer's capacity.",
        _one(lambda it: it.room.bytes),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_buffer_capacity_bytes",
        "The buffer's capacity in bytes (spec.buffer.capacityBytes).",
        _one(lambda it: it.room.capacity_bytes),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_state_entries",
        "Observations, and deduplication windows of occurrences, held in memory.",
        _one(lambda it: it.state_entries),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_state_evicted",
        "Entries evicted from that state before they expired, because it was full.",
        _one(lambda it: it.state_evicted),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_source_up",
        "Whether the source can read: 1 or 0. /readyz?verbose has the reason.",
        _one(lambda it: it.status.up),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_source_synced",
        "Whether the initial list is complete: 1 or 0.",
        _one(lambda it: it.status.synced),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_source_dirty_objects",
        "Objects whose newest state was not processed and will be read again.",
        _one(lambda it: it.status.dirty_objects),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_source_read",
        "What the source read and what it made of that, counted apart from the events.",
        _counter("read"),
        ("what",),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_source_handler_errors",
        "Exceptions raised while the source delivered an object: a defect of zen-streams.",
        _one(lambda it: it.status.handler_errors),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_cache_objects",
        "Objects in the informer's store.",
        _known_objects,
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_watch_connects",
        "Watches opened, by what preceded them.",
        _counter("connects"),
        ("reason",),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_watch_relists",
        "Lists started, by cause.",
        _counter("relists"),
        ("reason",),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_watch_failures",
        "Lists and watches that failed.",
        _counter("failures"),
        ("reason",),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_watch_last_activity_timestamp_seconds",
        "When the API server last sent anything, bookmarks included.",
        _last_activity,
        is_moment=True,
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_watch_last_resource_version",
        "The resourceVersion up to which everything was read.",
        _resource_version,
    ),
)
"""Every family has the labels ``PIPELINE_LABELS`` before its own."""

PROCESS_FAMILIES: tuple[Family[ProcessStatus], ...] = (
    Family(
        CounterMetricFamily,
        "zenstreams_apiserver_requests",
        "Requests to the API server, the informers' included; code 0 where no response came.",
        lambda it: [((verb, str(code)), count) for (verb, code), count in it.requests.items()],
        ("verb", "code"),
    ),
    Family(
        HistogramMetricFamily,
        "zenstreams_apiserver_request_duration_seconds",
        "Time to the headers of a response, without the wait for the client's rate limit.",
        _each(lambda it: it.durations),
        ("verb",),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_client_wait_seconds",
        "Seconds that requests waited for the client's rate limit: read (--qps), write (--write-qps).",
        _each(lambda it: it.waited_seconds),
        ("bucket",),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_sink_suspensions",
        "Scopes (a namespace, or all) to which writes are suspended.",
        _one(lambda it: it.suspensions),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_dlq_items",
        "Dead letters and failures kept in memory.",
        _one(lambda it: it.dead_letters),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_spans_built",
        "Spans built.",
        _one(lambda it: it.traces.built),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_spans_exported",
        "Spans that a collector accepted.",
        _one(lambda it: it.traces.exported),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_spans_lost",
        "Spans built for export that no collector accepted.",
        _lost,
        ("reason",),
    ),
    Family(
        CounterMetricFamily,
        "zenstreams_traces_suppressed",
        "Traces not exported because of spec.tracing.maxSpansPerSecond, by the reason to export them.",
        _each(lambda it: it.traces.suppressed),
        ("class",),
    ),
    Family(
        GaugeMetricFamily,
        "zenstreams_build_info",
        "Always 1.",
        lambda it: [((it.version,), 1)],
        ("version",),
    ),
)


# --- the collector --------------------------------------------------------------------------------


class Metrics(Collector):
    """Reads all pipelines and the process at each scrape. Register it in a ``CollectorRegistry``.

    ``collect`` must run on the event loop: it reads what the pipelines change there. ``now_ns`` is the monotonic clock
    of ``SourceStatus``, ``wall_seconds`` the time since 1970.
    """

    def __init__(
        self,
        pipelines: Callable[[], Iterable[PipelineStatus]],
        process: Callable[[], ProcessStatus],
        *,
        now_ns: Callable[[], int],
        wall_seconds: Callable[[], float],
    ) -> None:
        self._pipelines = pipelines
        self._process = process
        self._now_ns = now_ns
        self._wall_seconds = wall_seconds

    def collect(self) -> Iterator[Metric]:
        """Yield every family, filled."""
        pipelines = [((it.source, it.ingester), it) for it in self._pipelines()]
        process = [((), self._process())]
        to_wall_seconds = self._wall_seconds() - self._now_ns() / NANOSECONDS_PER_SECOND
        for family in PIPELINE_FAMILIES:
            labels = (*PIPELINE_LABELS, *family.labels)
            yield _filled(family, labels, pipelines, to_wall_seconds=to_wall_seconds)
        for family in PROCESS_FAMILIES:
            yield _filled(family, family.labels, process, to_wall_seconds=to_wall_seconds)


def _filled(
    family: Family[T],
    labels: tuple[str, ...],
    statuses: Iterable[tuple[tuple[str, ...], T]],
    *,
    to_wall_seconds: float,
) -> Metric:
    metric = family.kind(family.name, family.text, labels=labels)
    shift_seconds = to_wall_seconds if family.is_moment else 0
    for first, status in statuses:
        for rest, value in family.rows(status):
            if isinstance(metric, HistogramMetricFamily):
                if not isinstance(value, Histogram):
                    raise TypeError(f"{family.name}: a histogram's rows are histograms")
                metric.add_metric([*first, *rest], _buckets(value), value.sum_seconds)
            elif isinstance(value, Histogram):
                raise TypeError(f"{family.name}: only a histogram's rows are histograms")
            else:
                metric.add_metric([*first, *rest], value + shift_seconds)
    return metric


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    return [
        ("+Inf" if bound == inf else str(bound), float(count)) for bound, count in histogram.buckets
    ]


# --- the documentation ----------------------------------------------------------------------------

_TYPES: Mapping[type[Metric], str] = {
    CounterMetricFamily: "counter",
    GaugeMetricFamily: "gauge",
    HistogramMetricFamily: "histogram",
}

_HEAD = """\
# Metrics

Generated from `streams/observability/metrics.py` by `make generate`; do not edit.

`GET /metrics` has them in Prometheus' text format, or OpenMetrics where the request's `Accept` names it. Per source
`received = sum(outcomes) + in flight` holds at every scrape; the three are counted apart.
"""


def documentation() -> str:
    """Return docs/metrics.md: name, type, labels and meaning of every family."""
    per_pipeline = [_line(it, (*PIPELINE_LABELS, *it.labels)) for it in PIPELINE_FAMILIES]
    per_process = [_line(it, it.labels) for it in PROCESS_FAMILIES]
    head = ["| name | type | labels | meaning |", "|---|---|---|---|"]
    return "\n".join(
        [
            _HEAD,
            "## Of each pipeline\n",
            *head,
            *per_pipeline,
            "\n## Of the process\n",
            *head,
            *per_process,
            "",
        ]
    )


def _line(family: Family[T], labels: tuple[str, ...]) -> str:
    suffix = "_total" if family.kind is CounterMetricFamily else ""
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{family.name}{suffix}` | {_TYPES[family.kind]} | {named} | {family.text} |"
