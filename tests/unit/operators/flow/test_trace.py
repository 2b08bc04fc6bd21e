"""Ids, links and the reservation of one event's trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from operators.flow.trace import WAIT, Trace
from tests.kit.raw_events import object_event

TRACE_ID, ROOT_ID = 0xABC, 1 << 63
PREFIX = f"00-{TRACE_ID:032x}-"


def trace(root_id: int = ROOT_ID, *, reserve: Callable[[], bool] = lambda: True) -> Trace:
    event = object_event("it")
    return Trace(TRACE_ID, root_id, 0, reserve, event.payload, event.subject, 2)


def test_spans_are_numbered_from_the_root_by_their_place() -> None:
    assert [trace().span_id(place) for place in range(3)] == [ROOT_ID + 1, ROOT_ID + 2, ROOT_ID + 3]


def test_a_wait_inside_a_request_has_an_id_that_no_mark_has() -> None:
    assert trace().span_id(0) ^ WAIT == ROOT_ID + (1 << 32) + 1


@pytest.mark.parametrize("granted", [True, False])
def test_the_export_is_reserved_once(*, granted: bool) -> None:
    requested = list[bool]()

    def reserve() -> bool:
        requested.append(granted)
        return granted

    one = trace(reserve=reserve)
    assert one.reserved is None
    assert [one.reserve(), one.reserve()] == [granted, granted]
    assert (one.reserved, requested) == (granted, [granted])


def test_the_sampled_flag_is_set_once_the_export_is_reserved() -> None:
    one = trace()
    assert one.traceparent == f"{PREFIX}{ROOT_ID:016x}-00"
    one.reserve()
    assert one.traceparent == f"{PREFIX}{ROOT_ID:016x}-01"


def test_a_request_carries_the_id_of_its_own_span() -> None:
    correlation = trace().correlation(4)

    assert correlation.traceparent == f"{PREFIX}{ROOT_ID + 5:016x}-00"
    assert correlation.audit_id == f"{TRACE_ID:032x}-{ROOT_ID + 5:016x}"


def test_a_trace_begins_without_attempts_links_or_an_end() -> None:
    one = trace()

    assert (one.attempts, one.absorbed, one.absorbed_count, one.ended_ns) == (0, (), 0, 0)


def test_what_replaced_others_links_to_them_and_to_what_they_replaced() -> None:
    oldest, older, newest = (trace(root_id) for root_id in (1, 2, 3))
    older.absorb(oldest)
    newest.absorb(older)
    newest.absorb(trace(4))

    assert newest.absorbed == ((TRACE_ID, 4), (TRACE_ID, 2), (TRACE_ID, 1))
    assert newest.absorbed_count == 3


def test_links_are_32_at_most_and_counted_beyond() -> None:
    one = trace()
    for root_id in range(1, 41):
        one.absorb(trace(root_id))

    assert one.absorbed == tuple((TRACE_ID, root_id) for root_id in range(40, 8, -1))
    assert one.absorbed_count == 40
