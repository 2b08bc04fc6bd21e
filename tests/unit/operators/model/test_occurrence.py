from __future__ import annotations

import msgspec
import pytest
from reactivex.subject import Subject as Source

from operators.decode import Normalise, describe, normalise
from operators.flow.delivery import Delivery, Ledger, deliver
from operators.model.event import Change, Kind, RawEvent
from operators.model.observation import Observation
from operators.model.occurrence import of_report
from operators.model.outcome import STOPPED, Ending

KIND = Kind("apps", "v1", "widgets", "Widget", namespaced=True)
Fields = dict[str, object]


def event(
    body: Fields | None = None,
    *,
    name: str = "w",
    uid: str = "u",
    version: str = "1",
    change: Change = Change.MODIFIED,
    initial: bool = False,
) -> RawEvent:
    said = body or {"data": {"value": 1}}
    raw = msgspec.json.encode({"metadata": {"name": name, "resourceVersion": version}, **said})
    return RawEvent(KIND, change, "n", name, uid, version, raw, initial)


def observed(
    raw: RawEvent, *, ingester: str = "i", fields: tuple[str, ...] | None = None
) -> Observation:
    ledger, passed = Ledger(), list[Delivery[Observation]]()
    source = Source[RawEvent]()
    spec = Normalise(
        ingester_namespace="n", ingester=ingester, source="s", fields=fields, occurrences=True
    )
    source.pipe(deliver(ledger, clock=lambda: 0), normalise(spec), describe(spec)).subscribe(
        passed.append
    )
    source.on_next(raw)
    (delivery,) = passed
    delivery.settle(STOPPED)
    return delivery.value


def test_equal_content_has_one_key_and_each_event_a_name_of_its_own() -> None:
    one, other = observed(event(version="1")), observed(event(version="2"))
    assert one.fingerprint == other.fingerprint
    assert one.name != other.name
    assert observed(event(version="1")).name == one.name, "a retry hits the same name"


@pytest.mark.parametrize(
    "other",
    [
        event({"data": {"value": 2}}),
        event(name="v"),
        event({"data": {"value": 1}, "severity": "critical"}),
    ],
)
def test_what_is_said_of_whom_and_how_bad_it_is_makes_the_key(other: RawEvent) -> None:
    assert observed(other).fingerprint != observed(event()).fingerprint


def test_the_ingester_is_always_part_of_the_key() -> None:
    assert observed(event(), ingester="j").fingerprint != observed(event()).fingerprint
    narrow, other = (observed(event(), ingester=i, fields=("data.value",)) for i in "ij")
    assert narrow.fingerprint != other.fingerprint


def test_times_do_not_make_a_key() -> None:
    timed: list[Fields] = [{"data": {"value": 1}, "status": {"lastSeenTime": n}} for n in (1, 2)]
    one, other = (observed(event(body)) for body in timed)
    assert one.fingerprint == other.fingerprint


def test_fields_alone_make_the_key_beside_the_subject() -> None:
    fields = ("data.value",)
    one = observed(event({"data": {"value": 1, "beside": 1}}), fields=fields)
    same = observed(event({"data": {"value": 1, "beside": 2}}), fields=fields)
    other = observed(event({"data": {"value": 2, "beside": 1}}), fields=fields)
    elsewhere = observed(event(name="v"), fields=fields)
    assert one.fingerprint == same.fingerprint
    assert len({one.fingerprint, other.fingerprint, elsewhere.fingerprint}) == 3


@pytest.mark.parametrize(
    ("raw", "listed"),
    [
        (event(), False),
        (event(change=Change.ADDED), False),
        (event(change=Change.ADDED, initial=True), True),
        (event(change=Change.RESYNC), True),
    ],
)
def test_a_list_shows_what_is_and_a_watch_what_happens(raw: RawEvent, *, listed: bool) -> None:
    occurrence = observed(raw).occurrence
    assert occurrence is not None
    assert (occurrence.opening, occurrence.listed) == ("u/1", listed)


def test_the_end_of_an_object_changes_nothing_that_happened() -> None:
    ledger = Ledger()
    source = Source[RawEvent]()
    spec = Normalise(ingester_namespace="n", ingester="i", source="s", occurrences=True)
    source.pipe(deliver(ledger, clock=lambda: 0), normalise(spec)).subscribe()
    source.on_next(event(change=Change.DELETED))
    assert ledger.endings == {(Ending.FILTERED, "departed"): 1}


def test_a_report_is_told_by_its_title_and_zen_watchers_six() -> None:
    report: Fields = {"rule": "shell", "output": "a", "time": 1}
    assert of_report(report, "t", fields=None) == of_report({"rule": "shell"}, "t", fields=None)
    assert of_report(report, "t", fields=None) != of_report(report, "u", fields=None)
    for name in ("vulnerabilityID", "rule", "policy", "reason", "auditID", "checkId"):
        other = report | {name: "other"}
        assert of_report(other, "t", fields=None) != of_report(report, "t", fields=None)
    assert of_report(report, "t", fields=("output",)) == {"output": "a"}
