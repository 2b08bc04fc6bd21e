"""What is shown, by its structure: every number has its place, and nothing is written that is not shown."""

from __future__ import annotations

import io
import re
from typing import Any, cast

import msgspec
from rich.console import Console

from demo.measurements import NEWEST_MOST, Measurements
from demo.report import Listing, report, summary
from demo.view import View, live_line, live_table, write
from operators.flow.delivery import Ledger, Ticket
from operators.model.outcome import NEWER, Ending, Outcome
from streams.observability.spans import Span, SpanKind
from streams.runtime.pipeline import Pipeline
from tests.kit.clocks import Ticks

FULL = Outcome(Ending.DROPPED, "full")
STORED = Outcome(Ending.STORED, operation="created")
SAME = Outcome(Ending.DEDUPLICATED, "unchanged")
MILLISECOND = 1_000_000
LISTING = Listing(
    ("NAMESPACE", "NAME", "AGE"), tuple(("shop", f"trivy-{n}", f"{n}s") for n in range(20))
)


class Source:
    """A ledger without a source."""

    def __init__(self, name: str, clock: Ticks, measurements: Measurements) -> None:
        self.source_name = name
        self.ingester = f"default/{name}"
        self.ledger = Ledger()
        self._clock = clock
        self._measurements = measurements

    def spans(self, ticket: Ticket) -> list[Span]:
        """A root, and a span for each mark."""
        stays = [
            Span(name, SpanKind.INTERNAL, 1, 1, at_ns, at_ns) for name, at_ns, _ in ticket.marks
        ]
        return [Span("process", SpanKind.CONSUMER, 1, 0, 0, 0), *stays]

    def end(self, *outcomes: Outcome | None) -> None:
        """Let events end so; None stays in flight."""
        for number, outcome in enumerate(outcomes):
            ticket = Ticket(self.ledger, self._clock)
            ticket.key = f"shop/o{number}"
            ticket.mark("receive")
            ticket.mark("write")
            if outcome is None:
                self.open = ticket
                continue
            ticket.settle(outcome)
            self._measurements.record(cast("Pipeline", self), ticket)


def demonstrated() -> tuple[list[Pipeline], Measurements]:
    clock = Ticks(MILLISECOND)
    measurements = Measurements(clock)
    trivy, events = Source("trivy", clock, measurements), Source("events", clock, measurements)
    trivy.end(*[STORED] * 3, *[SAME] * 2, None)
    events.end(STORED, FULL, NEWER)
    return cast("list[Pipeline]", [trivy, events]), measurements


def text_of(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return cast("io.StringIO", console.file).getvalue()


def test_the_table_has_a_row_for_each_source_and_a_column_for_each_ending() -> None:
    lines = text_of(live_table(*demonstrated(), title="3 s")).splitlines()
    rows = [[cell.strip() for cell in re.split("[┃│]", line)[1:-1]] for line in lines]
    (header,) = [row for row in rows if "source" in row]

    assert header == [
        *("source", "received", "stored", "filtered", "deduplicated", "coalesced", "dropped"),
        *("in flight", "events/s", "p50 ms", "p95 ms"),
    ]
    counts = {row[0]: row[1:8] for row in rows if row and row[0] in {"trivy", "events"}}
    assert counts == {
        "trivy": ["6", "3", "0", "2", "0", "0", "1"],
        "events": ["3", "1", "0", "0", "1", "1", "0"],
    }


def test_a_line_has_the_equation_of_all_sources() -> None:
    line = live_line(*demonstrated(), seconds=3.0)

    assert "9 received = 4 stored + 2 deduplicated + 1 coalesced + 1 dropped + 1 in flight" in line
    # 3 ticks of 1 ms from each event's begin to the measurements of its end
    assert re.search(r"p50 3\.0 ms, p95 3\.0 ms$", line)


def test_the_percentiles_are_those_of_the_newest_events() -> None:
    clock = Ticks(100 * MILLISECOND)
    measurements = Measurements(clock)
    source = Source("trivy", clock, measurements)
    source.end(*[STORED] * NEWEST_MOST)
    assert measurements.took_ms("default/trivy") == (300.0, 300.0)
    clock.step_ns = MILLISECOND
    source.end(*[STORED] * (NEWEST_MOST - 40))
    assert measurements.took_ms("default/trivy") == (3.0, 3.0)
    assert measurements.took_ms("default/another") is None


def test_the_rate_is_of_the_last_seconds() -> None:
    clock = Ticks(0)
    measurements = Measurements(clock)
    source = Source("trivy", clock, measurements)
    one = cast("Pipeline", source)
    assert measurements.per_second(one) == 0
    for _ in range(10):
        source.end(STORED)
        clock.now_ns += 1000 * MILLISECOND
        assert measurements.per_second(one) == 1
    for _ in range(6):
        clock.now_ns += 1000 * MILLISECOND
        measurements.per_second(one)
    assert measurements.per_second(one) == 0


def test_the_report_lists_adds_up_and_explains() -> None:
    sources, measurements = demonstrated()
    lines = report(sources, measurements, listing=LISTING, block="#")

    assert lines[0] == "20 Observations (kubectl get observations -A), newest first:"
    assert lines[2].split() == ["NAMESPACE", "NAME", "AGE"]
    assert lines[3].split() == ["shop", "trivy-0", "0s"]
    assert lines[18] == "... and 5 more"
    assert (
        "  trivy   6 received = 2 deduplicated (unchanged) + 3 stored + 1 in flight; balance 0"
        in lines
    )
    explained = [line for line in lines if " ms, " in line]
    assert [line.rpartition(", ")[2] for line in explained] == [
        "stored: created",
        "deduplicated: unchanged",
    ]
    assert sum("|" in line for line in lines) == 4


def test_few_observations_are_listed_whole() -> None:
    assert LISTING.lines(most=20)[-1].split() == ["shop", "trivy-19", "19s"]
    assert Listing(("NAMESPACE",), ()).lines() == ["NAMESPACE"]


def test_the_summary_is_one_object() -> None:
    sources, _ = demonstrated()
    text = summary(sources, observations=20, spans_built=0, duration_seconds=3.00049)

    assert "\n" not in text
    assert msgspec.json.decode(text) == {
        "sources": {
            "trivy": {"received": 6, "outcomes": {"stored": 3, "deduplicated": 2}, "in_flight": 1},
            "events": {
                "received": 3,
                "outcomes": {"stored": 1, "coalesced": 1, "dropped": 1},
                "in_flight": 0,
            },
        },
        "observations": 20,
        "spans_built": 0,
        "duration_seconds": 3.0,
    }


def test_elsewhere_than_on_a_terminal_a_line_is_written_and_no_control_character() -> None:
    console = Console(file=io.StringIO(), width=40)
    sources, measurements = demonstrated()
    with View(console, sources, measurements, clock=Ticks(MILLISECOND)) as view:
        view.show()
        view.show()
    written = cast("io.StringIO", console.file).getvalue()

    assert written.count("received") == written.count("\n") == 2
    assert written.replace("\n", "").isprintable()


def test_on_a_terminal_the_last_table_stays() -> None:
    console = Console(
        file=io.StringIO(), width=200, force_terminal=True, _environ={"TERM": "xterm"}
    )
    sources, measurements = demonstrated()
    with View(console, sources, measurements, clock=Ticks(MILLISECOND)) as view:
        view.show()
    written = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", cast("io.StringIO", console.file).getvalue())

    assert "┃ received ┃" in written
    assert "│ trivy " in written


def test_a_terminal_that_cannot_move_its_cursor_gets_lines() -> None:
    console = Console(file=io.StringIO(), width=200, force_terminal=True, _environ={"TERM": "dumb"})
    sources, measurements = demonstrated()
    with View(console, sources, measurements, clock=Ticks(MILLISECOND)) as view:
        view.show()

    assert cast("io.StringIO", console.file).getvalue().count("9 received = ") == 1


def test_markup_in_what_is_written_is_not_interpreted() -> None:
    console = Console(file=io.StringIO(), width=20)
    write(console, "[red]not red[/] :smile: " + "x" * 40)

    assert (
        cast("io.StringIO", console.file).getvalue() == "[red]not red[/] :smile: " + "x" * 40 + "\n"
    )
