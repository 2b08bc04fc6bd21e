"""The end of a pipeline: the sink takes every delivery over, and only completion and failures pass on."""

from __future__ import annotations

from reactivex.subject import Subject

from operators.flow.delivery import Delivery, DescribedDelivery, Ledger, Ticket
from sinks.sink import Attempt, write_to
from tests.unit.sinks.world import observation


class Taking:
    """A sink that notes what it took over."""

    def __init__(self) -> None:
        self.taken: list[DescribedDelivery] = []

    def accept(self, delivery: DescribedDelivery) -> None:
        self.taken.append(delivery)


def delivery() -> DescribedDelivery:
    return Delivery(observation(), Ticket(Ledger(), lambda: 0))


def test_the_sink_takes_over_what_is_emitted_and_completion_passes() -> None:
    sink, source, seen = Taking(), Subject[DescribedDelivery](), list[object]()
    write_to(sink)(source).subscribe(seen.append, seen.append, lambda: seen.append("completed"))
    first, second = delivery(), delivery()

    source.on_next(first)
    source.on_next(second)
    assert (sink.taken, seen) == ([first, second], [])
    source.on_completed()
    assert seen == ["completed"]


def test_a_failure_of_the_source_passes() -> None:
    source, seen, error = Subject[DescribedDelivery](), list[object](), ValueError("broken")
    write_to(Taking())(source).subscribe(seen.append, seen.append, lambda: seen.append("completed"))

    source.on_error(error)

    assert seen == [error]


def test_what_unsubscribes_is_passed_nothing_more() -> None:
    sink, source = Taking(), Subject[DescribedDelivery]()
    write_to(sink)(source).subscribe().dispose()

    source.on_next(delivery())

    assert sink.taken == []


def test_an_attempt_without_a_response_has_the_status_0() -> None:
    assert Attempt("PATCH") == Attempt("PATCH", 0, 0.0)
