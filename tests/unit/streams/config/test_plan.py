from __future__ import annotations

from typing import Any

import pytest
from pydantic.alias_generators import to_snake

from operators.buffer import WhenFull
from operators.filter import Filter
from operators.throttle import Throttle, WhenOver
from sinks.retry import OCCURRENCES, Retry
from streams.config.ingester import Ingester
from streams.config.limits import Tracing
from streams.config.plan import Plan, plan
from streams.config.rules import Filters
from tests.kit.acceptance import GVR, ingester
from tests.kit.whole_ingester import FILTERS


def document(**spec: Any) -> Ingester:
    return Ingester.model_validate(ingester(**spec))


def test_a_minimal_document_has_the_defaults() -> None:
    minimal = document()

    assert plan(minimal) == Plan(
        namespace="default",
        name="case",
        source="deployments",
        group="apps",
        version="v1",
        resource="deployments",
        watch_namespace="",
        label_selector="",
        field_selector="",
        resync_seconds=0,
        on_delete="resolve",
        capacity=1000,
        capacity_bytes=64 * 1024 * 1024,
        in_flight=64,
        when_full=WhenFull.SPILL,
        occurrences=False,
        dedup_enabled=True,
        dedup_window_seconds=60,
        dedup_fields=None,
        filter=Filter(),
        order="filter_first",
        throttle=None,
        retry=OCCURRENCES,
        ttl_seconds=604_800,
        tracing=Tracing(),
    )


def test_every_setting_arrives() -> None:
    made = plan(
        document(
            informer={
                "gvr": GVR,
                "namespace": "a",
                "labelSelector": "b=c",
                "fieldSelector": "d=e",
                "resyncPeriod": "1h30m",
            },
            onDelete="ignore",
            buffer={"capacity": 5, "capacityBytes": "1Ki", "inFlight": 7},
            deduplication={"enabled": False, "strategy": "key", "fields": ["f", "g"]},
            filters=FILTERS,
            processing={"order": "dedup_first"},
            throttle={"perSecond": 2.5, "whenOver": "end"},
            ttl={"default": "2h"},
        )
    )

    assert made.watch_namespace == "a"
    assert made.label_selector == "b=c"
    assert made.field_selector == "d=e"
    assert made.resync_seconds == 5400
    assert made.on_delete == "ignore"
    assert (made.capacity, made.capacity_bytes, made.in_flight) == (5, 1024, 7)
    assert (made.dedup_enabled, made.dedup_fields) == (False, ("f", "g"))
    assert made.filter == Filter.model_validate(
        {to_snake(name): value for name, value in FILTERS.items() if name != "expression"}
    )
    assert made.order == "dedup_first"
    assert made.throttle == Throttle(
        per_second=2.5, burst=3, when_over=WhenOver.END, most_waiting=7
    )
    assert made.ttl_seconds == 7200


def test_the_filter_knows_every_field_of_the_document_but_the_expression() -> None:
    assert {*Filters.model_fields} - {*Filter.model_fields} == {"expression"}
    assert {*Filter.model_fields} < {*Filters.model_fields}
    assert {to_snake(name) for name in FILTERS} == {*Filters.model_fields}


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [("1ms", 60), ("60s", 60), ("61s", 61), ("30d", 2_592_000), ("366d", 31_536_000)],
)
def test_the_time_to_live_has_the_contracts_bounds(ttl: str, seconds: int) -> None:
    assert plan(document(ttl={"default": ttl})).ttl_seconds == seconds


def test_adaptive_uses_the_default() -> None:
    assert plan(document(buffer={"inFlight": "adaptive"})).in_flight == 64


def test_an_informer_spills_whatever_the_document_says() -> None:
    assert plan(document(buffer={"whenFull": "dropOldest"})).when_full is WhenFull.SPILL


@pytest.mark.parametrize(
    ("said", "retry"),
    [
        (
            {"strategy": "retry", "retry": {"maxAttempts": 5, "backoffBase": "750ms"}},
            Retry(0.75, 5),
        ),
        ({"strategy": "retry", "retry": {"maxAttempts": 0}}, Retry(1.0, 1)),
        ({"strategy": "retry", "retry": {"backoffBase": "soon"}}, Retry(2.0, 3)),
        ({"strategy": "retry", "retry": {"backoffBase": "0"}}, Retry(0.5, 3)),
        ({"strategy": "retry", "retry": {"backoffBase": "1h"}}, Retry(30.0, 3)),
        ({"strategy": "retry"}, OCCURRENCES),
        ({"retry": {"maxAttempts": 5}}, OCCURRENCES),
    ],
)
def test_how_long_an_occurrence_is_tried(said: dict[str, Any], retry: Retry) -> None:
    assert plan(document(errorHandling=said)).retry == retry


@pytest.mark.parametrize(
    ("dedup", "seconds"),
    [
        ({"window": "5m"}, 300),
        ({"windowSeconds": 7}, 7),
        ({"window": "0s"}, 0),
        ({"window": "2s", "windowSeconds": 7}, 2),
    ],
)
def test_the_window_may_be_spelled_in_two_ways(dedup: dict[str, Any], seconds: float) -> None:
    assert plan(document(deduplication=dedup)).dedup_window_seconds == seconds
    assert plan(document(processing={"dedup": dedup})).dedup_window_seconds == seconds


@pytest.mark.parametrize(
    ("observe", "gvr", "occurrences"),
    [
        ("occurrence", GVR, True),
        ("subject", GVR, False),
        ("occurrence", {"group": "", "version": "v1", "resource": "events"}, False),
        ("occurrence", {"group": "events.k8s.io", "version": "v1", "resource": "events"}, False),
    ],
)
def test_kubernetes_events_are_counted_whatever_is_to_be_observed(
    observe: str, gvr: dict[str, str], *, occurrences: bool
) -> None:
    made = plan(document(observe=observe, informer={"gvr": gvr}))
    assert made.occurrences is occurrences


@pytest.mark.parametrize(
    "spec",
    [{"ingester": "webhook"}, {"informer": None}, {"informer": {}}],
)
def test_what_cannot_run_has_no_plan(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="default/case"):
        plan(document(**spec))
