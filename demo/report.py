"""What a demonstration says at its end: Observations, books and timelines, or all counts as one JSON object."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from demo.hearing import Ended, Hearing
from demo.listing import Listing
from demo.table import outcomes
from demo.waterfall import bars_of, said, waterfall
from operators.model.outcome import UNSETTLED, Ending
from streams.runtime.lifecycle import equation
from streams.runtime.running import RunningSource

EXPLAINED = (Ending.STORED, Ending.DEDUPLICATED)
"""Of each of these endings the newest event is shown."""


def report(
    sources: Sequence[RunningSource], hearing: Hearing, *, listing: Listing, block: str
) -> list[str]:
    """Say it to a person, in lines."""
    lines = [f"{len(listing.rows)} Observations (kubectl get observations -A), newest first:", ""]
    lines += [*listing.lines(), "", "Every event has one outcome:", ""]
    widest = max(len(source.source) for source in sources)
    for source in sources:
        balance = f"balance {source.ledger.balance}"
        lines.append(f"  {source.source:<{widest}}  {equation(source.ledger)}; {balance}")
    for ending in EXPLAINED:
        ended = hearing.newest.get(ending)
        if ended is not None:
            lines += ["", *_timeline(ended, block=block)]
    return lines


def summary(
    sources: Sequence[RunningSource],
    *,
    observations: int,
    spans_built: int,
    duration_seconds: float,
) -> str:
    """Say it to a program: one JSON object."""
    return msgspec.json.encode(
        {
            "sources": {
                source.source: {
                    "received": source.ledger.received,
                    "outcomes": {one.value: count for one, count in outcomes(source).items()},
                    "in_flight": source.ledger.in_flight,
                }
                for source in sources
            },
            "observations": observations,
            "spans_built": spans_built,
            "duration_seconds": round(duration_seconds, 3),
        }
    ).decode()


def _timeline(ended: Ended, *, block: str) -> list[str]:
    ticket = ended.ticket
    bars = bars_of(ended.source.spans(ticket))
    took_ms = (bars[-1].end_ns - bars[0].start_ns) / 1e6 if bars else 0.0
    outcome = said(ticket.outcome or UNSETTLED)
    head = f"{ended.source.ingester}: {ticket.key}, {took_ms:.3f} ms, {outcome}"
    return [head, *(f"  {line}" for line in waterfall(bars, block=block))]
