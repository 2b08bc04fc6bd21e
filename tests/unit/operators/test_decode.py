"""An object is classified by its head, and its body is decoded only if it is wanted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from reactivex.subject import Subject

from operators import decode
from operators.decode import PipelineOrigin, classify, describe, presentable_body
from operators.decoders.generic import GenericDecoder, GenericHead
from operators.decoders.registry import Decoder, decoder_for
from operators.filter import filter_observations
from operators.flow.clock import utc_now
from operators.flow.delivery import Admission, Delivery, DescribedDelivery, Ledger, Ticket, deliver
from operators.model.content import MASK
from operators.model.event import (
    ApiResource,
    Body,
    Change,
    LogLine,
    ObjectRef,
    RawEvent,
    RemovalReason,
    Report,
    UndecodableError,
)
from operators.model.identity import Identity, IngesterKey
from operators.model.observation import Classified, Observation, Removal
from operators.model.outcome import STOPPED, Ending
from operators.model.spec import DecisionOrder
from operators.model.state import ObservationState
from operators.recheck import RecheckTimer
from operators.rules.lists import Filters, RuleSet
from operators.rules.paths import Head, read
from streams.runtime.pipeline import Parts, compose
from tests.kit.plans import plan_of
from tests.kit.raw_events import (
    EVENTS,
    WIDGETS,
    object_event,
    tombstone_event,
    unreadable_event,
)
from tests.kit.timers import VirtualTime
from tests.unit.operators.observed import INGESTER, stored_of

REPORTS = ApiResource("example.com", "v1", "reports", "Report", namespaced=True)
NODES = ApiResource("", "v1", "nodes", "Node", namespaced=False)
ORIGIN = PipelineOrigin(INGESTER, "s")
UNREADABLE = b'{"metadata": {"name": "r"}, "severity": "LOW", "text": "\xff"}'
"""JSON to what passes over the text, and no UTF-8."""
IDENTITY = Identity(INGESTER, "", "example.com", "reports", "shop", "r")
NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


class Walk:
    """Classify, a filter that wants HIGH, describe; what passes is kept."""

    def __init__(
        self,
        *,
        wants: str = "HIGH",
        origin: PipelineOrigin = ORIGIN,
        rules: tuple[str, ...] = (),
        decoder: Decoder | None = None,
    ) -> None:
        self.state, self.ledger = ObservationState(), Ledger()
        self.classified: list[Classified | Removal] = []
        self.passed: list[Delivery[Observation | Removal]] = []
        self.ended: list[Ticket] = []
        self._source: Subject[Admission] = Subject()
        decoder = decoder or GenericDecoder()
        filters = RuleSet(
            Filters.model_validate({"min_severity": wants, "exclude_rules": list(rules)})
        )
        classified = self._source.pipe(
            deliver(self.ledger, clock=lambda: 0, on_settle=self.ended.append),
            classify(origin, decoder, now=lambda: NOW, reads=filters.reads),
        )
        classified.pipe(
            filter_observations(filters, self.state), describe(origin, decoder)
        ).subscribe(self.passed.append)

    def admit(self, event: RawEvent, head: object = None) -> None:
        self._source.on_next(Admission(event, head=head))

    def offer(self, raw: object, *, change: Change = Change.ADDED) -> None:
        self.admit(object_event("r", raw, resource=REPORTS, change=change))

    @property
    def detail(self) -> str:
        (ticket,) = self.ended
        return ticket.outcome.detail if ticket.outcome is not None else ""

    def ending(self) -> tuple[Ending, str, list[str]]:
        """How the one event ended, why, and which stages it passed."""
        (ticket,) = self.ended
        assert ticket.outcome is not None
        stages = [stage for stage, _, _ in ticket.marks]
        return ticket.outcome.ending, ticket.outcome.reason, stages

    @property
    def value(self) -> Observation | Removal:
        (delivery,) = self.passed
        return delivery.value

    @property
    def observation(self) -> Observation:
        value = self.value
        assert isinstance(value, Observation)
        return value


def decoded(event: RawEvent) -> Body:
    raise AssertionError(f"{event.key} was decoded")


# By the head.


def test_what_is_not_wanted_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "decode_body", decoded)
    walk = Walk()

    walk.offer(UNREADABLE)

    filtered = (Ending.FILTERED, "minSeverity HIGH", ["receive", "classify", "filter"])
    assert walk.ending() == filtered


def test_what_is_wanted_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "decode_body", decoded)
    walk = Walk()

    walk.offer(b'{"severity": "HIGH"}')

    assert walk.ending() == (
        *(Ending.FAILED, "describe", ["receive", "classify", "filter", "describe"]),
    )


class Unused:
    """A sink to which nothing comes."""

    def accept(self, delivery: DescribedDelivery) -> None:
        raise AssertionError(f"{delivery.value} came")


def unused(*arguments: object) -> Any:
    raise AssertionError(f"called with {arguments}")


@pytest.mark.parametrize(
    ("order", "resource", "ending", "stage"),
    [
        (DecisionOrder.DEDUP_FIRST, REPORTS, Ending.DEAD_LETTERED, "describe"),
        (DecisionOrder.DEDUP_FIRST, EVENTS, Ending.DEAD_LETTERED, "describe"),
        (DecisionOrder.FILTER_FIRST, REPORTS, Ending.FILTERED, "filter"),
        (DecisionOrder.FILTER_FIRST, EVENTS, Ending.FILTERED, "filter"),
    ],
)
def test_deduplication_first_needs_the_body_of_what_is_unwanted(
    order: DecisionOrder, resource: ApiResource, ending: Ending, stage: str
) -> None:
    plan = plan_of(filters=Filters(min_severity="HIGH"), order=order)
    parts, ended, source = Parts.of(plan), list[Ticket](), Subject[Admission]()
    compose(
        plan,
        source,
        Unused(),
        parts=parts,
        decoder=decoder_for(resource.group, resource.resource),
        recheck=RecheckTimer(now=utc_now, call_later=unused, reenter=unused, request_reread=unused),
        clock=lambda: 0,
        call_later=unused,
        now=utc_now,
        on_settle=ended.append,
    ).subscribe()

    source.on_next(Admission(object_event("r", UNREADABLE, resource=resource)))

    (ticket,) = ended
    assert ticket.outcome is not None
    assert (ticket.outcome.ending, ticket.marks[-1][0]) == (ending, stage)


def test_what_is_wanted_and_cannot_be_decoded_is_a_dead_letter() -> None:
    walk = Walk(wants="LOW")

    walk.offer(UNREADABLE)

    stages = ["receive", "classify", "filter", "describe"]
    assert walk.ending() == (Ending.DEAD_LETTERED, "undecodable", stages)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 5000, b"{}x"])
def test_what_is_no_object_is_a_dead_letter_at_once(raw: bytes) -> None:
    walk = Walk(wants="LOW")

    walk.offer(raw)

    assert walk.ending() == (Ending.DEAD_LETTERED, "undecodable", ["receive", "classify"])
    (ticket,) = walk.ended
    assert ticket.outcome is not None
    assert ticket.outcome.detail.startswith("shop/r: ")


@pytest.mark.parametrize("raw", [b"{", b"{}", b'{"metadata": {"namespace": "n"}}'])
def test_what_has_no_name_is_a_dead_letter_that_says_so(raw: bytes) -> None:
    walk = Walk(wants="LOW")

    walk.admit(unreadable_event(raw))

    assert walk.ending() == (Ending.DEAD_LETTERED, "undecodable", ["receive", "classify"])
    (ticket,) = walk.ended
    assert ticket.outcome is not None
    assert ticket.outcome.detail.startswith("an object without a name: ")
    assert ticket.outcome.error_type == UndecodableError.__name__


@pytest.mark.parametrize("results", [b'[{"rule": "\xff"}]', b"[" * 900 + b"]" * 900])
def test_rules_that_cannot_be_read_are_a_dead_letter_and_no_failure(results: bytes) -> None:
    walk = Walk(rules=("a",))

    walk.offer(b'{"severity": "HIGH", "results": %b}' % results)

    assert walk.ending()[:2] == (Ending.DEAD_LETTERED, "undecodable")


def test_a_head_that_came_with_the_event_is_used_as_it_is_and_released() -> None:
    walk = Walk()
    head = GenericHead(severity="CRITICAL")

    walk.admit(object_event("r", b'{"severity": "LOW"}', resource=REPORTS), head)

    assert walk.observation.classified.severity == "critical"
    assert walk.observation.classified.head is None
    assert walk.passed[0].head is None


class Recording(GenericDecoder):
    """Keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[tuple[Head, datetime]] = []

    def classify(self, event: RawEvent, head: Head, *, now: datetime) -> Classified:
        self.asked.append((head, now))
        return super().classify(event, head, now=now)


def test_a_decoder_gets_its_head_what_the_rules_read_and_the_time() -> None:
    decoder = Recording()
    walk = Walk(rules=("a",), decoder=decoder)

    walk.offer(b'{"severity": "HIGH", "rule": "b", "results": [{"rule": "c"}], "other": 1}')

    ((head, now),) = decoder.asked
    assert isinstance(head, GenericHead)
    assert now is NOW
    assert list(read(head, ("rule",))) == ["b"]
    assert list(read(head, ("results", "*", "rule"))) == ["c"]
    assert list(read(head, ("other",))) == []


def test_a_decoder_that_raises_fails_its_event_and_not_the_stream() -> None:
    class Broken(GenericDecoder):
        def classify(self, event: RawEvent, head: Head, *, now: datetime) -> Classified:
            if head.metadata.name == "poison":
                raise ArithmeticError("poison")
            return super().classify(event, head, now=now)

    walk = Walk(decoder=Broken())
    walk.offer(b'{"severity": "HIGH", "metadata": {"name": "poison"}}')
    assert walk.ending()[:2] == (Ending.FAILED, "classify")
    walk.offer(b'{"severity": "HIGH"}')
    assert walk.observation.identity == IDENTITY


@pytest.mark.parametrize("payload", [Report("json"), LogLine("app", "", 0)])
def test_a_payload_without_a_decoder_fails_alone(payload: Report | LogLine) -> None:
    walk = Walk()
    walk.admit(replace(object_event("r"), payload=payload))
    assert walk.ending() == (Ending.FAILED, "classify", ["receive", "classify"])
    kind = type(payload).__name__
    assert walk.detail.endswith(f"no decoder for a payload of type {kind}")


# By the body.


def test_what_is_described_has_a_title_masked_details_and_a_fingerprint() -> None:
    walk = Walk()

    walk.offer(b'{"severity": "HIGH", "message": "it broke", "password": "hunter2"}')

    found = walk.observation
    assert (found.classified.head, found.classified.evidence, found.occurrence) == (
        None,
        None,
        None,
    )
    assert found.title == "Report shop/r: it broke"
    assert found.details["password"] == MASK
    assert found.details["kind"] == "Report"
    assert len(found.fingerprint) == 32
    assert (found.identity, found.namespace) == (IDENTITY, "shop")
    assert (found.classified.source, found.resync) == ("s", False)


@pytest.mark.parametrize("change", Change)
def test_only_a_resync_may_refresh_what_is_unchanged(change: Change) -> None:
    walk = Walk()
    walk.offer(b'{"severity": "HIGH"}', change=change)
    assert walk.observation.resync is (change is Change.RESYNC)


def test_what_of_metadata_only_its_writers_need_is_not_shown() -> None:
    last_applied = "kubectl.kubernetes.io/last-applied-configuration"
    metadata = {"name": "r", "managedFields": [1], "annotations": {last_applied: "{}", "a": "b"}}
    event = object_event("r", {"metadata": metadata, "spec": 1})
    assert presentable_body(event) == {
        "apiVersion": "example.org/v1",
        "kind": "Widget",
        "metadata": {"name": "r", "annotations": {"a": "b"}},
        "spec": 1,
    }
    assert presentable_body(object_event("r", {"metadata": 5}))["metadata"] == 5
    odd = object_event("r", {"metadata": {"annotations": 5}})
    assert presentable_body(odd)["metadata"] == {"annotations": 5}


@pytest.mark.parametrize(
    ("fields", "same"), [(None, False), (("spec.a",), True), (("spec.a", "severity"), True)]
)
def test_the_fields_of_a_document_decide_alone_what_is_equal(
    fields: tuple[str, ...] | None, *, same: bool
) -> None:
    origin = PipelineOrigin(INGESTER, "s", compared_fields=fields)
    fingerprints: set[str] = set()
    for beside in (1, 2):
        walk = Walk(origin=origin)
        walk.offer({"severity": "HIGH", "spec": {"a": 1, "beside": beside}})
        fingerprints.add(walk.observation.fingerprint)
    assert (len(fingerprints) == 1) is same


@pytest.mark.parametrize("depth", [100, 400, 700, 1100])
@pytest.mark.parametrize("fields", [None, ("severity",)])
def test_what_is_nested_too_deep_never_fails(depth: int, fields: tuple[str, ...] | None) -> None:
    walk = Walk(origin=PipelineOrigin(INGESTER, "s", compared_fields=fields))

    walk.offer(b'{"severity": "HIGH", "a": %b1%b}' % (b'{"a":' * depth, b"}" * depth))

    if walk.passed:
        assert msgspec.json.encode(walk.observation.details)
    else:
        assert walk.ending()[:2] == (Ending.DEAD_LETTERED, "undecodable")


# Whose it is.


def test_a_cluster_scoped_object_is_observed_in_the_namespace_of_the_ingester() -> None:
    walk = Walk(origin=PipelineOrigin(IngesterKey("ops", "i"), "s", entry="second"))

    walk.admit(object_event("n1", b'{"severity": "HIGH"}', resource=NODES, namespace=""))

    found = walk.observation
    assert found.namespace == "ops"
    assert found.identity == Identity(IngesterKey("ops", "i"), "second", "", "nodes", "", "n1")


@pytest.mark.parametrize(
    ("involved", "own_namespace", "namespace"),
    [("shop", "shop", "shop"), ("", "default", "default"), ("shop", "elsewhere", "elsewhere")],
)
def test_a_kubernetes_event_is_observed_where_the_event_is(
    involved: str, own_namespace: str, namespace: str
) -> None:
    walk = Walk(wants="UNKNOWN", decoder=decoder_for("", "events"))
    body = {
        "involvedObject": {"kind": "Node", "name": "n1", "uid": "u", "namespace": involved},
        "reason": "Rebooted",
        "message": "again",
        "count": 3,
    }

    walk.admit(object_event("n1.17", body, resource=EVENTS, namespace=own_namespace))

    found = walk.observation
    assert (found.namespace, found.identity.namespace, found.identity.name) == (
        *(namespace, namespace, ""),
    )
    assert found.classified.subject == ObjectRef("", "Node", involved, "n1")
    assert found.title == "Rebooted Node n1: again"
    assert found.classified.evidence is not None
    assert (found.classified.evidence.name, found.classified.evidence.count) == ("n1.17", 3)
    assert found.identity.event == found.classified.evidence.identity


def test_the_fingerprint_of_kubernetes_events_is_that_of_their_identity() -> None:
    fingerprints: list[str] = []
    for reason, count in (("A", 1), ("A", 2), ("B", 1)):
        walk = Walk(wants="UNKNOWN", decoder=decoder_for("", "events"))
        walk.admit(object_event("e", {"reason": reason, "count": count}, resource=EVENTS))
        fingerprints.append(walk.observation.fingerprint)
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


# What is removed.


@pytest.mark.parametrize("reason", [RemovalReason.DELETED, RemovalReason.LEFT_SELECTOR])
def test_a_tombstone_becomes_the_removal_of_its_subject(reason: RemovalReason) -> None:
    walk = Walk()

    walk.admit(tombstone_event("r", resource=REPORTS, reason=reason))

    subject = ObjectRef("example.com/v1", "Report", "shop", "r")
    assert walk.value == Removal(IDENTITY, "shop", subject, reason)


def test_a_tombstone_without_a_namespace_is_removed_where_it_was_observed() -> None:
    walk = Walk()
    walk.admit(tombstone_event("n1", resource=NODES, namespace=""))
    removal = walk.value
    assert (removal.namespace, removal.identity.namespace) == (INGESTER.namespace, "")


@pytest.mark.parametrize(
    ("origin", "resource", "rule"),
    [
        (ORIGIN, EVENTS, "expired"),
        (PipelineOrigin(INGESTER, "s", occurrences=True), EVENTS, "expired"),
        (PipelineOrigin(INGESTER, "s", occurrences=True), WIDGETS, "object removed"),
        (PipelineOrigin(INGESTER, "s", ignores_removals=True), WIDGETS, "onDelete: ignore"),
        (
            PipelineOrigin(INGESTER, "s", occurrences=True, ignores_removals=True),
            *(WIDGETS, "object removed"),
        ),
    ],
)
def test_a_tombstone_that_changes_nothing_is_filtered(
    origin: PipelineOrigin, resource: ApiResource, rule: str
) -> None:
    walk = Walk(origin=origin, decoder=decoder_for(resource.group, resource.resource))
    walk.admit(tombstone_event("r", resource=resource))
    assert walk.ending() == (Ending.FILTERED, rule, ["receive", "classify"])


def test_a_tombstone_without_a_subject_fails_alone() -> None:
    walk = Walk()
    walk.admit(replace(tombstone_event("r"), subject=None))
    assert walk.ending() == (Ending.FAILED, "classify", ["receive", "classify"])
    assert walk.detail.endswith("a tombstone without a subject")


def test_what_is_classified_carries_its_head_to_the_rules() -> None:
    passed, source = list[Delivery[Classified | Removal]](), Subject[Admission]()
    source.pipe(
        deliver(Ledger(), clock=VirtualTime().clock),
        classify(ORIGIN, GenericDecoder(), now=utc_now),
    ).subscribe(passed.append)
    source.on_next(Admission(object_event("r", {"severity": "HIGH"})))
    (delivery,) = passed
    assert isinstance(delivery.value, Classified)
    assert isinstance(delivery.value.head, GenericHead)
    delivery.settle(STOPPED)


@pytest.mark.parametrize(("raw", "found"), [(b"[1]", "list"), (b"7", "int"), (b"null", "NoneType")])
def test_a_body_that_is_no_object_is_named(raw: bytes, found: str) -> None:
    with pytest.raises(UndecodableError, match=f"found {found}, allowed: a JSON object"):
        presentable_body(object_event("r", raw))


def test_what_is_no_longer_wanted_is_removed_undescribed() -> None:
    walk = Walk()
    walk.state.put(IDENTITY, stored_of())

    walk.offer(UNREADABLE)

    subject = ObjectRef("example.com/v1", "Report", "shop", "r")
    removal = Removal(IDENTITY, "shop", subject, RemovalReason.FILTERED, "minSeverity HIGH")
    assert walk.value == removal
    walk.passed[0].settle(STOPPED)


def test_what_the_classify_operator_did_not_pass_cannot_be_described() -> None:
    ledger, source = Ledger(), Subject[Delivery[Classified | Removal]]()
    source.pipe(describe(ORIGIN, GenericDecoder())).subscribe(unused)
    event = object_event("r")
    assert event.subject is not None
    source.on_next(Delivery(Classified(event, event.subject), Ticket(ledger, VirtualTime().clock)))
    assert ledger.endings == {(Ending.FAILED, "describe"): 1}
