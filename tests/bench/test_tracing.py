"""What tracing costs an event, and what a collector in trouble costs it: numbers, not verdicts.

The rounds of all variants are interleaved, so that a busy machine is busy for all of them; a figure is the median of
five rounds. CPU of the whole process, so the encoding counts, and the sending where something is sent.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import statistics
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from random import Random

import pytest
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, set_span_in_context

from operators.buffer import Buffer
from operators.flow.clock import utc_now_ns
from operators.flow.delivery import Admission, Ledger, Ticket
from operators.model.event import ObjectState, RawEvent
from operators.model.outcome import Ending, Outcome
from sinks.sink import Attempt
from streams.observability.otlp import encode_tree
from streams.observability.sampler import Sampling
from streams.observability.spans import SourceAttributes, SpanTree
from streams.observability.tracer import TracerInputs, Tracing
from tests.kit.doubles import ScriptedWriter
from tests.kit.exporting import exporting
from tests.kit.otlp import LoopbackCollector
from tests.kit.traced import LIFTED, TracedPipeline, event

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

EVENTS = 4000
ROUNDS = 5
CREATED = Outcome(Ending.STORED, operation="created")
DUPLICATE = Outcome(Ending.DEDUPLICATED, "unchanged", observation="maps-x", observation_uid="u")
ATTRIBUTES = SourceAttributes.of(
    "maps", kind="informer", ingester="n/i", when_full="spill", server=("127.0.0.1", 6443)
)
STAGES = ("receive", "buffer", "throttle", "classify", "filter", "describe", "deduplicate", "queue")
BEFORE_DEDUP = STAGES[:-2]

Round = Callable[[list[RawEvent]], None]
IsStored = Callable[[int], bool]
"""Whether an event, by its number, is stored; the others are duplicates."""


class Encoder:
    """Does all of an exporter's work but the sending."""

    def __init__(self) -> None:
        self.bytes = 0

    def offer(self, tree: SpanTree) -> None:
        self.bytes += len(encode_tree(tree))


def stored(_: int) -> bool:
    return True


def duplicate(_: int) -> bool:
    return False


def one_in_ten(number: int) -> bool:
    return number % 10 == 0


def walk(ticket: Ticket, *, is_stored: bool) -> None:
    """What a pipeline does to a ticket: ten spans where the event is stored, eight where it is a duplicate."""
    for stage in STAGES if is_stored else BEFORE_DEDUP:
        ticket.mark(stage)
    if not is_stored:
        ticket.end("deduplicate", DUPLICATE)
        return
    trace = ticket.trace
    if trace is not None:
        trace.observation = "n", "maps-x", "u"
        trace.attempts += 1
        trace.reserve()
        trace.correlation(len(ticket.marks))
    ticket.mark("write", Attempt("PATCH", 201))
    ticket.settle(CREATED)


def untraced(is_stored: IsStored) -> Round:
    def round_(events: list[RawEvent]) -> None:
        ledger, clock = Ledger(), time.monotonic_ns
        for number, _ in enumerate(events):
            walk(Ticket(ledger, clock, lambda _: None), is_stored=is_stored(number))

    return round_


def traced(is_stored: IsStored, *, ratio: float) -> Round:
    """The product's own tracer; what is stored is always kept, of the rest a share."""
    tracing = Tracing(
        TracerInputs(time.monotonic_ns, utc_now_ns, Random(1).getrandbits),
        exporter=Encoder(),
        spans_per_second=LIFTED,
    )
    tracer = tracing.source(ATTRIBUTES, Sampling(ratio, LIFTED))

    def round_(events: list[RawEvent]) -> None:
        ledger, clock, on_settle = Ledger(), time.monotonic_ns, tracer.end
        for number, one in enumerate(events):
            ticket = Ticket(ledger, clock, on_settle)
            ticket.trace = tracer.begin(Admission(one))
            walk(ticket, is_stored=is_stored(number))

    return round_


class Discard(SpanProcessor):
    """Takes ended spans and does nothing: without an exporter, the least a live span can cost."""

    def on_end(self, span: ReadableSpan) -> None:
        del span


def live(is_stored: IsStored) -> Round:
    """Much the same spans, made while the event is on its way, as tracing libraries do."""
    provider = TracerProvider()
    provider.add_span_processor(Discard())
    tracer = provider.get_tracer("bench")

    def round_(events: list[RawEvent]) -> None:
        for number, one in enumerate(events):
            root = tracer.start_span(
                "process maps", kind=SpanKind.CONSUMER, attributes=subject_of(one)
            )
            context = set_span_in_context(root)
            for stage in STAGES if is_stored(number) else (*BEFORE_DEDUP, "deduplicate"):
                tracer.start_span(stage, context=context).end()
            if is_stored(number):
                write = tracer.start_span("write", context=context, kind=SpanKind.CLIENT)
                write.set_attribute("http.request.method", "PATCH")
                write.set_attribute("http.response.status_code", 201)
                write.set_attribute("server.address", "127.0.0.1")
                write.end()
            root.set_attribute("zenstreams.outcome", "stored")
            root.end()

    return round_


def subject_of(one: RawEvent) -> dict[str, str]:
    subject, payload = one.subject, one.payload
    assert subject is not None
    assert isinstance(payload, ObjectState)
    return {
        "zenstreams.source": "maps",
        "zenstreams.event.type": payload.change.value,
        "zenstreams.object.gvr": "v1/configmaps",
        "zenstreams.object.namespace": subject.namespace,
        "zenstreams.object.name": subject.name,
        "zenstreams.object.uid": payload.uid,
    }


def cpu_us(round_: Round, events: list[RawEvent]) -> float:
    gc.collect()
    began_ns = time.process_time_ns()
    round_(events)
    return (time.process_time_ns() - began_ns) / 1000 / len(events)


def test_what_an_event_costs() -> None:
    variants: dict[str, tuple[Round, Round]] = {
        "100 % kept, stored, ten spans": (traced(stored, ratio=0), untraced(stored)),
        "100 % kept, duplicates, eight spans": (traced(duplicate, ratio=1), untraced(duplicate)),
        "10 % kept: one in ten stored": (traced(one_in_ten, ratio=0), untraced(one_in_ten)),
        "0 % kept: duplicates": (traced(duplicate, ratio=0), untraced(duplicate)),
        "live SDK spans, stored, not exported": (live(stored), untraced(stored)),
        "live SDK spans, duplicates, not exported": (live(duplicate), untraced(duplicate)),
    }
    events = [event(f"object-{number}", number) for number in range(EVENTS)]
    costs: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, (with_traces, without) in variants.items():
            costs[name].append(cpu_us(with_traces, events) - cpu_us(without, events))
    for name, measured in costs.items():
        spread = f"{min(measured):.2f}..{max(measured):.2f}"
        print(f"{name:45} {statistics.median(measured):8.2f} us/event  [{spread}]")


FAULTS = ("healthy", "down", "hangs", "503", "400")


def collector(fault: str, port_to: Connection) -> None:
    """A collector in a process of its own, so that its work is not counted."""

    async def serve() -> None:
        async with LoopbackCollector(keeps=False) as one:
            one.hangs = fault == "hangs"
            one.status = int(fault) if fault.isdigit() else 200
            port_to.send(one.endpoint)
            await asyncio.Event().wait()

    asyncio.run(serve())


@contextmanager
def collectors() -> Generator[dict[str, str]]:
    """Where a collector of each kind is."""
    context = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = []
    endpoints: dict[str, str] = {}
    try:
        for fault in FAULTS:
            ours, theirs = context.Pipe()
            process = context.Process(target=collector, args=(fault, theirs), daemon=True)
            process.start()
            processes.append(process)
            endpoints[fault] = ours.recv()
            if fault == "down":
                process.kill()
                process.join()
        yield endpoints
    finally:
        for process in processes:
            process.kill()


def test_what_a_collector_in_trouble_costs() -> None:
    """A pipeline that keeps every trace, and a second after it, in which what can be sent is sent."""
    with collectors() as endpoints:
        costs: dict[str, list[float]] = {fault: [] for fault in FAULTS}
        lost: dict[str, float] = {}
        for _ in range(ROUNDS):
            for fault in FAULTS:
                cost_us, lost[fault] = asyncio.run(sent_to(endpoints[fault]))
                costs[fault].append(cost_us)
    healthy = costs["healthy"]
    for fault, measured in costs.items():
        pairs = [one - other for one, other in zip(measured, healthy, strict=True)]
        print(
            f"{fault:10} {statistics.median(measured):8.2f} us/event,"
            f" {statistics.median(pairs):+7.2f} to the healthy one, {lost[fault]:4.0%} lost"
        )


async def sent_to(endpoint: str) -> tuple[float, float]:
    """The CPU an event takes, and the share of spans that were lost."""
    gc.collect()
    async with exporting(endpoint, sleep=asyncio.sleep) as exporter:
        pipeline = TracedPipeline(ScriptedWriter(), export=exporter, buffer=Buffer(capacity=EVENTS))
        began_ns = time.process_time_ns()
        pipeline.offer(*(event(f"object-{number}", number) for number in range(EVENTS)))
        await pipeline.drained()
        await exporter.close(deadline_seconds=1)
        took_us = (time.process_time_ns() - began_ns) / 1000 / EVENTS
        return took_us, exporter.lost.total() / pipeline.tracing.spans_built
