"""What is kept of an event that failed: its key, and why, without a secret."""

from __future__ import annotations

import logging

import pytest

from operators.flow.clock import utc_now
from operators.flow.delivery import Ledger, Ticket
from operators.flow.trace import Trace
from operators.model.outcome import Ending, Outcome
from sinks.dead_letters import KEPT, DeadLetter, DeadLetters
from tests.kit.raw_events import object_event

TOKEN = "ghp_" + "Zq8" * 12


def settled(outcome: Outcome, *, key: object, trace: Trace | None = None) -> Ticket:
    ticket = Ticket(Ledger(), lambda: 0)
    ticket.key = key
    ticket.trace = trace
    ticket.settle(outcome)
    return ticket


def recorded(outcome: Outcome, *, key: object, trace: Trace | None = None) -> list[DeadLetter]:
    letters = DeadLetters(now=utc_now)
    letters.record("shop/x", settled(outcome, key=key, trace=trace))
    return list(letters.letters)


def test_a_secret_in_an_error_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (letter,) = recorded(Outcome(Ending.FAILED, "sink", f"upstream sent {TOKEN}"), key="shop/a")
    assert (letter.key, letter.detail) == ("shop/a", "upstream sent ***")
    assert vars(caplog.records[0])["detail"] == "upstream sent ***"
    assert (letter.trace_id, letter.span_id) == ("", "")


def test_an_event_without_a_name_has_no_key() -> None:
    (letter,) = recorded(Outcome(Ending.DEAD_LETTERED, "undecodable"), key=object())
    assert letter.key == ""


@pytest.mark.parametrize(
    "ending", [one for one in Ending if one.value not in {"failed", "dead_lettered"}]
)
def test_what_ended_by_no_fault_is_not_kept(ending: Ending) -> None:
    assert recorded(Outcome(ending), key="shop/a") == []


def test_a_traced_event_is_found_by_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    event = object_event("a")
    trace = Trace(10, 11, 0, lambda: False, event.payload, event.subject, 0)
    with caplog.at_level(logging.WARNING):
        (letter,) = recorded(Outcome(Ending.FAILED, "sink"), key="shop/a", trace=trace)
    assert (letter.trace_id, letter.span_id) == ("0" * 31 + "a", "0" * 15 + "b")
    fields = vars(caplog.records[0])
    assert (fields["trace_id"], fields["span_id"]) == (letter.trace_id, letter.span_id)


def test_the_newest_thousand_are_kept() -> None:
    assert KEPT == 1000
    letters = DeadLetters(now=utc_now)
    for number in range(KEPT + 2):
        letters.record("shop/x", settled(Outcome(Ending.FAILED, "sink"), key=f"shop/{number}"))
    assert len(letters.letters) == KEPT
    assert letters.letters[0].key == "shop/2"
