"""The collector: what a scrape reads, pipeline by pipeline, and of the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from operators.flow.clock import NANOSECONDS_PER_SECOND
from streams.observability.metric_families import COUNTERS, GAUGES, Family, Row
from streams.observability.timings import BOUNDS_SECONDS, StageCounts
from streams.observability.trace_metrics import trace_metrics

if TYPE_CHECKING:
    from streams.cluster.durations import DurationCounts
    from streams.observability.metric_readings import PipelineReading, ProcessReading


class Metrics(Collector):
    """A collector over the books of all pipelines.

    Made to be registered in a ``CollectorRegistry``; it must be read on the event loop. ``now_ns``
    (monotonic) and ``wall_seconds`` (since 1970) date the last activity.
    """

    def __init__(
        self,
        pipelines: Callable[[], Iterable[PipelineReading]],
        process: ProcessReading,
        *,
        now_ns: Callable[[], int],
        wall_seconds: Callable[[], float],
        version: str,
    ) -> None:
        self._pipelines = pipelines
        self._process = process
        self._now_ns = now_ns
        self._wall_seconds = wall_seconds
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """Read everything, once."""
        pipelines = list(self._pipelines())
        for family in COUNTERS:
            yield _filled(CounterMetricFamily, family, pipelines)
        for family in (*GAUGES, self._last_activity()):
            yield _filled(GaugeMetricFamily, family, pipelines)
        yield _stages(pipelines)
        yield from self._of_process()

    def _last_activity(self) -> Family:
        def rows(one: PipelineReading) -> Iterator[Row]:
            heard_ns = one.subscription.statistics.last_activity_ns if one.subscription else 0
            if heard_ns:
                ago_seconds = (self._now_ns() - heard_ns) / NANOSECONDS_PER_SECOND
                yield [], self._wall_seconds() - ago_seconds

        name = "zenstreams_watch_last_activity_timestamp_seconds"
        return Family(name, "When the API server was last heard, bookmarks included.", rows)

    def _of_process(self) -> Iterator[Metric]:
        process = self._process
        requests = CounterMetricFamily(
            "zenstreams_sink_requests",
            "Requests to the API server, also of informers; code 0 where no answer came.",
            labels=["verb", "code"],
        )
        for (verb, code), count in process.requests().items():
            requests.add_metric([verb, str(code)], count)
        waited = CounterMetricFamily(
            "zenstreams_client_wait_seconds",
            "Seconds requests waited for the client's own limit (--qps, --write-qps).",
            labels=["bucket"],
        )
        for bucket, seconds in process.waited().items():
            waited.add_metric([bucket], seconds)
        build = GaugeMetricFamily("zenstreams_build_info", "Always 1.", labels=["version"])
        build.add_metric([self._version], 1)
        holds, letters = process.holds(), process.dead_letters()
        yield requests
        yield _durations(process.durations())
        yield waited
        yield GaugeMetricFamily("zenstreams_sink_holds", "Scopes whose writes wait.", value=holds)
        yield GaugeMetricFamily("zenstreams_dlq_items", "Faults kept in memory.", value=letters)
        yield build
        yield from trace_metrics(process.traces())


def _filled(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    family: Family,
    pipelines: Iterable[PipelineReading],
) -> Metric:
    metric = kind(family.name, family.text, labels=["source", "ingester", *family.labels])
    for one in pipelines:
        for labels, value in family.rows(one):
            metric.add_metric([one.source, one.ingester, *labels], value)
    return metric


def _stages(pipelines: Iterable[PipelineReading]) -> Metric:
    histogram = HistogramMetricFamily(
        "zenstreams_stage_duration_seconds",
        "How long events stayed in a stage.",
        labels=["source", "ingester", "stage"],
    )
    for one in pipelines:
        for name, stage in one.timings.stages.items():
            histogram.add_metric(
                [one.source, one.ingester, name],
                _cumulated(stage),
                stage.sum_ns / NANOSECONDS_PER_SECOND,
            )
    return histogram


def _cumulated(stage: StageCounts) -> list[tuple[str, float]]:
    bounds = (*map(str, BOUNDS_SECONDS), "+Inf")
    return list(zip(bounds, map(float, accumulate(stage.counts)), strict=True))


def _durations(durations: Mapping[str, DurationCounts]) -> Metric:
    histogram = HistogramMetricFamily(
        "zenstreams_sink_request_duration_seconds",
        "Seconds to the headers of an answer, without waits for the client's own limit.",
        labels=["verb"],
    )
    for verb, counts in durations.items():
        buckets = [
            ("+Inf" if bound == inf else str(bound), float(count))
            for bound, count in counts.buckets
        ]
        histogram.add_metric([verb], buckets, counts.sum_seconds)
    return histogram
