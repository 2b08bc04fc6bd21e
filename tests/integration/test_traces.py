"""The acceptance checks of tracing, by their numbers: every trace of every run, as it came over the wire."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from operators.buffer import Buffer, WhenFull
from operators.flow.clock import utc_now
from operators.flow.delivery import Ticket
from operators.flow.histogram import StageTimings
from operators.flow.trace import Trace as Envelope
from operators.model.outcome import Ending
from operators.throttle import Throttle
from sinks.dead_letters import DeadLetters
from sinks.responses import WriteResponse
from sinks.stored import TRACE_ANNOTATION
from streams.observability.exporter import Backlog
from streams.observability.logs import JsonFormatter
from streams.observability.metrics import Metrics, PipelineStatus, ProcessStatus
from streams.sources.source import SourceStatus
from tests.kit.doubles import ScriptedWriter
from tests.kit.exporting import exporting
from tests.kit.mixed_events import Mix, MixedWriter
from tests.kit.otlp import LoopbackCollector, Trace, WireSpan
from tests.kit.shape import faults
from tests.kit.traced import UNWANTED, TracedPipeline, event, observation_of

EVENTS = 10_000
SOME = 1600
SECOND = 1_000_000_000


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def say(check: str, **values: object) -> None:
    """Print what a check saw."""
    print(check, *(f"{name}={value}" for name, value in values.items()))


@dataclass
class Run:
    """What a mixed run left behind."""

    mix: Mix
    writer: MixedWriter
    pipeline: TracedPipeline
    traces: dict[str, Trace] = field(default_factory=dict[str, Trace])
    exported: int = 0

    def wrong(self) -> Counter[str]:
        """What is not as it has to be, counted."""
        found: Counter[str] = Counter()
        roots = [span for trace in self.traces.values() for span in trace.roots]
        versions = Counter(version_of(root.attributes) for root in roots)
        found["events without a root"] = len(self.mix.expected.keys() - versions.keys())
        found["roots too many"] = len(roots) - len(versions)
        for trace in self.traces.values():
            if trace.roots:
                self._compare(trace, trace.roots[0], found=found)
        found["faults of shape"] = len(faults(self.traces.values()))
        return +found

    def _compare(self, trace: Trace, root: WireSpan, *, found: Counter[str]) -> None:
        version = version_of(root.attributes)
        if root.attributes["zenstreams.outcome"] != self.mix.expected[version]:
            found["wrong outcomes"] += 1
        name = observation_of(self.mix.objects[version])
        asked = {it.audit_id for it in self.writer.asked[name] if it is not None}
        for span in trace.children:
            if span.kind == "CLIENT" and span.attributes["k8s.audit_id"] not in asked:
                found["spans of another event"] += 1
            if span.parent_id != root.span_id:
                found["orphans"] += 1


def version_of(attributes: dict[str, Any]) -> int:
    return int(attributes["zenstreams.object.resource_version"])


async def mixed_run(events: int, **how: Any) -> Run:
    """Send a mix through the real pipeline, to a collector on the loopback."""
    mix = Mix(events, seed=7)
    writer = MixedWriter(mix, seed=8)
    buffer = Buffer(capacity=events)
    async with LoopbackCollector() as collector:
        roomy = Backlog(max_spans=1 << 40, max_bytes=1 << 40)
        async with exporting(collector.endpoint, backlog=roomy) as exporter:
            pipeline = TracedPipeline(writer, export=exporter, buffer=buffer, **how)
            for phase in mix.phases:
                pipeline.offer(*phase)
                await pipeline.drained()
        done = Run(mix, writer, pipeline, collector.traces, exporter.exported)
        assert exporter.lost.total() == 0
        return done


@pytest.fixture(scope="module")
def whole() -> Run:
    """10,000 events, every trace kept."""
    return asyncio.run(mixed_run(EVENTS))


@pytest.mark.timeout(120)
def test_t1_every_event_has_one_whole_trace_that_is_its_own(whole: Run) -> None:
    roots = sum(len(trace.roots) for trace in whole.traces.values())
    spans = sum(len(trace.spans) for trace in whole.traces.values())
    assert whole.writer.at_once_most == 64
    assert (roots, len(whole.traces), whole.wrong()) == (EVENTS, EVENTS, Counter())
    assert whole.pipeline.parts.ledger.received == EVENTS
    assert whole.pipeline.tracing.spans_built == whole.exported == spans
    say("T1", events=EVENTS, roots=roots, spans=spans, orphans=0, wrong_trace_spans=0)


@pytest.mark.timeout(120)
def test_t4_no_time_is_unexplained(whole: Run) -> None:
    assert faults(whole.traces.values()) == []
    late = [trace for trace in whole.traces.values() if trace.named("settle")]
    assert len(late) < EVENTS / 100  # the machine's own pauses, never a stay without a mark
    say("T4", traces=len(whole.traces), unexplained=0, with_a_pause_at_the_end=len(late))


CURRENT: ContextVar[Envelope | None] = ContextVar("CURRENT", default=None)


class AmbientTicket(Ticket):
    """A mutant: it takes its trace from where the code happens to run, as tracing libraries do."""

    __slots__ = ()

    @property
    def trace(self) -> Envelope | None:
        return CURRENT.get()

    @trace.setter
    def trace(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, value: Envelope | None
    ) -> None:
        if value is not None:
            CURRENT.set(value)


@pytest.mark.parametrize("how", ["plain", "throttled, dedup first"])
@pytest.mark.timeout(60)
def test_t1_and_t2_ambient_context_loses_and_mixes_up_events(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operators.flow.delivery.Ticket", AmbientTicket)

    async def scene() -> None:
        done = await mixed_run(SOME, **HOW[how])
        wrong = done.wrong()
        assert wrong["events without a root"]
        assert wrong["spans of another event"]
        say(f"T2 mutant, {how}", **wrong)

    run(scene)


HOW: dict[str, dict[str, Any]] = {
    "plain": {},
    "throttled, dedup first": {
        "throttle": Throttle(per_second=2000, burst=1),
        "dedup_first": True,
    },
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.timeout(60)
def test_t2_no_operator_moves_a_span_into_another_trace(how: str) -> None:
    async def scene() -> None:
        done = await mixed_run(SOME, **HOW[how])
        assert done.wrong() == Counter()
        say(f"T2 {how}", events=SOME, wrong_trace_spans=0)

    run(scene)


def status_of(pipeline: TracedPipeline) -> PipelineStatus:
    """What a scrape reads of the pipeline."""
    parts = pipeline.parts
    return PipelineStatus(
        source="maps",
        ingester="n/i",
        status=SourceStatus("informer", up=True, synced=True),
        ledger=parts.ledger,
        room=parts.room,
        timings=StageTimings(),
        state_entries=len(parts.state),
        state_evicted=parts.state.evicted,
    )


def metrics_of(pipeline: TracedPipeline) -> bytes:
    registry = CollectorRegistry()
    registry.register(
        Metrics(
            lambda: [status_of(pipeline)],
            lambda: ProcessStatus("0"),
            now_ns=time.monotonic_ns,
            wall_seconds=lambda: 0.0,
        )
    )
    return generate_latest(registry)


def outcomes_in_metrics(pipeline: TracedPipeline) -> Counter[str]:
    counted: Counter[str] = Counter()
    for family in text_string_to_metric_families(metrics_of(pipeline).decode()):
        for sample in family.samples:
            if sample.name == "zenstreams_events_outcome_total":
                counted[sample.labels["outcome"]] += int(sample.value)
    return counted


@pytest.mark.timeout(120)
def test_t3_traces_metrics_and_the_generator_agree(whole: Run) -> None:
    in_traces = Counter(trace.outcome for trace in whole.traces.values())
    assert in_traces == whole.mix.outcomes == outcomes_in_metrics(whole.pipeline)
    assert in_traces.total() == EVENTS
    say("T3", **in_traces)


class Hands:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.timers: list[tuple[float, Callable[[], object]]] = []

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Any:
        self.timers.append((seconds, callback))
        return None

    def move(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)


def test_t5_a_wait_is_a_span_as_long_as_the_wait() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            hands, writer = Hands(), ScriptedWriter()
            async with exporting(collector.endpoint) as exporter:
                held = TracedPipeline(
                    writer,
                    export=exporter,
                    clock=lambda: hands.now_ns,
                    buffer=Buffer(in_flight=1),
                )
                writer.gate = asyncio.Event()
                held.offer(event("a"), event("held", 2))
                hands.move(5)
                writer.gate.set()
                await held.drained()
                throttled = TracedPipeline(
                    writer,
                    export=exporter,
                    clock=lambda: hands.now_ns,
                    throttle=Throttle(per_second=0.5),
                    call_later=hands.call_later,
                    seed=2,
                )
                throttled.offer(event("b"), event("throttled", 3))
                seconds, release = hands.timers.pop()
                hands.move(seconds)
                release()
                await throttled.drained()
            by_name = {
                it.root.attributes["zenstreams.object.name"]: it for it in collector.traces.values()
            }
            buffer = by_name["held"].named("buffer")[0].seconds
            throttle = by_name["throttled"].named("throttle")[0].seconds
            assert buffer >= 4.9
            assert throttle >= 1.9
            say("T5", buffer_s=buffer, throttle_s=throttle)

    run(scene)


@pytest.mark.timeout(120)
def test_t6_filtered_names_the_rule_as_it_was_written(whole: Run) -> None:
    filtered = [it for it in whole.traces.values() if it.outcome == "filtered"]
    rules = Counter(str(it.root.attributes["zenstreams.filter.rule"]) for it in filtered)
    assert rules == {f"excludeNamespaces {UNWANTED}": 1000, "nothing to resolve": 300}
    assert not any(it.root.is_error for it in filtered)
    say("T6", **{rule.replace(" ", "_"): count for rule, count in rules.items()})


@pytest.mark.timeout(120)
def test_t7_a_duplicate_links_to_a_trace_that_is_there(whole: Run) -> None:
    duplicates = [it for it in whole.traces.values() if it.outcome == "deduplicated"]
    for duplicate in duplicates:
        ((trace_id, span_id),) = duplicate.root.links
        first = whole.traces[trace_id].root
        assert first.span_id == span_id
        key = "zenstreams.observation.uid"
        assert duplicate.root.attributes[key] == first.attributes[key] != ""
    assert len(duplicates) == 2500
    say("T7", duplicates=len(duplicates), links_to_a_trace_that_is_there=len(duplicates))


@pytest.mark.parametrize("policy", [WhenFull.BLOCK, WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST])
def test_t8_a_flood_of_drops_stays_under_the_budget_and_is_counted(policy: WhenFull) -> None:
    async def scene() -> None:
        hands, writer = Hands(), ScriptedWriter()
        writer.gate = asyncio.Event()
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint) as exporter:
                pipeline = TracedPipeline(
                    writer,
                    export=exporter,
                    clock=lambda: hands.now_ns,
                    buffer=Buffer(capacity=10, in_flight=1, when_full=policy),
                    spans_per_second=300,
                )
                for version in range(10_000):
                    pipeline.offer(event(f"drop-{version}", version))
                    hands.now_ns += SECOND // 10_000
                dropped = pipeline.parts.ledger.endings
                await pipeline.stop()
            kept = [it for it in collector.traces.values() if it.outcome == "dropped"]
            spans = sum(len(it.spans) for it in kept)
            suppressed = pipeline.tracing.suppressed["dropped"]
            total = sum(count for (ending, _), count in dropped.items() if ending == "dropped")
            assert len(kept) + suppressed == total
            assert 300 <= spans <= 300 * (1 + 1)
            for trace in kept:
                (buffer,) = trace.named("buffer")
                assert trace.root.is_error
                assert trace.root.attributes["error.type"] == "overflow"
                assert buffer.attributes["zenstreams.buffer.policy"] == policy.value
            say(f"T8 {policy}", dropped=total, kept=len(kept), spans=spans, suppressed=suppressed)

    run(scene)


def test_t10_what_the_server_refuses_for_good_is_a_dead_letter() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint) as exporter:
                writer = ScriptedWriter(WriteResponse(422, reason="Invalid", message="spec"))
                pipeline = TracedPipeline(writer, export=exporter)
                pipeline.offer(event("a"))
                await pipeline.drained()
            (trace,) = collector.traces.values()
            (letter,) = trace.named("dead letter")
            assert (letter.kind, trace.root.is_error) == ("PRODUCER", True)
            assert trace.root.attributes["error.type"] == "422"
            say("T10", outcome=trace.outcome, error_type="422")

    run(scene)


TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-(0[01])")


@pytest.mark.timeout(120)
def test_t14_every_request_carries_its_span_and_its_audit_id(whole: Run) -> None:
    requests = [it for asked in whole.writer.asked.values() for it in asked]
    spans = {
        f"{span.trace_id}-{span.span_id}"
        for trace in whole.traces.values()
        for span in trace.children
        if span.kind == "CLIENT"
    }
    seen: set[str] = set()
    for request in requests:
        assert request is not None
        found = TRACEPARENT.fullmatch(request.traceparent)
        assert found is not None
        assert request.audit_id == f"{found[1]}-{found[2]}"
        assert found[3] == "01"
        seen.add(request.audit_id)
    assert len(seen) == len(requests)
    assert seen == spans
    say("T14", requests=len(requests), distinct=len(seen), spans=len(spans))


def annotation_of(body: bytes) -> str:
    metadata = msgspec.json.decode(body)["metadata"]
    return metadata.get("annotations", {}).get(TRACE_ANNOTATION, "")


def test_t15_the_trace_an_observation_names_is_kept_at_any_ratio() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint) as exporter:
                writer = ScriptedWriter(*[WriteResponse(201, b'{"metadata":{"uid":"u"}}')] * 1000)
                pipeline = TracedPipeline(writer, export=exporter, ratio=0.01, buffer=Buffer())
                pipeline.offer(*(event(f"a-{it}", it) for it in range(1000)))
                await pipeline.drained()
            roots = {(trace_id, it.root.span_id) for trace_id, it in collector.traces.items()}
            named = [TRACEPARENT.fullmatch(annotation_of(body)) for body in writer.bodies]
            there = [it for it in named if it is not None and (it[1], it[2]) in roots]
            assert len(there) == len(writer.bodies) == 1000
            say("T15", observations=1000, whose_trace_is_there=len(there))

    run(scene)


def test_t15_a_trace_that_the_budget_refused_is_not_named() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint) as exporter:
                writer = ScriptedWriter(*[WriteResponse(201, b'{"metadata":{"uid":"u"}}')] * 1000)
                hands = Hands()
                pipeline = TracedPipeline(
                    writer, export=exporter, spans_per_second=500, clock=lambda: hands.now_ns
                )
                pipeline.offer(*(event(f"a-{it}", it) for it in range(1000)))
                await pipeline.drained()
            roots = set(collector.traces)
            found = [TRACEPARENT.fullmatch(annotation_of(body)) for body in writer.bodies]
            named = {it[1] for it in found if it is not None}
            flags = Counter(it.traceparent[-2:] for it in writer.correlations if it is not None)
            assert named == roots
            assert flags == {"01": len(named), "00": 1000 - len(named)}
            assert pipeline.tracing.suppressed == {"stored": 1000 - len(named)}
            say("T15 at 500 spans/s", named=len(named), kept=len(roots), refused=1000 - len(named))

    run(scene)


@pytest.mark.timeout(120)
def test_t16_what_matters_is_kept_whole_at_a_ratio_of_one_in_a_hundred() -> None:
    async def scene() -> None:
        ratio = 0.01
        done = await mixed_run(EVENTS // 2, ratio=ratio, clock=lambda: 0)
        kept = Counter(trace.outcome for trace in done.traces.values())
        all_of = done.mix.outcomes
        for outcome in ("stored", "dead_lettered"):
            assert kept[outcome] == all_of[outcome]
        rest = ["filtered", "deduplicated", "coalesced"]
        n, k = sum(all_of[it] for it in rest), sum(kept[it] for it in rest)
        three_sigma = 3 * (n * ratio * (1 - ratio)) ** 0.5
        assert abs(k - n * ratio) <= three_sigma
        assert faults(done.traces.values()) == []
        states = Counter(
            root.tracestate
            for trace in done.traces.values()
            for root in trace.roots
            if trace.outcome in rest
        )
        assert set(states) == {"ot=th:fd70a3d70a3d7"}
        say(
            "T16",
            of=n,
            kept=k,
            expected=f"{n * ratio:.0f}+-{three_sigma:.0f}",
            always=len(done.traces) - k,
        )

    run(scene)


@pytest.mark.parametrize("fault", ["503", "hangs", "down"])
def test_t18_a_collector_that_accepts_nothing_delays_no_event(fault: str) -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            collector.status, collector.hangs = (503 if fault == "503" else 200), fault == "hangs"
            if fault == "down":
                await collector.stop()
            async with exporting(collector.endpoint, sleep=asyncio.sleep) as exporter:
                pipeline = TracedPipeline(ScriptedWriter(), export=exporter)
                pipeline.offer(*(event(f"a-{it}", it) for it in range(300)))
                await pipeline.drained()
                began_ns = time.monotonic_ns()
                await exporter.close(deadline_seconds=0.5)
                took = (time.monotonic_ns() - began_ns) / SECOND
            assert pipeline.parts.ledger.ended(Ending.STORED) == 300
            assert exporter.exported == exporter.pending == 0
            assert exporter.lost.total() == pipeline.tracing.spans_built
            say(f"T18 {fault}", flush_s=round(took, 2), lost=dict(exporter.lost))

    run(scene)


TOKEN = "ghp_" + "Zq8" * 12
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl"
KEY = "AKIAIOSFODNN7EXAMPLE"


def test_t20_no_secret_leaves(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        letters = DeadLetters(now=utc_now)
        async with LoopbackCollector() as collector:
            writer = ScriptedWriter(
                WriteResponse(201, b'{"metadata":{"uid":"u"}}'),
                WriteResponse(500, message=f"upstream said {TOKEN}"),
                WriteResponse(422, reason="Invalid", message=f"spec.token: Invalid value: {JWT}"),
            )
            async with exporting(collector.endpoint) as exporter:
                pipeline = TracedPipeline(writer, export=exporter)
                annotations = {"x/authorization": f"Bearer {JWT}"}
                planted: dict[str, object] = {
                    "metadata": {"name": "b", "annotations": annotations},
                    "password": TOKEN,
                    "data": {"api_key": KEY, "note": f"use {TOKEN}"},
                }
                for version, raw in enumerate(
                    (msgspec.json.encode(planted), b"{}", f'{{"{TOKEN}'.encode())
                ):
                    pipeline.offer(event(f"a-{version}", version, raw=raw))
                    await pipeline.drained()
                setattr(pipeline.parts.state, "_stored", Raising())  # noqa: B010
                pipeline.offer(event("a", 4))
            for ticket in pipeline.ended:
                letters.record("n/i", ticket)
            logged = "".join(JsonFormatter().format(record) for record in caplog.records)
            seen = {
                "spans": b"".join(collector.requests),
                "observations": b"".join(writer.bodies),
                "metrics": metrics_of(pipeline),
                "logs": logged.encode(),
                "dead letters": repr(letters.letters).encode(),
            }
            outcomes = Counter(trace.outcome for trace in collector.traces.values())
            assert outcomes == {"stored": 1, "dead_lettered": 2, "failed": 1}
            assert len(letters.letters) == 3
            assert sum("***" in trace.root.message for trace in collector.traces.values()) == 2
            for place, text in seen.items():
                hits = [it for it in (TOKEN, JWT, KEY) if it.encode() in text]
                assert (place, hits) == (place, [])
                say(f"T20 {place}", bytes=len(text), hits=len(hits))

    run(scene)


class Raising(dict[str, object]):
    """A defect whose text holds a token."""

    def get(self, *_: object) -> object:
        raise RuntimeError(f"cannot read {TOKEN}")
