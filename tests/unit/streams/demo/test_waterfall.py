from __future__ import annotations

from itertools import pairwise

from operators.delivery import Ledger, Ticket
from operators.outcome import Ending, Outcome
from sinks.asking import Attempt
from streams.demo.waterfall import WIDTH, Bar, bars_of, said, waterfall
from tests.kit.clocks import Ticks

MILLISECOND = 1_000_000
CREATED = Outcome(Ending.STORED, operation="created")


def test_a_stage_begins_where_the_one_before_it_let_go() -> None:
    clock = Ticks(MILLISECOND)
    ticket = Ticket(Ledger(), clock)
    ticket.mark("receive")
    ticket.mark("normalise", {"filter.rule": "minSeverity HIGH", "late": True})
    ticket.mark("write", Attempt("PATCH", 503, 0.25))
    ticket.mark("retry wait", 1.5)
    ticket.mark("write", Attempt("PATCH", 201))
    ticket.mark("write", Attempt("PATCH"))
    ticket.mark("end", CREATED)
    ticket.settle(CREATED)

    bars = bars_of(ticket)

    assert [bar.name for bar in bars] == [
        *("receive", "normalise", "write", "retry wait", "write", "write", "end"),
    ]
    assert bars[0].start_ns == ticket.began_ns
    assert all(one.end_ns == after.start_ns for one, after in pairwise(bars))
    assert [bar.note for bar in bars] == [
        "",
        "filter.rule=minSeverity HIGH, late=True",
        "PATCH 503, 250.0 ms of it for the client's own limit",
        "waited 1.5 s before the next try",
        "PATCH 201",
        "PATCH, no answer",
        "stored: created",
    ]


def test_every_bar_is_seen_and_stands_where_its_time_is() -> None:
    lines = waterfall(
        [
            Bar("buffer", 0, 1),
            Bar("normalise", 1, 10 * MILLISECOND),
            Bar("write", 10 * MILLISECOND, 40 * MILLISECOND, "201"),
        ],
        block="#",
    )
    drawn = [line.split("|")[1] for line in lines]

    assert [len(one) for one in drawn] == [WIDTH] * 3
    assert drawn[0] == "#".ljust(WIDTH)
    assert drawn[1] == ("#" * (WIDTH // 4)).ljust(WIDTH)
    assert drawn[2] == ("#" * (WIDTH - WIDTH // 4)).rjust(WIDTH)
    assert [line.partition("|")[0].split() for line in lines] == [
        ["buffer", "0.000", "ms"],
        ["normalise", "10.000", "ms"],
        ["write", "30.000", "ms"],
    ]
    assert lines[2].endswith("| 201")


def test_an_event_without_a_timeline_has_no_waterfall() -> None:
    assert waterfall([]) == []
    assert bars_of(Ticket(Ledger(), Ticks(1))) == []


def test_no_time_at_all_is_drawn_too() -> None:
    assert waterfall([Bar("buffer", 5, 5)], block="#")[0].count("#") == 1


def test_an_outcome_in_one_line() -> None:
    assert said(CREATED) == "stored: created"
    assert said(Outcome(Ending.FILTERED, "expired")) == "filtered: expired"
