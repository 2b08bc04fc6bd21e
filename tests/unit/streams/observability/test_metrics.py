from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,  # pyright: ignore[reportUnknownVariableType]  untyped
)
from prometheus_client.parser import text_string_to_metric_families

from operators.flow.capacity import Room
from operators.flow.delivery import Ledger, Ticket
from operators.model.index import Index, Known
from operators.model.observation import Occurrence, Window
from operators.model.outcome import NEWER, SPILLED, Ending, Outcome
from operators.model.windows import Windows
from streams.cluster.durations import DurationCounts
from streams.observability.metric_families import REASON_CHARACTERS, REASONS_MOST
from streams.observability.metric_readings import ProcessReading
from streams.observability.metrics import Metrics
from streams.observability.timings import Timings
from streams.sources.informer.book import Book, Silence
from streams.sources.informer.condition import Statistics
from streams.sources.informer.notice import Origin

if TYPE_CHECKING:
    from streams.sources.informer.subscription import Subscription

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

SECOND_NS = 1_000_000_000
NOW_NS = 500 * SECOND_NS
NOW_SECONDS = 1_700_000_000.0


@dataclass
class Share:
    """A subscription as far as the metrics read it."""

    book: Book = field(default_factory=Book)
    statistics: Statistics = field(default_factory=Statistics)
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    condition: object = None
    handler_errors: int = 0
    known: int = 0
    dirty_count: int = 0


@dataclass
class Pipeline:
    source: str = "trivy"
    ingester: str = "ns/trivy"
    kind: str = "informer"
    timings: Timings = field(default_factory=Timings)
    ledger: Ledger = field(default_factory=Ledger)
    room: Room = field(default_factory=lambda: Room(1000, capacity_bytes=64))
    index: Index = field(default_factory=Index)
    windows: Windows = field(default_factory=Windows)
    share: Share | None = None

    @property
    def subscription(self) -> Subscription | None:
        return cast("Subscription | None", self.share)

    def end(self, outcome: Outcome, *, times: int = 1) -> None:
        for _ in range(times):
            Ticket(self.ledger, lambda: 0).settle(outcome)


def collector(*pipelines: Pipeline, process: ProcessReading | None = None) -> Metrics:
    return Metrics(
        lambda: pipelines,
        process or ProcessReading(dict, dict, dict, lambda: 0, lambda: 0),
        now_ns=lambda: NOW_NS,
        wall_seconds=lambda: NOW_SECONDS,
        version="1.2.3",
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


def test_a_source_that_two_ingesters_share_is_told_apart() -> None:
    one, other = Pipeline(), Pipeline(ingester="ns/other")
    one.end(NEWER)
    other.end(NEWER, times=2)

    samples = scrape(collector(one, other))

    assert samples[own("coalesced_total")] == 1
    assert samples[own("coalesced_total", ingester="ns/other")] == 2


def test_the_room_and_the_index() -> None:
    pipeline = Pipeline()
    pipeline.room.take(12)
    pipeline.room.take(30)
    pipeline.index.put("a", Known("", "", ""))

    samples = scrape(collector(pipeline))

    assert samples[own("buffer_items")] == 2
    assert samples[own("buffer_bytes")] == 42
    assert samples[own("buffer_capacity_bytes")] == 64
    assert samples[own("dedup_entries")] == 1


def test_the_windows_that_are_known_and_those_that_had_to_go() -> None:
    pipeline = Pipeline(windows=Windows(entries=1))
    start = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
    for key in "ab":
        window = Window(key, key, start, start + timedelta(seconds=60))
        pipeline.windows.commit(window, Occurrence("u", "1"), moment=start)

    samples = scrape(collector(pipeline))

    assert samples[own("dedup_entries")] == 1
    assert samples[own("dedup_evicted_total")] == 1


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


def test_a_stage_lasts_from_where_the_one_before_it_let_go() -> None:
    pipeline = Pipeline()
    times = iter([0, 1_000_000, 3_000_000, 3_000_000 + 200 * SECOND_NS])
    ticket = Ticket(pipeline.ledger, lambda: next(times))
    for stage in ("receive", "buffer", "write"):
        ticket.mark(stage)
    ticket.settle(NEWER)
    pipeline.timings.note(ticket)

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


def test_the_informer_and_the_readers_own_book() -> None:
    share = Share(known=9, dirty_count=4, handler_errors=1)
    share.synced.set()
    share.statistics.connects["listed"] += 2
    share.statistics.relists["expired"] += 1
    share.statistics.failures["forbidden"] += 3
    share.statistics.last_activity_ns = NOW_NS - 90 * SECOND_NS
    share.statistics.version = "12345"
    share.book.pass_over(Origin.LINE, Silence.BOOKMARK, count=6)
    share.book.pass_over(Origin.LIST, Silence.DUPLICATE, count=2)

    samples = scrape(collector(Pipeline(share=share)))

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
    read = {
        dict(labels)["what"]: value
        for (name, labels), value in samples.items()
        if name == "zenstreams_source_read_total"
    }
    assert read == {
        "lines": 6,
        "list_items": 2,
        "gets": 0,
        "synthetic_deletes": 0,
        "bookmarks": 6,
        "duplicates": 2,
        "server_errors": 0,
        "received": 0,
    }


def test_a_source_that_does_not_read_is_down_and_claims_nothing() -> None:
    samples = scrape(collector(Pipeline(), Pipeline(ingester="ns/b", share=Share(condition="x"))))

    assert samples[own("source_up")] == samples[own("source_up", ingester="ns/b")] == 0
    assert samples[own("source_synced")] == samples[own("source_synced", ingester="ns/b")] == 0
    assert own("cache_objects") not in samples
    assert own("watch_last_activity_timestamp_seconds", ingester="ns/b") not in samples
    assert own("watch_last_resource_version", ingester="ns/b") not in samples


def test_the_process() -> None:
    durations = DurationCounts()
    durations.add(0.02)
    durations.add(90.0)
    process = ProcessReading(
        lambda: {("apply", 200): 7, ("apply", 0): 1},
        lambda: {"apply": durations},
        lambda: {"read": 0.0, "write": 12.5},
        lambda: 2,
        lambda: 3,
    )

    samples = scrape(collector(process=process))

    assert samples[bare("sink_requests_total", verb="apply", code="200")] == 7
    assert samples[bare("sink_requests_total", verb="apply", code="0")] == 1
    assert samples[bare("sink_request_duration_seconds_bucket", verb="apply", le="0.005")] == 0
    assert samples[bare("sink_request_duration_seconds_bucket", verb="apply", le="0.025")] == 1
    assert samples[bare("sink_request_duration_seconds_bucket", verb="apply", le="+Inf")] == 2
    assert samples[bare("sink_request_duration_seconds_sum", verb="apply")] == 90.02
    assert samples[bare("client_wait_seconds_total", bucket="write")] == 12.5
    assert samples[bare("sink_holds")] == 2
    assert samples[bare("dlq_items")] == 3
    assert samples[bare("build_info", version="1.2.3")] == 1


def test_openmetrics_says_the_same() -> None:
    pipeline = Pipeline(share=Share(known=1))
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
        lambda: pipelines,
        ProcessReading(dict, dict, dict, lambda: 0, lambda: 0),
        now_ns=lambda: NOW_NS,
        wall_seconds=lambda: NOW_SECONDS,
        version="1",
    )
    assert own("events_in_flight") not in scrape(metrics)

    pipelines.append(Pipeline())

    assert scrape(metrics)[own("events_in_flight")] == 0
