"""What makes two occurrences equal, and how each is identified."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from reactivex.subject import Subject

from operators.decode import PipelineOrigin, classify, describe
from operators.decoders.generic import GenericDecoder
from operators.flow.clock import utc_now
from operators.flow.delivery import Admission, Delivery, Ledger, deliver
from operators.model.event import ApiResource, Change, RawEvent
from operators.model.identity import IngesterKey, OccurrenceIdentity, observation_name
from operators.model.observation import Observation, Occurrence, Removal
from operators.model.outcome import STOPPED
from tests.kit.raw_events import object_event

WIDGETS = ApiResource("apps", "v1", "widgets", "Widget", namespaced=True)
Fields = dict[str, object]


def event(
    body: Fields | None = None,
    *,
    name: str = "w",
    uid: str = "u",
    version: str = "1",
    change: Change = Change.MODIFIED,
    initial: bool = False,
    resource: ApiResource = WIDGETS,
) -> RawEvent:
    content = body or {"data": {"value": 1}}
    return object_event(
        name,
        {"metadata": {"name": name, "resourceVersion": version}, **content},
        resource=resource,
        change=change,
        uid=uid,
        version=version,
        initial=initial,
    )


def observed(
    raw: RawEvent,
    *,
    ingester: str = "i",
    source: str = "s",
    entry: str = "",
    fields: tuple[str, ...] | None = None,
) -> Observation:
    passed: list[Delivery[Observation | Removal]] = []
    admissions: Subject[Admission] = Subject()
    origin = PipelineOrigin(
        IngesterKey("n", ingester), source, entry=entry, occurrences=True, compared_fields=fields
    )
    decoder = GenericDecoder()
    admissions.pipe(
        deliver(Ledger(), clock=lambda: 0),
        classify(origin, decoder, now=utc_now),
        describe(origin, decoder),
    ).subscribe(passed.append)
    admissions.on_next(Admission(raw))
    (delivery,) = passed
    delivery.settle(STOPPED)
    assert isinstance(delivery.value, Observation)
    return delivery.value


def name_of(observation: Observation) -> str:
    return observation_name(observation.identity, readable=observation.identity.name)


def test_equal_content_has_one_key_and_each_event_a_name_of_its_own() -> None:
    one, other = observed(event(version="1")), observed(event(version="2"))
    assert one.fingerprint == other.fingerprint
    assert name_of(one) != name_of(other)
    assert name_of(observed(event(version="1"))) == name_of(one), "a retry hits the same name"
    assert one.identity.occurrence == OccurrenceIdentity(one.fingerprint, "u/1")
    assert one.classified.is_occurrence


@pytest.mark.parametrize(
    "other",
    [
        event({"data": {"value": 2}}),
        event(name="v"),
        event({"data": {"value": 1}, "severity": "critical"}),
        event(resource=replace(WIDGETS, kind="Gadget")),
        event(resource=replace(WIDGETS, group="example.org")),
    ],
)
def test_content_subject_and_severity_make_the_key(other: RawEvent) -> None:
    assert observed(other).fingerprint != observed(event()).fingerprint


def test_the_version_of_a_resource_is_no_part_of_the_key() -> None:
    newer = event(resource=replace(WIDGETS, version="v2"))
    fields = ("data.value",)
    one, other = (observed(each, fields=fields) for each in (event(), newer))
    assert one.fingerprint == other.fingerprint


def test_the_group_of_a_resource_is_part_of_the_key() -> None:
    other = ApiResource("batch", "v1", "widgets", "Widget", namespaced=True)
    one, another = (observed(it, fields=("data",)) for it in (event(), event(resource=other)))
    assert one.fingerprint != another.fingerprint


def test_the_ingester_its_entry_and_its_source_are_always_part_of_the_key() -> None:
    for fields in (None, ("data.value",)):
        keys = {
            observed(event(), fields=fields).fingerprint,
            observed(event(), fields=fields, ingester="j").fingerprint,
            observed(event(), fields=fields, source="t").fingerprint,
            observed(event(), fields=fields, entry="second").fingerprint,
        }
        assert len(keys) == 4


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
        (event(change=Change.TIMER), False),
        (event(change=Change.ADDED, initial=True), True),
        (event(change=Change.RESYNC), True),
    ],
)
def test_a_list_shows_what_is_and_a_watch_what_happens(raw: RawEvent, *, listed: bool) -> None:
    assert observed(raw).occurrence == Occurrence("u", "1", listed)


def test_an_object_without_a_uid_is_known_by_its_key() -> None:
    occurrence = observed(event(uid="")).occurrence
    assert occurrence is not None
    assert occurrence.opened == "shop/w/1"
