"""Tracing end to end: the product as its users run it, an API server that notes what it is asked, a collector."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.apiserver.api import Request
from demo.apiserver.faults import Fault, Faults, What
from demo.apiserver.server import ApiServer
from sinks.stored import TRACE_ANNOTATION
from streams.config.crd import manifests
from tests.cluster.loop_thread import LoopThread
from tests.cluster.processes import wait_until
from tests.cluster.product import FAST, Product, ingester
from tests.kit.otlp import LoopbackCollector, Trace
from tests.kit.shape import faults

pytestmark = pytest.mark.timeout(180)

UNWANTED_OBJECTS, WANTED_OBJECTS = 7900, 1100
REPEATED, CHANGED, DEPARTED = 500, 300, 100
EVENTS = UNWANTED_OBJECTS + WANTED_OBJECTS + REPEATED + CHANGED + 2 * DEPARTED
EXPECTED = {
    "filtered": UNWANTED_OBJECTS + DEPARTED,
    "deduplicated": REPEATED,
    "stored": WANTED_OBJECTS + CHANGED + DEPARTED,
}
OBSERVATIONS = "/apis/zen.kube-zen.io/v1alpha1/"
TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01")


def say(check: str, **values: object) -> None:
    print(check, *(f"{name}={value}" for name, value in values.items()))


class Noted(Faults):
    """Notes the headers of every request on an Observation."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Mapping[str, str]] = []

    async def before(self, request: Request) -> Fault | None:
        if request.target.startswith(OBSERVATIONS) and "/observations/" in request.target:
            self.seen.append(request.headers)
        return await super().before(request)


@dataclass
class Place:
    """An API server and a collector on one loop, and a folder."""

    loop: LoopThread
    server: ApiServer
    noted: Noted
    collector: LoopbackCollector
    folder: Path
    runs: int = 0

    def make(self, namespace: str, count: int, *, prefix: str = "c") -> None:
        """Let there be config maps."""

        def create() -> None:
            for number in range(count):
                self.server.create(config_map(namespace, f"{prefix}{number}"))

        self.loop.call(create)

    def change(self, requests: list[tuple[str, str, Any]]) -> None:
        """Make requests of somebody else's, sixteen at a time."""
        self.loop.run(self._change(requests))

    async def _change(self, requests: list[tuple[str, str, Any]]) -> None:
        tls = ssl.create_default_context(cadata=self.server.ca_pem)
        headers = {"Authorization": f"Bearer {self.server.token}"}
        connector = aiohttp.TCPConnector(limit=16, ssl=tls)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as http:

            async def ask(method: str, path: str, body: Any) -> None:
                kind = {"Content-Type": "application/merge-patch+json"} if body else {}
                url = f"{self.server.url}/api/v1/namespaces/{path}"
                async with http.request(method, url, json=body, headers=kind) as answer:
                    assert answer.status == 200, await answer.text()

            await asyncio.gather(*(ask(*one) for one in requests))

    def observations(self) -> list[dict[str, Any]]:
        """All Observations there are."""
        return self.loop.run(self._observations())

    async def _observations(self) -> list[dict[str, Any]]:
        tls = ssl.create_default_context(cadata=self.server.ca_pem)
        headers = {"Authorization": f"Bearer {self.server.token}"}
        url = f"{self.server.url}{OBSERVATIONS}observations"
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.get(url, ssl=tls) as answer,
        ):
            return (await answer.json())["items"]

    @contextmanager
    def product(self, document: dict[str, Any], *options: str) -> Generator[Product]:
        """The product on one Ingester, sending its traces to the collector."""
        self.runs += 1
        folder = self.folder / str(self.runs)
        kubeconfig = self.folder / f"kubeconfig-{self.runs}"
        self.server.write_kubeconfig(kubeconfig)
        environment = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.collector.endpoint,
            "OTEL_SERVICE_NAME": "traced",
        }
        with Product(
            folder,
            [document],
            kubeconfig=kubeconfig,
            options=(*FAST, *options),
            environment=environment,
        ) as product:
            product.ready()
            yield product


def config_map(namespace: str, name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name},
        "data": {"a": "1"},
    }


def config_maps(name: str, namespace: str | None, **tracing: Any) -> dict[str, Any]:
    """An Ingester of config maps, with room for all of them; without a namespace, of those in all."""
    document = ingester(
        name,
        "default",
        resource="configmaps",
        buffer={"capacity": 20_000},
        tracing={"maxSpansPerSecond": 10_000_000, **tracing},
        filters={"excludeNamespaces": ["unwanted"]},
    )
    del document["spec"]["informer"]["namespace"]
    if namespace is not None:
        document["spec"]["informer"]["namespace"] = namespace
    return document


@contextmanager
def somewhere(folder: Path) -> Generator[Place]:
    """A place where nothing happened yet."""
    noted = Noted()
    with LoopThread("embedded-apiserver-and-collector") as loop:
        server, collector = ApiServer(), LoopbackCollector()
        server.faults = noted
        loop.run(server.__aenter__())
        loop.run(collector.__aenter__())
        try:
            for crd in manifests():
                loop.call(lambda crd=crd: server.create(crd))
            for name in ("wanted", "unwanted"):
                namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                loop.call(lambda namespace=namespace: server.create(namespace))
            yield Place(loop, server, noted, collector, folder)
        finally:
            loop.run(collector.__aexit__(None, None, None))
            loop.run(server.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with somewhere(tmp_path_factory.mktemp("traced")) as found:
        yield found


@dataclass
class Done:
    """What a run left behind."""

    traces: dict[str, Trace]
    outcomes: dict[str, float]
    spans: dict[str, float]
    """What /metrics said of spans."""
    exit_code: int
    noted: list[Mapping[str, str]]
    observations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


def receive(product: Product, count: int) -> None:
    """Wait until it has received so many events."""
    wait_until(
        lambda: product.total("zenstreams_events_received_total") == count,
        seconds=60,
        what=f"{count} events to be received",
    )


def delivered(product: Product) -> None:
    """Wait until the collector has all spans."""
    wait_until(
        lambda: (
            product.total("zenstreams_spans_exported_total")
            == product.total("zenstreams_spans_built_total")
        ),
        seconds=30,
        what="all spans to be delivered",
    )


@pytest.fixture(scope="module")
def mixed(place: Place) -> Done:
    """10,000 events, every trace kept."""
    place.make("unwanted", UNWANTED_OBJECTS)
    place.make("wanted", WANTED_OBJECTS)
    with place.product(config_maps("mixed", None)) as product:
        receive(product, UNWANTED_OBJECTS + WANTED_OBJECTS)
        product.quiet()
        of_wanted = iter(range(WANTED_OBJECTS))
        changes: list[tuple[str, str, Any]] = [
            *(
                (
                    "PATCH",
                    f"wanted/configmaps/c{next(of_wanted)}",
                    {"metadata": {"finalizers": ["a/b"]}},
                )
                for _ in range(REPEATED)
            ),
            *(
                ("PATCH", f"wanted/configmaps/c{next(of_wanted)}", {"data": {"a": "2"}})
                for _ in range(CHANGED)
            ),
            *(("DELETE", f"wanted/configmaps/c{next(of_wanted)}", None) for _ in range(DEPARTED)),
            *(("DELETE", f"unwanted/configmaps/c{it}", None) for it in range(DEPARTED)),
        ]
        place.change(changes)
        receive(product, EVENTS)
        product.quiet()
        outcomes = product.outcomes("mixed")
        product.assert_balanced("mixed")
        delivered(product)
        spans = {
            name: product.total(f"zenstreams_spans_{name}_total")
            for name in ("built", "exported", "lost")
        }
        code = product.stop()
    return Done(
        place.collector.traces, outcomes, spans, code, place.noted.seen.copy(), place.observations()
    )


def test_t1_ten_thousand_events_have_ten_thousand_whole_traces(mixed: Done) -> None:
    versions = Counter(
        (
            str(trace.root.attributes["zenstreams.object.uid"]),
            str(trace.root.attributes["zenstreams.object.resource_version"]),
        )
        for trace in mixed.traces.values()
    )
    spans = sum(len(trace.spans) for trace in mixed.traces.values())
    assert len(mixed.traces) == len(versions) == EVENTS
    assert faults(mixed.traces.values()) == []
    assert mixed.spans == {"built": spans, "exported": spans, "lost": 0}
    assert mixed.exit_code == 0
    say("T1 end to end", roots=len(versions), spans=spans, orphans=0)


def test_t3_traces_metrics_and_the_generator_agree(mixed: Done) -> None:
    in_traces = Counter(trace.outcome for trace in mixed.traces.values())
    assert in_traces == EXPECTED == mixed.outcomes
    say("T3 end to end", **in_traces)


def test_t14_every_request_is_found_by_its_audit_id_in_the_trace(mixed: Done) -> None:
    asked = [headers["Audit-ID"] for headers in mixed.noted]
    spans = {
        f"{span.trace_id}-{span.span_id}"
        for trace in mixed.traces.values()
        for span in trace.children
        if span.kind == "CLIENT"
    }
    for headers in mixed.noted:
        found = TRACEPARENT.fullmatch(headers["traceparent"])
        assert found is not None
        assert headers["Audit-ID"] == f"{found[1]}-{found[2]}"
    assert len(set(asked)) == len(asked) == WANTED_OBJECTS + CHANGED + 2 * DEPARTED
    assert set(asked) == spans
    say("T14 end to end", requests=len(asked), spans=len(spans))


def roots_named(observations: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for one in observations:
        annotation = one["metadata"].get("annotations", {}).get(TRACE_ANNOTATION, "")
        context = TRACEPARENT.fullmatch(annotation)
        assert context is not None, annotation
        found.append((context[1], context[2]))
    return found


def test_t15_every_observation_names_the_trace_that_made_it(mixed: Done) -> None:
    named = roots_named(mixed.observations)
    for observation, (trace_id, span_id) in zip(mixed.observations, named, strict=True):
        root = mixed.traces[trace_id].root
        assert root.span_id == span_id
        assert root.attributes["zenstreams.observation.operation"] == "created"
        assert root.attributes["zenstreams.observation.uid"] == observation["metadata"]["uid"]
        assert root.attributes["zenstreams.observation.name"] == observation["metadata"]["name"]
    assert len(named) == WANTED_OBJECTS
    say("T15 end to end", observations=len(named), whose_trace_is_there=len(named))


def test_t15_and_t18_at_one_in_a_hundred_and_with_a_collector_that_hangs(
    place: Place, mixed: Done
) -> None:
    del mixed  # it goes first
    place.collector.requests.clear()
    with place.product(config_maps("rare", "wanted", ratio=0.01), "--grace", "5") as product:
        product.quiet()
        delivered(product)
        ours = [one for one in place.observations() if one["spec"]["source"] == "rare"]
        roots = {(trace_id, it.root.span_id) for trace_id, it in place.collector.traces.items()}
        there = [one for one in roots_named(ours) if one in roots]
        assert len(there) == len(ours) == WANTED_OBJECTS - DEPARTED
        say("T15 end to end at 1 %", observations=len(ours), whose_trace_is_there=len(there))

        place.collector.hangs = True
        place.make("wanted", 50, prefix="late")
        wait_until(
            lambda: product.outcomes("rare").get("stored") == len(ours) + 50,
            seconds=30,
            what="50 more to be stored",
        )
        began = time.monotonic()
        code = product.stop()
        took = time.monotonic() - began
        place.collector.hangs = False
        assert code == 0
        assert took < 5 + 3 + 2
        say("T18 end to end", exit_code=code, seconds=round(took, 1), grace_s=5, flush_s=3)


def test_what_a_signal_interrupts_is_exported_before_the_end(tmp_path: Path) -> None:
    with somewhere(tmp_path) as place:
        interrupt(place)


def interrupt(place: Place) -> None:
    place.make("wanted", 30)
    refused = place.noted.add(
        Fault(What.REFUSE, method="PATCH", path="*/observations/*", times=1_000_000, code=503)
    )
    with place.product(config_maps("stopped", "wanted"), "--grace", "1") as product:
        wait_until(lambda: refused.met >= 30, seconds=30, what="every write to be refused once")
        code = product.stop()
    traces = place.collector.traces
    assert Counter(it.outcome for it in traces.values()) == {"interrupted": 30}
    assert faults(traces.values()) == []
    assert all(it.named("write Observation")[0].is_error for it in traces.values())
    assert all(it.named("retry wait") for it in traces.values())
    assert code == 1
    say("interrupted", traces=len(traces), exit_code=code)
