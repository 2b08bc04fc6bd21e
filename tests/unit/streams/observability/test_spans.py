"""One shape for each way in which an event can end, from the real pipeline on a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from operators.buffer import Buffer, WhenFull
from operators.throttle import Throttle, WhenOver
from sinks.responses import WriteResponse
from streams.observability.otlp import encode_tree
from tests.kit.doubles import OK, UNANSWERED, ScriptedWriter
from tests.kit.otlp import Trace, decoded_spans, traces_of
from tests.kit.shape import faults
from tests.kit.traced import UNWANTED, Kept, TracedPipeline, event, observation_of, removal

SECOND = 1_000_000_000
WALL_NS = 1_790_000_000 * SECOND
MADE = WriteResponse(201, b'{"metadata":{"uid":"uid-of-it"}}')


class World:
    """A pipeline on a clock that only sleeping moves, and the traces it kept."""

    def __init__(self, *responses: WriteResponse, **how: Any) -> None:
        self.now_ns = 5 * SECOND
        self.writer = ScriptedWriter(*responses)
        self.kept = Kept()
        self.pipeline = TracedPipeline(
            self.writer,
            export=self.kept,
            clock=lambda: self.now_ns,
            wall_ns=lambda: WALL_NS,
            sleep=self.sleep,
            **how,
        )

    async def sleep(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)
        await asyncio.sleep(0)

    def pass_seconds(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)

    @property
    def traces(self) -> list[Trace]:
        """The kept traces in the order in which the events ended, as they are on the wire."""
        spans = [span for tree in self.kept.trees for span in decoded_spans(encode_tree(tree))]
        traces = list(traces_of(spans).values())
        assert faults(traces) == []
        # Nothing takes time here that is not a stay or a wait, so none may be left unexplained.
        assert not any(trace.named("settle") for trace in traces)
        return traces


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(scene())


def names(trace: Trace) -> list[str]:
    return [span.name for span in trace.children]


STEPS = ["receive", "buffer", "classify", "filter", "describe", "deduplicate", "queue"]


def test_a_stored_event_names_its_observation_and_its_request() -> None:
    async def scene() -> None:
        world = World(MADE)
        world.pipeline.offer(event("a", 7))
        await world.pipeline.drained()

        (trace,) = world.traces
        root = trace.root
        assert names(trace) == [*STEPS, "write Observation"]
        assert (root.name, root.kind, root.is_error) == ("process maps", "CONSUMER", False)
        assert root.attributes == {
            "zenstreams.source": "maps",
            "zenstreams.source.kind": "informer",
            "zenstreams.ingester": "n/i",
            "zenstreams.event.type": "MODIFIED",
            "zenstreams.object.gvr": "v1/configmaps",
            "zenstreams.object.namespace": "n",
            "zenstreams.object.name": "a",
            "zenstreams.object.uid": "uid-a",
            "zenstreams.object.resource_version": "7",
            "zenstreams.outcome": "stored",
            "zenstreams.observation.namespace": "n",
            "zenstreams.observation.name": observation_of("a"),
            "zenstreams.observation.uid": "uid-of-it",
            "zenstreams.observation.operation": "created",
            "zenstreams.sink.attempts": 1,
        }
        (write,) = trace.named("write Observation")
        assert write.kind == "CLIENT"
        assert write.attributes == {
            "http.request.method": "PATCH",
            "http.response.status_code": 201,
            "server.address": "127.0.0.1",
            "server.port": 6443,
            "k8s.audit_id": f"{write.trace_id}-{write.span_id}",
            "zenstreams.sink.attempt": 1,
        }
        assert trace.named("filter")[0].attributes == {"zenstreams.filter.verdict": "pass"}
        assert trace.named("deduplicate")[0].attributes == {"zenstreams.dedup.verdict": "new"}
        (receive,) = trace.named("receive")
        assert receive.attributes == {"zenstreams.payload.size": len(event("a").raw)}
        assert root.start_ns == WALL_NS

    run(scene)


def test_a_duplicate_links_to_the_event_that_created_its_observation() -> None:
    async def scene() -> None:
        world = World(MADE)
        for version in (1, 2):
            world.pipeline.offer(event("a", version))
            await world.pipeline.drained()

        first, duplicate = world.traces
        assert duplicate.outcome == "deduplicated"
        assert duplicate.root.links == ((first.root.trace_id, first.root.span_id),)
        for key in ("zenstreams.observation.uid", "zenstreams.observation.name"):
            assert duplicate.root.attributes[key] == first.root.attributes[key]
        (dedup,) = duplicate.named("deduplicate")
        assert dedup.attributes == {
            "zenstreams.dedup.verdict": "duplicate",
            "zenstreams.dedup.reason": "unchanged",
        }
        assert not duplicate.root.is_error

    run(scene)


def test_a_filtered_event_names_its_rule_and_is_no_error() -> None:
    async def scene() -> None:
        world = World()
        world.pipeline.offer(event("a", namespace=UNWANTED))

        (trace,) = world.traces
        rule = f"excludeNamespaces {UNWANTED}"
        assert trace.outcome == "filtered"
        assert trace.root.attributes["zenstreams.filter.rule"] == rule
        assert trace.named("filter")[0].attributes == {
            "zenstreams.filter.verdict": "reject",
            "zenstreams.filter.rule": rule,
        }
        assert not trace.root.is_error

    run(scene)


@pytest.mark.parametrize("policy", [WhenFull.DROP_NEWEST, WhenFull.DROP_OLDEST, WhenFull.BLOCK])
def test_a_dropped_event_has_its_wait_and_its_policy(policy: WhenFull) -> None:
    async def scene() -> None:
        world = World(buffer=Buffer(capacity=2, in_flight=1, when_full=policy))
        world.writer.gate = asyncio.Event()
        world.pipeline.offer(event("a"), event("b"))
        world.pass_seconds(3)
        world.pipeline.offer(event("c"))
        world.writer.gate.set()
        await world.pipeline.drained()

        dropped = [trace for trace in world.traces if trace.outcome == "dropped"]
        (trace,) = dropped
        (buffer,) = trace.named("buffer")
        oldest = policy is WhenFull.DROP_OLDEST
        assert trace.root.attributes["zenstreams.object.name"] == ("b" if oldest else "c")
        assert buffer.seconds == (3 if oldest else 0)
        assert buffer.attributes["zenstreams.buffer.policy"] == policy.value
        assert trace.root.attributes["error.type"] == "overflow"
        assert trace.root.is_error

    run(scene)


def test_a_spilled_event_is_coalesced_and_no_error() -> None:
    async def scene() -> None:
        world = World(buffer=Buffer(capacity=1))
        world.writer.gate = asyncio.Event()
        world.pipeline.offer(event("a"), event("b"))

        (trace,) = world.traces
        assert (trace.outcome, trace.root.is_error) == ("coalesced", False)
        assert trace.root.attributes["zenstreams.outcome.reason"] == "spilled"
        await world.pipeline.stop()

    run(scene)


def test_the_newest_links_to_all_it_replaced_and_each_of_them_to_the_next() -> None:
    async def scene() -> None:
        world = World(buffer=Buffer(capacity=60, in_flight=1))
        world.writer.gate = asyncio.Event()
        world.pipeline.offer(event("other"), *(event("a", version) for version in range(1, 41)))
        world.writer.gate.set()
        await world.pipeline.drained()

        roots = {
            int(trace.root.attributes["zenstreams.object.resource_version"]): trace.root
            for trace in world.traces
            if trace.root.attributes["zenstreams.object.name"] == "a"
        }
        newest = roots[40]
        assert newest.attributes["zenstreams.outcome"] == "stored"
        assert newest.attributes["zenstreams.coalesced.count"] == 39
        absorbed = [(roots[v].trace_id, roots[v].span_id) for v in range(39, 39 - 32, -1)]
        assert list(newest.links) == absorbed
        for version in range(1, 40):
            newer = roots[version + 1]
            assert roots[version].links[0] == (newer.trace_id, newer.span_id)
            assert roots[version].attributes["zenstreams.outcome"] == "coalesced"

    run(scene)


def test_every_attempt_and_every_wait_is_a_span() -> None:
    async def scene() -> None:
        busy = WriteResponse(503, reason="ServiceUnavailable", retry_after_seconds=7.0)
        world = World(busy, UNANSWERED, MADE)
        world.pipeline.offer(event("a"))
        await world.pipeline.drained()

        (trace,) = world.traces
        assert names(trace)[len(STEPS) :] == [
            *("write Observation", "retry wait", "write Observation", "retry wait"),
            "write Observation",
        ]
        errors = [span.attributes.get("error.type") for span in trace.named("write Observation")]
        assert errors == ["503", "unanswered", None]
        assert [span.seconds for span in trace.named("retry wait")] == [7.0, 0.5]
        assert trace.root.attributes["zenstreams.sink.attempts"] == 3
        assert not trace.root.is_error

    run(scene)


def test_a_wait_for_the_clients_own_limit_is_a_span_of_its_own() -> None:
    async def scene() -> None:
        world = World(WriteResponse(201, MADE.body, waited_seconds=2.0))
        world.writer.takes = lambda: world.pass_seconds(2.5)
        world.pipeline.offer(event("a"))
        await world.pipeline.drained()

        (trace,) = world.traces
        (limit,), (write,) = trace.named("client limit"), trace.named("write Observation")
        assert (limit.seconds, write.seconds) == (2.0, 0.5)

    run(scene)


def test_a_dead_letter_is_an_error_with_the_servers_own_reason() -> None:
    async def scene() -> None:
        world = World(
            WriteResponse(422, reason="Invalid", message="spec.severity: Unsupported value")
        )
        world.pipeline.offer(event("a"))
        await world.pipeline.drained()

        (trace,) = world.traces
        assert names(trace)[-2:] == ["write Observation", "dead letter"]
        (letter,) = trace.named("dead letter")
        assert letter.kind == "PRODUCER"
        assert letter.attributes == {
            "zenstreams.dlq.name": "memory",
            "zenstreams.dlq.reason": "invalid",
        }
        assert trace.root.is_error
        assert trace.root.attributes["error.type"] == "422"
        assert trace.root.message == "422 Invalid: spec.severity: Unsupported value"

    run(scene)


def test_what_cannot_be_decoded_has_no_span_of_the_sink() -> None:
    async def scene() -> None:
        world = World()
        world.pipeline.offer(event("a", raw=b"{"))

        (trace,) = world.traces
        assert names(trace) == ["receive", "buffer", "classify", "dead letter"]
        assert trace.root.attributes["error.type"] == "UndecodableError"
        assert trace.named("classify")[0].is_error

    run(scene)


def test_a_stage_that_raises_is_our_own_error() -> None:
    async def scene() -> None:
        world = World()
        setattr(world.pipeline.parts.state, "_stored", None)  # noqa: B010  any defect would do
        world.pipeline.offer(event("a"))

        (trace,) = world.traces
        assert trace.outcome == "failed"
        assert names(trace)[-1] == "deduplicate"
        assert trace.named("deduplicate")[0].is_error
        assert trace.root.attributes["error.type"] == "AttributeError"

    run(scene)


def test_a_throttled_event_waits_in_a_span_or_ends_without_an_error() -> None:
    async def scene() -> None:
        timers: list[tuple[float, Callable[[], object]]] = []

        def call_later(seconds: float, callback: Callable[[], object]) -> Any:
            timers.append((seconds, callback))
            return None

        world = World(throttle=Throttle(per_second=0.5, burst=1), call_later=call_later)
        world.pipeline.offer(event("a"), event("b"))
        seconds, release = timers.pop()
        world.pass_seconds(seconds)
        release()
        await world.pipeline.drained()
        waits = [trace.named("throttle")[0].seconds for trace in world.traces]
        assert waits == [0, 2]
        attributes = world.traces[1].named("throttle")[0].attributes
        assert attributes == {"zenstreams.throttle.wait_ms": 2000.0}

        ending = World(throttle=Throttle(per_second=0.5, burst=1, when_over=WhenOver.END))
        ending.pipeline.offer(event("a"), event("b"))
        over = ending.traces[0]
        assert (over.outcome, over.root.is_error) == ("throttled", False)
        await ending.pipeline.drained()

    run(scene)


def test_what_is_resolved_reads_and_writes_and_keeps_the_uid() -> None:
    async def scene() -> None:
        stored = WriteResponse(
            200, b'{"metadata":{"name":"x","namespace":"n","resourceVersion":"7"}}'
        )
        world = World(MADE, stored, OK)
        for one in (event("a"), removal("a", 2)):
            world.pipeline.offer(one)
            await world.pipeline.drained()

        _, resolved = world.traces
        assert names(resolved)[len(STEPS) :] == ["read Observation", "write Observation"]
        assert resolved.named("read Observation")[0].attributes["http.request.method"] == "GET"
        assert resolved.root.attributes["zenstreams.observation.operation"] == "resolved"
        assert resolved.root.attributes["zenstreams.observation.uid"] == "uid-of-it"

    run(scene)


def test_what_is_open_when_the_process_stops_ends_interrupted_wherever_it_is() -> None:
    async def scene() -> None:
        world = World(buffer=Buffer(in_flight=2))
        world.writer.gate = asyncio.Event()
        world.pipeline.offer(event("a"), event("b"), event("c"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        world.pass_seconds(4)
        await world.pipeline.stop()

        at = {
            trace.root.attributes["zenstreams.object.name"]: names(trace)[-1]
            for trace in world.traces
        }
        assert at == {"a": "write Observation", "b": "write Observation", "c": "buffer"}
        assert {trace.outcome for trace in world.traces} == {"interrupted"}

    run(scene)
