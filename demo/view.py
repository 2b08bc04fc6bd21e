"""The live view: a table redrawn on a terminal, one line every few seconds elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from demo.measurements import Measurements
from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from operators.model.outcome import FAULTS, LOST, Ending
from streams.runtime.pipeline import Pipeline

USUAL = (Ending.STORED, Ending.DEDUPLICATED, Ending.FILTERED, Ending.COALESCED)
"""Outcomes that have a column even at zero."""
_STYLES = {Ending.STORED: "green"} | dict.fromkeys(LOST, "yellow") | dict.fromkeys(FAULTS, "red")


def outcomes(source: Pipeline) -> dict[Ending, int]:
    """Count the outcomes of a source, in the order of the closed set, without zeros."""
    counts: Counter[Ending] = Counter()
    for (ending, _), count in source.ledger.endings.items():
        counts[ending] += count
    return {ending: counts[ending] for ending in Ending if counts[ending]}


def live_table(sources: Sequence[Pipeline], measurements: Measurements, *, title: str) -> Table:
    """Build a table with the counts of each source."""
    met = {source.ingester: outcomes(source) for source in sources}
    shown = [one for one in Ending if one in USUAL or any(one in each for each in met.values())]
    table = Table(title=title, title_justify="left", title_style="", expand=False)
    table.add_column("source")
    table.add_column("received", justify="right")
    for ending in shown:
        table.add_column(ending.value, justify="right", style=_STYLES.get(ending, ""))
    for name in ("in flight", "events/s", "p50 ms", "p95 ms"):
        table.add_column(name, justify="right")
    for source in sources:
        took_ms = measurements.took_ms(source.ingester)
        table.add_row(
            source.source_name,
            str(source.ledger.received),
            *(str(met[source.ingester].get(ending, 0)) for ending in shown),
            str(source.ledger.in_flight),
            f"{measurements.per_second(source):.1f}",
            *(("-", "-") if took_ms is None else (f"{one:.1f}" for one in took_ms)),
        )
    return table


def live_line(sources: Sequence[Pipeline], measurements: Measurements, *, seconds: float) -> str:
    """Format the counts of all sources together as one line."""
    counts: Counter[Ending] = Counter()
    for source in sources:
        counts.update(outcomes(source))
    ended = " + ".join(f"{counts[one]} {one.value}" for one in Ending if counts[one]) or "0"
    received = sum(source.ledger.received for source in sources)
    in_flight = sum(source.ledger.in_flight for source in sources)
    rate = sum(measurements.per_second(source) for source in sources)
    took_ms = measurements.took_ms(*(source.ingester for source in sources))
    took = f", p50 {took_ms[0]:.1f} ms, p95 {took_ms[1]:.1f} ms" if took_ms is not None else ""
    return f"{seconds:6.1f} s  {received} received = {ended} + {in_flight} in flight; {rate:.1f}/s{took}"


TABLE_EVERY_SECONDS = 0.25
LINE_EVERY_SECONDS = 3.0


class View:
    """Live view of sources while entered; the last state stays on the terminal."""

    def __init__(
        self,
        console: Console,
        sources: Sequence[Pipeline],
        measurements: Measurements,
        *,
        clock: Clock,
    ) -> None:
        draws = console.is_terminal and not console.is_dumb_terminal
        self.every_seconds = TABLE_EVERY_SECONDS if draws else LINE_EVERY_SECONDS
        self._console = console
        self._sources = sources
        self._measurements = measurements
        self._clock = clock
        self._began_ns = clock()
        self._live = Live(console=console, auto_refresh=False) if draws else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @property
    def seconds(self) -> float:
        """Seconds since the view was created."""
        return (self._clock() - self._began_ns) / NANOSECONDS_PER_SECOND

    def show(self) -> None:
        """Redraw the table, or write a line."""
        if self._live is not None:
            title = f"{self.seconds:.0f} s"
            self._live.update(
                live_table(self._sources, self._measurements, title=title), refresh=True
            )
        else:
            write(self._console, live_line(self._sources, self._measurements, seconds=self.seconds))


def write(console: Console, *lines: str) -> None:
    """Write lines verbatim: not wrapped, no markup."""
    for line in lines:
        console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)
