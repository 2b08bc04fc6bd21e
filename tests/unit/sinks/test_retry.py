"""Whose fault a failure is, and how often a document that chooses nothing lets an occurrence be tried."""

from __future__ import annotations

from sinks.retry import FAILURES_AT_FAULT, Retry, Tries


def tries(successes: int, retry: Retry | None = None) -> Tries:
    return Tries(successes, random=lambda: 0.0, retry=retry)


def test_eight_failures_each_after_another_success_are_the_objects_fault() -> None:
    one = tries(5)
    for number in range(1, FAILURES_AT_FAULT):
        one.record_failure(5 + number)
        assert not one.exhausted
    one.record_failure(5 + FAILURES_AT_FAULT)
    assert one.exhausted
    assert FAILURES_AT_FAULT == 8


def test_one_success_makes_one_failure_count_and_not_those_after_it() -> None:
    one = tries(0)
    for _ in range(100):
        one.record_failure(1)
    assert not one.exhausted


def test_a_document_that_chooses_nothing_lets_an_occurrence_be_tried_three_times() -> None:
    one = tries(0, Retry())
    for _ in range(2):
        one.record_failure(0)
        assert not one.exhausted
    one.record_failure(0)
    assert one.exhausted
