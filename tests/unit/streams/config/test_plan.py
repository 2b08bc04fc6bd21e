from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from operators.buffer import Buffer, WhenFull
from operators.deduplicate import Deduplication
from operators.model.spec import DecisionOrder, Observe, OnDelete
from operators.rules.lists import Filters
from operators.throttle import Throttle, WhenOver
from sinks.retry import OCCURRENCES
from streams.config.destination import Destination
from streams.config.ingester import Ingester
from streams.config.plan import PipelineSpec, Plan, PlanIdentity, plan
from streams.config.processing import TracingSpec
from streams.config.source import Gvr, InformerSpec
from tests.kit.acceptance import GVR, ingester
from tests.kit.whole_ingester import FILTERS


def document(**spec: Any) -> Ingester:
    return Ingester.model_validate(ingester(**spec))


def pipeline(**spec: Any) -> PipelineSpec:
    return plan(document(**spec)).pipeline


def test_a_minimal_document_has_the_defaults() -> None:
    assert plan(document()) == Plan(
        identity=PlanIdentity("default", "case"),
        source_name="deployments",
        source=InformerSpec(gvr=Gvr(group="apps", version="v1", resource="deployments")),
        pipeline=PipelineSpec(
            buffer=Buffer(),
            throttle=None,
            filters=Filters(),
            deduplication=Deduplication(),
            order=DecisionOrder.FILTER_FIRST,
            observe=Observe.SUBJECT,
            on_delete=OnDelete.RESOLVE,
            retry=OCCURRENCES,
            ttl_seconds=604_800,
            tracing=TracingSpec(),
        ),
        destinations=(Destination(type="crd", value="observations"),),
    )


def test_the_defaults_as_the_operators_read_them() -> None:
    made = plan(document())

    assert made.identity.key == "default/case"
    assert made.source.resync_seconds == 0
    buffer = made.pipeline.buffer
    assert (buffer.capacity, buffer.bytes, buffer.credits) == (1000, 64 * 1024 * 1024, 64)
    dedup = made.pipeline.deduplication
    assert dedup.enabled
    assert (dedup.window_duration.total_seconds(), dedup.compared_fields) == (60, None)
    assert (OCCURRENCES.first_wait_seconds, OCCURRENCES.attempts) == (2.0, 8)


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
        ),
        uid="u",
    )

    informer, spec = made.source, made.pipeline
    assert made.identity == PlanIdentity("default", "case", uid="u")
    assert informer.namespace == "a"
    assert informer.label_selector == "b=c"
    assert informer.field_selector == "d=e"
    assert informer.resync_seconds == 5400
    assert spec.on_delete is OnDelete.IGNORE
    assert (spec.buffer.capacity, spec.buffer.bytes, spec.buffer.credits) == (5, 1024, 7)
    assert (spec.deduplication.enabled, spec.deduplication.compared_fields) == (False, ("f", "g"))
    assert spec.filters == Filters.model_validate(FILTERS)
    assert spec.order is DecisionOrder.DEDUP_FIRST
    assert spec.throttle == Throttle(per_second=2.5, when_over=WhenOver.END)
    assert spec.throttle is not None
    assert spec.throttle.burst_size == 3
    assert spec.ttl_seconds == 7200


def test_plans_are_equal_where_their_documents_have_the_same_effect() -> None:
    assert plan(document()) == plan(document(buffer={"capacity": 1000}, filters={}))
    assert plan(document()) != plan(document(buffer={"capacity": 999}))
    assert plan(document()) != plan(document(), uid="u")


def test_a_spec_is_constructed_by_attribute_names_and_read_by_the_documents_names_alone() -> None:
    assert Buffer(capacity_bytes="1Ki") == Buffer.model_validate({"capacityBytes": "1Ki"})
    with pytest.raises(ValidationError, match="extra_forbidden"):
        Ingester.model_validate(
            ingester(buffer={"capacity_bytes": "1Ki"}), by_alias=True, by_name=False
        )


def test_the_filters_of_the_tests_are_whole() -> None:
    assert {field.alias for field in Filters.model_fields.values()} == {*FILTERS}


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [("1ms", 60), ("60s", 60), ("61s", 61), ("30d", 2_592_000), ("366d", 31_536_000)],
)
def test_the_time_to_live_has_the_contracts_bounds(ttl: str, seconds: int) -> None:
    assert pipeline(ttl={"default": ttl}).ttl_seconds == seconds


def test_adaptive_uses_the_default() -> None:
    assert pipeline(buffer={"inFlight": "adaptive"}).buffer.credits == 64


def test_an_informer_spills_whatever_the_document_says() -> None:
    buffer = pipeline(buffer={"whenFull": "dropOldest"}).buffer
    assert buffer.policy(rereadable=True) is WhenFull.SPILL


@pytest.mark.parametrize(
    ("buffer", "policy"),
    [
        ({}, WhenFull.BLOCK),
        ({"whenFull": "block"}, WhenFull.BLOCK),
        ({"whenFull": "dropNewest"}, WhenFull.DROP_NEWEST),
        ({"whenFull": "dropOldest"}, WhenFull.DROP_OLDEST),
    ],
)
def test_what_cannot_be_read_again_blocks_or_does_what_the_document_says(
    buffer: dict[str, Any], policy: WhenFull
) -> None:
    assert Buffer.model_validate(buffer).policy(rereadable=False) is policy


def test_no_document_asks_to_spill() -> None:
    with pytest.raises(ValidationError, match="'block', 'dropNewest' or 'dropOldest'"):
        Buffer(when_full=WhenFull.SPILL)


@pytest.mark.parametrize(
    ("said", "first_seconds", "attempts"),
    [
        (
            {"strategy": "retry", "retry": {"maxAttempts": 5, "backoffBase": "750ms"}},
            0.75,
            5,
        ),
        ({"strategy": "retry", "retry": {"maxAttempts": 0}}, 1.0, 1),
        ({"strategy": "retry", "retry": {"backoffBase": "soon"}}, 2.0, 3),
        ({"strategy": "retry", "retry": {"backoffBase": "0"}}, 0.5, 3),
        ({"strategy": "retry", "retry": {"backoffBase": "1h"}}, 30.0, 3),
        ({"strategy": "retry"}, 2.0, 8),
        ({"retry": {"maxAttempts": 5}}, 2.0, 8),
    ],
)
def test_how_long_an_occurrence_is_tried(
    said: dict[str, Any], first_seconds: float, attempts: int
) -> None:
    retry = pipeline(errorHandling=said).retry
    assert (retry.first_wait_seconds, retry.attempts) == (first_seconds, attempts)


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
    for spec in ({"deduplication": dedup}, {"processing": {"dedup": dedup}}):
        window = pipeline(**spec).deduplication.window_duration
        assert window.total_seconds() == seconds


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
    made = pipeline(observe=observe, informer={"gvr": gvr})
    assert (made.observe is Observe.OCCURRENCE) is occurrences


@pytest.mark.parametrize(
    "spec",
    [{"ingester": "webhook"}, {"informer": None}, {"informer": {}}],
)
def test_what_cannot_run_has_no_plan(spec: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="default/case"):
        plan(document(**spec))
