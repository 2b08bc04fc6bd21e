from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from operators.deduplicate import Dedup, Memory
from operators.model.event import Change, Departure, Kind, RawEvent
from operators.model.index import Index, Known
from operators.model.observation import Observation, Subject, Tally
from operators.model.outcome import Ending

NOW = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
T0 = "2026-11-20T05:59:30Z"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def observation(fingerprint: str = "f", *, resync: bool = False) -> Observation:
    about = Subject("v1", "ConfigMap", "n", "x")
    made = Observation("x", "n", "s", "security", "high", "custom_event", "a title", about)
    made.fingerprint, made.resync = fingerprint, resync
    return made


def memory(known: Known | None, *, passed_seconds: float = 0, enabled: bool = True) -> Memory:
    index = Index()
    if known is not None:
        index.put("x", known)
    spec = Dedup(enabled=enabled, window_seconds=60)
    return Memory(spec, index, now=lambda: NOW + timedelta(seconds=passed_seconds))


def test_what_is_known_ends_and_names_what_says_it_already() -> None:
    outcome = memory(Known("f", T0, T0, traceparent=TRACE)).verdict(observation())
    assert outcome is not None
    assert (outcome.ending, outcome.reason) == (Ending.DEDUPLICATED, "unchanged")
    assert (outcome.observation, outcome.link) == ("x", TRACE)


def test_what_is_not_described_cannot_be_compared() -> None:
    undescribed = observation()
    kind = Kind("", "v1", "configmaps", "ConfigMap", namespaced=True)
    undescribed.event = RawEvent(kind, Change.ADDED, "n", "x", "u", "1", b"{}")
    with pytest.raises(AssertionError, match="described"):
        memory(Known("f", T0, T0)).verdict(undescribed)


@pytest.mark.parametrize(
    ("known", "enabled"),
    [
        (None, True),
        (Known("g", T0, T0), True),
        (Known("f", T0, T0, resolved=True), True),
        (Known("f", T0, T0), False),
    ],
)
def test_what_is_new_goes_on(known: Known | None, *, enabled: bool) -> None:
    assert memory(known, enabled=enabled).verdict(observation()) is None


@pytest.mark.parametrize(("passed_seconds", "goes_on"), [(29, False), (30, True)])
def test_a_resync_refreshes_once_a_window(passed_seconds: float, *, goes_on: bool) -> None:
    known = Known("f", T0, T0)
    deciding = memory(known, passed_seconds=passed_seconds)
    assert (deciding.verdict(observation(resync=True)) is None) is goes_on
    assert deciding.verdict(observation()) is not None


@pytest.mark.parametrize("last_seen", ["", "yesterday", "2026-11-20T05:59:59"])
def test_a_resync_refreshes_what_has_no_moment(last_seen: str) -> None:
    assert memory(Known("f", T0, last_seen)).verdict(observation(resync=True)) is None


def test_a_told_event_ends_and_one_that_counts_on_does_not() -> None:
    known = Known("f", T0, T0, traceparent=TRACE, evidence={"e": 2})
    told, new = observation(), observation()
    told.tally, new.tally = Tally("e", 2, T0), Tally("e", 3, T0)
    outcome = memory(known).verdict(told)
    assert outcome is not None
    assert (outcome.ending, outcome.reason, outcome.link) == (Ending.DEDUPLICATED, "told", TRACE)
    assert memory(known).verdict(new) is None


def test_a_departure_with_nothing_to_resolve_is_filtered() -> None:
    gone = observation()
    gone.gone = Departure.DELETED
    for known in (None, Known("f", T0, T0, resolved=True)):
        outcome = memory(known).verdict(gone)
        assert outcome is not None
        assert outcome.ending is Ending.FILTERED
    assert memory(Known("f", T0, T0)).verdict(gone) is None
