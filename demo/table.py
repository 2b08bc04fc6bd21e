"""The live view: a row for each source on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from demo.hearing import Hearing
from operators.model.outcome import FAULTS, LOST, Ending
from streams.runtime.running import RunningSource

USUAL = (Ending.STORED, Ending.DEDUPLICATED, Ending.FILTERED, Ending.COALESCED)
"""Endings that have a column even while there is none of them."""
_STYLES = {Ending.STORED: "green"} | dict.fromkeys(LOST, "yellow") | dict.fromkeys(FAULTS, "red")


def outcomes(source: RunningSource) -> dict[Ending, int]:
    """How the events of a source ended, in the order of the closed set, without those there were none of."""
    counts: Counter[Ending] = Counter()
    for (ending, _), count in source.ledger.endings.items():
        counts[ending] += count
    return {ending: counts[ending] for ending in Ending if counts[ending]}


def live_table(sources: Sequence[RunningSource], hearing: Hearing, *, title: str) -> Table:
    """Show each source's books as they are now."""
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
        took_ms = hearing.took_ms(source.ingester)
        table.add_row(
            source.source,
            str(source.ledger.received),
            *(str(met[source.ingester].get(ending, 0)) for ending in shown),
            str(source.ledger.in_flight),
            f"{hearing.per_second(source):.1f}",
            *(("-", "-") if took_ms is None else (f"{one:.1f}" for one in took_ms)),
        )
    return table


def live_line(sources: Sequence[RunningSource], hearing: Hearing, *, seconds: float) -> str:
    """Say the same of all sources together, in one line."""
    counts: Counter[Ending] = Counter()
    for source in sources:
        counts.update(outcomes(source))
    ended = " + ".join(f"{counts[one]} {one.value}" for one in Ending if counts[one]) or "0"
    received = sum(source.ledger.received for source in sources)
    in_flight = sum(source.ledger.in_flight for source in sources)
    rate = sum(hearing.per_second(source) for source in sources)
    took_ms = hearing.took_ms(*(source.ingester for source in sources))
    took = f", p50 {took_ms[0]:.1f} ms, p95 {took_ms[1]:.1f} ms" if took_ms is not None else ""
    return f"{seconds:6.1f} s  {received} received = {ended} + {in_flight} in flight; {rate:.1f}/s{took}"
