from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,  # pyright: ignore[reportUnknownVariableType]  untyped
)
from prometheus_client.parser import text_string_to_metric_families

from operators.flow.capacity import Room
from operators.flow.delivery import Ledger, Ticket
from operators.flow.histogram import Histogram, StageTimings
from operators.model.outcome import NEWER, SPILLED, Ending, Outcome
from streams.observability.metrics import (
    REASON_CHARACTERS,
    REASONS_MOST,
    Metrics,
    PipelineStatus,
    ProcessStatus,
    TraceCounts,
)
from streams.observability.tracer import LossReason
from streams.sources.source import SourceStatus

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

SECOND_NS = 1_000_000_000
NOW_NS = 500 * SECOND_NS
NOW_SECONDS = 1_700_000_000.0


def reading(**status: Any) -> SourceStatus:
    """An informer that reads, but for what is given."""
    return SourceStatus("informer", up=True, synced=True, **status)


@dataclass
class Pipeline:
    """What a pipeline and its source report, to be changed by a test."""

    ingester: str = "ns/trivy"
    status: SourceStatus = field(default_factory=reading)
    timings: StageTimings = field(default_factory=StageTimings)
    ledger: Ledger = field(default_factory=Ledger)
    room: Room = field(default_factory=lambda: Room(1000, capacity_bytes=64))
    state_entries: int = 0
    state_evicted: int = 0

    def end(self, outcome: Outcome, *, times: int = 1) -> None:
        for _ in range(times):
            Ticket(self.ledger, lambda: 0).settle(outcome)

    def read(self) -> PipelineStatus:
        return PipelineStatus(
            source="trivy",
            ingester=self.ingester,
            status=self.status,
            ledger=self.ledger,
            room=self.room,
            timings=self.timings,
            state_entries=self.state_entries,
            state_evicted=self.state_evicted,
        )


def collector(*pipelines: Pipeline, process: ProcessStatus | None = None) -> Metrics:
    return Metrics(
        lambda: [it.read() for it in pipelines],
        lambda: process or ProcessStatus("1.2.3"),
        now_ns=lambda: NOW_NS,
        wall_seconds=lambda: NOW_SECONDS,
    )


def scrape(metrics: Metrics) -> Samples:
    """What Prometheus would read; no series stands there twice."""
    registry = CollectorRegistry()
    registry.register(metrics)
    text = generate_latest(registry).decode()
    samples = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]
    assert len(dict(samples)) == len(samples)
    return dict(samples)


def own(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    both = {"source": "trivy", "ingester": "ns/trivy", **labels}
    return f"zenstreams_{name}", frozenset(both.items())


def bare(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"zenstreams_{name}", frozenset(labels.items())


def named(samples: Samples, name: str) -> dict[str, float]:
    """The outcomes of one scrape by reason."""
    found: dict[str, float] = {}
    for (sample, labels), value in samples.items():
        if sample == name:
            found[dict(labels)["reason"]] = value
    return found


def test_the_exposition_is_the_ledger() -> None:
    pipeline = Pipeline()
    pipeline.end(Outcome(Ending.STORED, operation="created"), times=3)
    pipeline.end(Outcome(Ending.FILTERED, "expired"))
    pipeline.end(Outcome(Ending.DEDUPLICATED), times=5)
    pipeline.end(SPILLED, times=2)
    pipeline.end(NEWER)
    open_tickets = [Ticket(pipeline.ledger, lambda: 0) for _ in range(4)]

    samples = scrape(collector(pipeline))

    assert samples[own("events_received_total", kind="informer")] == 16
    assert samples[own("events_in_flight")] == len(open_tickets)
    ended = {
        (dict(labels)["outcome"], dict(labels)["reason"]): value
        for (name, labels), value in samples.items()
        if name == "zenstreams_events_outcome_total"
    }
    assert ended == {
        ("stored", ""): 3,
        ("filtered", "expired"): 1,
        ("deduplicated", ""): 5,
        ("coalesced", "spilled"): 2,
        ("coalesced", "newer"): 1,
    }
    assert samples[own("coalesced_total")] == 3
    assert samples[own("dedup_hits_total")] == 5
    assert 16 - 4 - sum(ended.values()) == 0
    for ticket in open_tickets:
        ticket.settle(NEWER)


def test_two_ingesters_of_one_source_have_series_of_their_own() -> None:
    one, other = Pipeline(), Pipeline(ingester="ns/other")
    one.end(NEWER)
    other.end(NEWER, times=2)

    samples = scrape(collector(one, other))

    assert samples[own("coalesced_total")] == 1
    assert samples[own("coalesced_total", ingester="ns/other")] == 2


def test_the_room_and_the_state() -> None:
    pipeline = Pipeline(state_entries=7, state_evicted=2)
    pipeline.room.take(12)
    pipeline.room.take(30)

    samples = scrape(collector(pipeline))

    assert samples[own("buffer_items")] == 2
    assert samples[own("buffer_bytes")] == 42
    assert samples[own("buffer_capacity_bytes")] == 64
    assert samples[own("state_entries")] == 7
    assert samples[own("state_evicted_total")] == 2


def test_reasons_are_bounded_and_no_count_is_lost_or_moves() -> None:
    pipeline = Pipeline()
    for number in range(REASONS_MOST + 7):
        pipeline.end(Outcome(Ending.FILTERED, f"rule {number}"))
    before = named(scrape(collector(pipeline)), "zenstreams_events_outcome_total")

    pipeline.end(Outcome(Ending.STORED))
    pipeline.end(Outcome(Ending.FILTERED, "rule 3"))
    pipeline.end(Outcome(Ending.FILTERED, "another rule"))
    after = named(scrape(collector(pipeline)), "zenstreams_events_outcome_total")

    assert len(before) == REASONS_MOST + 1
    assert before["other"] == 7
    assert after == {**before, "": 1, "rule 3": 2, "other": 8}


def test_reasons_that_are_clipped_alike_are_one() -> None:
    pipeline = Pipeline()
    pipeline.end(Outcome(Ending.FILTERED, "r" * REASON_CHARACTERS + "a"))
    pipeline.end(Outcome(Ending.FILTERED, "r" * REASON_CHARACTERS + "b"))

    reasons = named(scrape(collector(pipeline)), "zenstreams_events_outcome_total")

    assert reasons == {"r" * REASON_CHARACTERS: 2}


def test_a_stage_lasts_from_the_end_of_the_one_before_it() -> None:
    pipeline = Pipeline()
    times = iter([0, 1_000_000, 3_000_000, 3_000_000 + 200 * SECOND_NS])
    ticket = Ticket(pipeline.ledger, lambda: next(times))
    for stage in ("receive", "buffer", "write"):
        ticket.mark(stage)
    ticket.settle(NEWER)
    pipeline.timings.observe(ticket)

    samples = scrape(collector(pipeline))

    def buckets(stage: str) -> list[float]:
        bounds = ("0.001", "0.005", "0.025", "0.1", "0.5", "1.0", "5.0", "30.0", "120.0", "+Inf")
        return [samples[own("stage_duration_seconds_bucket", stage=stage, le=le)] for le in bounds]

    assert buckets("receive") == [1] * 10
    assert buckets("buffer") == [0] + [1] * 9
    assert buckets("write") == [0] * 9 + [1]
    assert samples[own("stage_duration_seconds_sum", stage="receive")] == 0.001
    assert samples[own("stage_duration_seconds_sum", stage="buffer")] == 0.002
    assert samples[own("stage_duration_seconds_sum", stage="write")] == 200
    assert samples[own("stage_duration_seconds_count", stage="write")] == 1


def test_the_source() -> None:
    read = {"lines": 6, "list_items": 2, "bookmarks": 6, "duplicates": 2, "received": 0}
    status = reading(
        known_objects=9,
        dirty_objects=4,
        handler_errors=1,
        last_activity_ns=NOW_NS - 90 * SECOND_NS,
        resource_version="12345",
        counters={
            "read": read,
            "connects": {"listed": 2},
            "relists": {"expired": 1},
            "failures": {"forbidden": 3},
        },
    )

    samples = scrape(collector(Pipeline(status=status)))

    assert samples[own("source_up")] == 1
    assert samples[own("source_synced")] == 1
    assert samples[own("cache_objects")] == 9
    assert samples[own("source_dirty_objects")] == 4
    assert samples[own("source_handler_errors_total")] == 1
    assert samples[own("watch_connects_total", reason="listed")] == 2
    assert samples[own("watch_relists_total", reason="expired")] == 1
    assert samples[own("watch_failures_total", reason="forbidden")] == 3
    assert samples[own("watch_last_activity_timestamp_seconds")] == NOW_SECONDS - 90
    assert samples[own("watch_last_resource_version")] == 12345
    assert read == {
        dict(labels)["what"]: value
        for (name, labels), value in samples.items()
        if name == "zenstreams_source_read_total"
    }


def test_a_source_that_does_not_read_is_down_and_claims_nothing() -> None:
    failing = SourceStatus("informer", up=False, synced=False, reason="Forbidden", message="x")
    samples = scrape(collector(Pipeline(status=failing)))

    assert samples[own("source_up")] == 0
    assert samples[own("source_synced")] == 0
    assert own("cache_objects") not in samples
    assert own("watch_last_activity_timestamp_seconds") not in samples
    assert own("watch_last_resource_version") not in samples


def test_a_resource_version_that_is_no_number_is_not_exported() -> None:
    samples = scrape(collector(Pipeline(status=reading(resource_version="abc"))))

    assert own("watch_last_resource_version") not in samples


def test_the_process() -> None:
    durations = Histogram((0.005, 0.025, 60.0))
    durations.observe(0.02)
    durations.observe(90.0)
    process = ProcessStatus(
        "1.2.3",
        requests={("apply", 200): 7, ("apply", 0): 1},
        durations={"apply": durations},
        waited_seconds={"read": 0.0, "write": 12.5},
        suspensions=2,
        dead_letters=3,
    )

    samples = scrape(collector(process=process))

    assert samples[bare("apiserver_requests_total", verb="apply", code="200")] == 7
    assert samples[bare("apiserver_requests_total", verb="apply", code="0")] == 1
    duration = "apiserver_request_duration_seconds"
    assert samples[bare(f"{duration}_bucket", verb="apply", le="0.005")] == 0
    assert samples[bare(f"{duration}_bucket", verb="apply", le="0.025")] == 1
    assert samples[bare(f"{duration}_bucket", verb="apply", le="+Inf")] == 2
    assert samples[bare(f"{duration}_sum", verb="apply")] == 90.02
    assert samples[bare("client_wait_seconds_total", bucket="write")] == 12.5
    assert samples[bare("sink_suspensions")] == 2
    assert samples[bare("dlq_items")] == 3
    assert samples[bare("build_info", version="1.2.3")] == 1


def test_the_traces() -> None:
    counts = TraceCounts(
        built=9, exported=4, lost={LossReason.TIMEOUT: 5}, suppressed={"stored": 2}
    )

    samples = scrape(collector(process=ProcessStatus("1", traces=counts)))

    assert samples[bare("spans_built_total")] == 9
    assert samples[bare("spans_exported_total")] == 4
    assert samples[bare("traces_suppressed_total", **{"class": "stored"})] == 2
    assert named(samples, "zenstreams_spans_lost_total") == {
        "queue_full": 0,
        "rejected": 0,
        "timeout": 5,
        "shutdown": 0,
    }


def test_openmetrics_has_the_same_samples() -> None:
    pipeline = Pipeline(status=reading(known_objects=1, last_activity_ns=1))
    pipeline.end(NEWER)
    registry = CollectorRegistry()
    registry.register(collector(pipeline))

    encode, _ = choose_encoder("application/openmetrics-text; version=1.0.0")
    text = encode(registry).decode()
    assert text.endswith("# EOF\n")

    strict = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in openmetrics_families(text)
        for sample in family.samples
    }
    assert strict == scrape(collector(pipeline))


def test_a_later_pipeline_is_read_by_the_next_scrape() -> None:
    pipelines: list[Pipeline] = []
    metrics = Metrics(
        lambda: [it.read() for it in pipelines],
        lambda: ProcessStatus("1"),
        now_ns=lambda: NOW_NS,
        wall_seconds=lambda: NOW_SECONDS,
    )
    assert own("events_in_flight") not in scrape(metrics)

    pipelines.append(Pipeline())

    assert scrape(metrics)[own("events_in_flight")] == 0
