"""What is kept of an event that failed: whose it was, and why, without a secret."""

from __future__ import annotations

import logging

import pytest

from operators.flow.clock import utc_now
from operators.flow.delivery import Ledger, Ticket
from operators.model.outcome import Ending, Outcome
from sinks.dead_letters import DeadLetter, DeadLetters

TOKEN = "ghp_" + "Zq8" * 12


def noted(outcome: Outcome, *, key: object) -> list[DeadLetter]:
    letters = DeadLetters(now=utc_now)
    ticket = Ticket(Ledger(), lambda: 0)
    ticket.key = key
    ticket.settle(outcome)
    letters.note("shop/x", ticket)
    return list(letters.letters)


def test_a_secret_in_an_error_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (letter,) = noted(Outcome(Ending.FAILED, "sink", f"upstream said {TOKEN}"), key="shop/a")
    assert (letter.key, letter.detail) == ("shop/a", "upstream said ***")
    assert vars(caplog.records[0])["detail"] == "upstream said ***"


def test_an_event_without_a_name_has_no_key() -> None:
    (letter,) = noted(Outcome(Ending.DEAD_LETTERED, "undecodable"), key=object())
    assert letter.key == ""


def test_what_ended_well_is_none() -> None:
    assert noted(Outcome(Ending.STORED), key="shop/a") == []
