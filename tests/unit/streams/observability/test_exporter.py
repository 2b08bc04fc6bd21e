from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from streams.observability.exporter import ATTEMPTS, Backlog, OtlpExporter
from streams.observability.otlp import Envelope, ExportResult, ExportStatus, OtlpClient
from streams.observability.spans import Span, SpanKind, SpanTree
from tests.kit.exporting import exporting
from tests.kit.otlp import LoopbackCollector
from tests.kit.traced import at_once

PLANTED = "s3cr3t"


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def tree(trace_id: int = 1, spans: int = 3) -> SpanTree:
    made = [
        Span("s", SpanKind.INTERNAL, span_id, 0 if span_id == 1 else 1, 10, 20)
        for span_id in range(1, spans + 1)
    ]
    return SpanTree(trace_id, made)


def test_traces_arrive_whole_with_their_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=prod,k8s.pod.name=a%20b")

    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint) as exporter:
                for trace_id in range(1, 401):
                    exporter.offer(tree(trace_id))
            assert len(collector.traces) == 400
            assert exporter.exported == len(collector.spans) == 1200
            assert exporter.lost.total() == 0
            assert [len(it.spans) for it in collector.traces.values()] == [3] * 400
            resource = collector.resource
            assert resource["service.name"] == "zen-streams"
            assert resource["service.version"] == "1.2"
            assert resource["service.namespace"] == "prod"
            assert resource["k8s.pod.name"] == "a b"
            assert resource["service.instance.id"]
            assert collector.headers[0]["content-type"] == "application/x-protobuf"

    run(scene)


def test_the_name_of_the_service_is_the_users_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")

    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint) as exporter:
                exporter.offer(tree())
            assert collector.resource["service.name"] == "mine"

    run(scene)


def test_headers_and_compression_are_the_environments() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(
                collector.endpoint,
                OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{PLANTED}",
                OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
            ) as exporter:
                exporter.offer(tree())
            assert len(collector.spans) == 3
            assert collector.headers[0]["content-encoding"] == "gzip"
            assert collector.headers[0]["authorization"] == f"Bearer {PLANTED}"

    run(scene)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_request_to_an_overloaded_collector_is_retried(status: int) -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            collector.status = status
            async with exporting(collector.endpoint) as exporter:
                exporter.offer(tree())
                closing = asyncio.create_task(exporter.close(deadline_seconds=5))
                await collector.asked_for(2)
                collector.status = 200
                await closing
            assert exporter.exported == 3
            assert exporter.lost.total() == 0

    run(scene)


def test_retry_after_is_honoured_and_bounded() -> None:
    async def scene() -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            collector.status = 200
            await asyncio.sleep(0)

        async with LoopbackCollector() as collector:
            for asked, waited in (("7", 7.0), ("100000", 30.0), ("soon", 1.0)):
                collector.status, collector.retry_after = 503, asked
                async with exporting(collector.endpoint, sleep=sleep) as exporter:
                    exporter.offer(tree())
                assert slept.pop() == waited
                assert exporter.exported == 3

    run(scene)


@pytest.mark.parametrize(
    ("status", "asked"), [(400, 1), (401, 1), (404, 1), (413, 1), (500, 1), (503, ATTEMPTS)]
)
def test_what_is_rejected_for_good_is_counted_and_not_sent_for_ever(
    status: int, asked: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            collector.status = status
            async with exporting(
                collector.endpoint, OTEL_EXPORTER_OTLP_HEADERS=f"api-key={PLANTED}"
            ) as exporter:
                exporter.offer(tree())
            assert collector.asked == asked
            assert exporter.lost == {"rejected": 3, "shutdown": 0}
            assert exporter.exported == 0

    with caplog.at_level(logging.WARNING):
        run(scene)
    (record,) = caplog.records
    assert vars(record)["detail"] == str(status)
    assert PLANTED not in str(vars(record))


def test_a_collector_out_of_reach_is_a_timeout() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            pass
        async with exporting(collector.endpoint) as exporter:
            exporter.offer(tree())
        assert exporter.lost == {"timeout": 3, "shutdown": 0}

    run(scene)


def test_a_collector_that_hangs_is_given_up() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            collector.hangs = True
            async with exporting(collector.endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="20") as exporter:
                exporter.offer(tree())
                await exporter.close(deadline_seconds=5)
            assert collector.asked == ATTEMPTS
            assert exporter.lost == {"timeout": 3, "shutdown": 0}

    run(scene)


def test_a_partial_success_is_counted_in_part() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            collector.rejects = 2
            async with exporting(collector.endpoint) as exporter:
                exporter.offer(tree())
            assert (exporter.exported, exporter.lost["rejected"]) == (1, 2)

    run(scene)


def test_what_does_not_fit_is_refused_whole() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(collector.endpoint, backlog=Backlog(max_spans=10)) as exporter:
                for trace_id in range(1, 6):
                    exporter.offer(tree(trace_id))
                assert exporter.pending == 9
            assert exporter.lost["queue_full"] == 6
            assert [len(it.spans) for it in collector.traces.values()] == [3] * 3

    run(scene)


def test_what_is_left_at_the_deadline_is_lost_and_counted() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            collector.hangs = True
            async with exporting(collector.endpoint) as exporter:
                for trace_id in range(1, 401):
                    exporter.offer(tree(trace_id))
                await collector.asked_for(1)
                await exporter.close(deadline_seconds=0)
                exporter.offer(tree())
            assert exporter.pending == 0
            assert exporter.lost == {"shutdown": 1203}

    run(scene)


def test_a_header_that_cannot_be_sent_costs_the_spans_and_nothing_else() -> None:
    async def scene() -> None:
        async with LoopbackCollector() as collector:
            async with exporting(
                collector.endpoint, OTEL_EXPORTER_OTLP_HEADERS="a=b%0Ac"
            ) as exporter:
                exporter.offer(tree())
                exporter.offer(tree(2))
            assert exporter.lost["rejected"] == 6

    run(scene)


class HangingClient(OtlpClient):
    """Times out just when it is cancelled, and takes the one for the other, as a request may."""

    def __init__(self) -> None:
        self.address = "nowhere"
        self.asked = 0

    async def send(self, request: bytes) -> ExportResult:
        del request
        self.asked += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self.asked > 3:
                raise
        return ExportResult(ExportStatus.RETRYABLE, "TimeoutError", responded=False)

    async def close(self) -> None:
        pass


def test_a_cancellation_that_a_timeout_swallows_is_made_again() -> None:
    async def scene() -> None:
        client = HangingClient()
        envelope = Envelope({}, schema_url="", version="")
        exporter = OtlpExporter(
            client, envelope, clock=time.monotonic_ns, random=lambda: 0.5, sleep=at_once
        )
        exporter.start()
        exporter.offer(tree())
        await exporter.close(deadline_seconds=0)
        assert client.asked <= ATTEMPTS
        assert exporter.lost.total() == 3

    run(scene)
