"""An object is classified by its head, and its body is decoded only if somebody wants it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from reactivex.subject import Subject as RxSubject

from operators.buffer import Buffer
from operators.decode import Normalise, describe, normalise, subject_name
from operators.deduplicate import Dedup
from operators.filter import Filter, keep
from operators.flow.clock import utc_now
from operators.flow.delivery import Delivery, Ledger, Ticket, deliver
from operators.model.event import Change, Departure, Kind, RawEvent
from operators.model.index import Index, Known
from operators.model.masking import MASK
from operators.model.observation import Observation
from operators.model.outcome import Ending
from sinks.memory import MemorySink
from streams.runtime.pipeline import Books, Specs, compose

KIND = Kind("example.com", "v1", "reports", "Report", namespaced=True)
SPEC = Normalise(ingester_namespace="n", ingester="i", source="s")
UNREADABLE = b'{"metadata": {"name": "r"}, "severity": "LOW", "text": "\xff"}'
"""JSON to whoever passes over the text, and no UTF-8."""


class Walk:
    """Normalise, a filter that wants HIGH, describe; what passes is kept."""

    def __init__(
        self, *, wants: str = "HIGH", spec: Normalise = SPEC, rules: tuple[str, ...] = ()
    ) -> None:
        self.index, self.ledger = Index(), Ledger()
        self.passed: list[Delivery[Observation]] = []
        self.ended: list[Ticket] = []
        self._source = RxSubject[RawEvent]()
        self._source.pipe(
            deliver(self.ledger, clock=lambda: 0, tell=self.ended.append),
            normalise(spec),
            keep(
                Filter.model_validate({"min_severity": wants, "exclude_rules": rules}), self.index
            ),
            describe(spec),
        ).subscribe(self.passed.append)

    def offer(self, raw: bytes, *, change: Change = Change.ADDED) -> None:
        self._source.on_next(RawEvent(KIND, change, "shop", "r", "u", "1", raw))

    def ending(self) -> tuple[Ending, str, list[str]]:
        """How the one event ended, why, and which stages saw it."""
        (ticket,) = self.ended
        assert ticket.outcome is not None
        stages = [stage for stage, _, _ in ticket.marks]
        return ticket.outcome.ending, ticket.outcome.reason, stages

    @property
    def observation(self) -> Observation:
        (delivery,) = self.passed
        return delivery.value


def decoded(event: RawEvent) -> None:
    raise AssertionError(f"{event.key} was decoded")


def test_what_is_not_wanted_is_never_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RawEvent, "body", decoded)
    walk = Walk()

    walk.offer(UNREADABLE)

    filtered = (Ending.FILTERED, "minSeverity HIGH", ["receive", "normalise", "filter"])
    assert walk.ending() == filtered


def waits(delay: float, callback: object, *_: object) -> Any:
    raise AssertionError(f"{callback} waits {delay} s")


def test_deduplication_first_and_kubernetes_events_need_the_body_of_what_is_unwanted() -> None:
    plan = Specs(
        buffer=Buffer(),
        normalise=SPEC,
        filter=Filter(min_severity="HIGH"),
        dedup=Dedup(),
        dedup_first=True,
    )
    events = Kind("", "v1", "events", "Event", namespaced=True)
    for specs, kind, stage in (
        (plan, KIND, "describe"),
        (replace(plan, dedup_first=False), events, "normalise"),
    ):
        books, ended = Books.empty(specs.buffer), list[Ticket]()
        source = RxSubject[RawEvent]()
        compose(
            specs,
            source,
            MemorySink(books.index, now=utc_now),
            books=books,
            clock=lambda: 0,
            call_later=waits,
            now=utc_now,
            tell=ended.append,
        ).subscribe()
        source.on_next(RawEvent(kind, Change.ADDED, "shop", "r", "u", "1", UNREADABLE))

        (ticket,) = ended
        assert ticket.outcome is not None
        assert (ticket.outcome.ending, ticket.marks[-1][0]) == (Ending.DEAD_LETTERED, stage)


def test_what_is_wanted_and_cannot_be_decoded_is_a_dead_letter() -> None:
    walk = Walk(wants="LOW")

    walk.offer(UNREADABLE)

    stages = ["receive", "normalise", "filter", "describe"]
    assert walk.ending() == (Ending.DEAD_LETTERED, "undecodable", stages)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1]", b'"x"', b"\xff", b"[" * 5000, b"{}x"])
def test_what_is_no_object_is_a_dead_letter_at_once(raw: bytes) -> None:
    walk = Walk(wants="LOW")

    walk.offer(raw)

    assert walk.ending() == (Ending.DEAD_LETTERED, "undecodable", ["receive", "normalise"])


@pytest.mark.parametrize("results", [b'[{"rule": "\xff"}]', b"[" * 900 + b"]" * 900])
def test_rules_that_cannot_be_read_are_a_dead_letter_and_no_failure(results: bytes) -> None:
    walk = Walk(rules=("a",))

    walk.offer(b'{"severity": "HIGH", "results": %b}' % results)

    assert walk.ending()[:2] == (Ending.DEAD_LETTERED, "undecodable")


def test_what_is_described_holds_its_event_no_longer() -> None:
    walk = Walk()

    walk.offer(b'{"severity": "HIGH", "message": "it broke", "password": "hunter2"}')

    found = walk.observation
    assert (found.event, found.head, found.gone) == (None, None, None)
    assert found.title == "Report shop/r: it broke"
    assert found.details is not None
    assert found.details["password"] == MASK
    assert found.fingerprint


def test_a_tombstone_has_nothing_to_be_described_from() -> None:
    walk = Walk()

    walk.offer(b"", change=Change.DELETED)

    assert (walk.observation.gone, walk.observation.details) == (Departure.DELETED, None)


def test_what_is_wanted_no_longer_departs_undescribed() -> None:
    name = subject_name(SPEC, KIND.group, KIND.resource, namespace="shop", name="r")
    walk = Walk()
    walk.index.put(name, Known("f", "", ""))

    walk.offer(UNREADABLE)

    found = walk.observation
    assert (found.gone, found.unwanted_by) == (Departure.UNWANTED, "minSeverity HIGH")
    assert (found.details, found.fingerprint, found.event) == (None, "", None)


@pytest.mark.parametrize("depth", [100, 400, 700, 1100])
@pytest.mark.parametrize("fields", [None, ("severity",)])
def test_what_is_nested_too_deep_never_fails(depth: int, fields: tuple[str, ...] | None) -> None:
    walk = Walk(spec=SPEC.model_copy(update={"fields": fields}))

    walk.offer(b'{"severity": "HIGH", "a": %b1%b}' % (b'{"a":' * depth, b"}" * depth))

    if walk.passed:
        assert msgspec.json.encode(walk.observation.details)
    else:
        assert walk.ending()[:2] == (Ending.DEAD_LETTERED, "undecodable")
