"""The final report: the Observations as kubectl lists them, outcome counts, event timelines; or one JSON object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from demo.measurements import Measurements, SettledEvent
from demo.view import outcomes
from operators.model.outcome import UNSETTLED, Ending, Outcome
from streams.cluster.session import Session
from streams.observability.spans import Span
from streams.runtime.lifecycle import equation
from streams.runtime.pipeline import Pipeline

SHOWN_MOST = 15
PATH = "/apis/zen.kube-zen.io/v1alpha1/observations"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_GAP = "   "


class ListError(Exception):
    """The Observations could not be listed; the message has the reason."""


class _Column(msgspec.Struct):
    name: str
    priority: int = 0


class _Metadata(msgspec.Struct, rename="camel"):
    namespace: str = ""
    creation_timestamp: str = ""
    resource_version: str = "0"


class _Partial(msgspec.Struct):
    metadata: _Metadata


class _Row(msgspec.Struct):
    cells: list[object]
    partial: _Partial = msgspec.field(name="object")


class _Table(msgspec.Struct, rename="camel"):
    column_definitions: list[_Column]
    rows: list[_Row] = []


@dataclass(frozen=True, slots=True)
class Listing:
    """The Observations of one list request, newest first: the header, and a row of cells each."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self, *, most: int = SHOWN_MOST) -> list[str]:
        """Format at most ``most`` rows as kubectl does, and the count of the rest."""
        shown = [self.header, *self.rows[:most]]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        lines = [_GAP.join(map(str.ljust, row, widths)).rstrip() for row in shown]
        more = len(self.rows) - most
        return [*lines, f"... and {more} more"] if more > 0 else lines


async def observations(session: Session) -> Listing:
    """Request the table. Raises ``ListError``, and what the session raises."""
    response = await session.request("GET", PATH, verb="list", headers={"Accept": _TABLE})
    if response.status != 200:  # noqa: PLR2004
        raise ListError(f"GET {PATH}: {response.status} {response.reason}: {response.message}")
    table = msgspec.json.decode(response.body, type=_Table)
    kept = [at for at, column in enumerate(table.column_definitions) if not column.priority]
    names = [table.column_definitions[at].name.upper() for at in kept]
    newest_first = sorted(table.rows, key=_age, reverse=True)
    return Listing(
        ("NAMESPACE", *names),
        tuple((row.partial.metadata.namespace, *_cells(row, kept)) for row in newest_first),
    )


def _age(row: _Row) -> tuple[str, int]:
    metadata = row.partial.metadata
    return metadata.creation_timestamp, int(metadata.resource_version)


def _cells(row: _Row, kept: Sequence[int]) -> list[str]:
    """Format cells as kubectl prints them: an absent value is empty, not the word None."""
    return ["" if row.cells[at] is None else str(row.cells[at]) for at in kept]


WIDTH = 40
_PREFIXES = ("zenstreams.", "http.")
_CONSTANT_ATTRIBUTES = frozenset(
    {"k8s.audit_id", "server.address", "server.port", "zenstreams.buffer.policy"}
)
"""Attributes with the same value on every event."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A span in nanoseconds, and the decisions recorded on it."""

    name: str
    start_ns: int
    end_ns: int
    note: str = ""


def bars_of(spans: Sequence[Span]) -> list[Bar]:
    """Convert the spans of a trace but its root, which covers the whole event."""
    return [
        Bar(span.name, span.start_ns, span.end_ns, ", ".join(_notes(span))) for span in spans[1:]
    ]


def waterfall(bars: Sequence[Bar], *, block: str = "█") -> list[str]:
    """Draw the bars, a line each: stage, milliseconds, bar, note."""
    if not bars:
        return []
    first_ns, last_ns = bars[0].start_ns, bars[-1].end_ns
    widest = max(len(bar.name) for bar in bars)
    scale = WIDTH / max(last_ns - first_ns, 1)
    lines: list[str] = []
    for bar in bars:
        left = min(int((bar.start_ns - first_ns) * scale), WIDTH - 1)
        right = max(int((bar.end_ns - first_ns) * scale), left + 1)
        drawn = (" " * left + block * (right - left)).ljust(WIDTH)
        took_ms = (bar.end_ns - bar.start_ns) / 1e6
        lines.append(f"{bar.name:<{widest}} {took_ms:>9.3f} ms |{drawn}| {bar.note}".rstrip())
    return lines


def outcome_text(outcome: Outcome) -> str:
    """Format an outcome as one line."""
    more = (outcome.operation, outcome.reason, outcome.detail)
    return ": ".join((outcome.ending.value, *(one for one in more if one)))


def _notes(span: Span) -> Iterator[str]:
    for key, value in span.all_attributes:
        if key not in _CONSTANT_ATTRIBUTES:
            for prefix in _PREFIXES:
                key = key.removeprefix(prefix)  # noqa: PLW2901
            yield f"{key}={value}"
    if span.error_type:
        yield f"error={span.error_type}"


EXPLAINED = (Ending.STORED, Ending.DEDUPLICATED)
"""The timeline of the newest event of each of these outcomes is shown."""


def report(
    sources: Sequence[Pipeline], measurements: Measurements, *, listing: Listing, block: str
) -> list[str]:
    """Format the report as lines of text."""
    lines = [f"{len(listing.rows)} Observations (kubectl get observations -A), newest first:", ""]
    lines += [*listing.lines(), "", "Every event has one outcome:", ""]
    widest = max(len(source.source_name) for source in sources)
    for source in sources:
        balance = f"balance {source.ledger.balance}"
        lines.append(f"  {source.source_name:<{widest}}  {equation(source.ledger)}; {balance}")
    for ending in EXPLAINED:
        ended = measurements.newest.get(ending)
        if ended is not None:
            lines += ["", *_timeline(ended, block=block)]
    return lines


def summary(
    sources: Sequence[Pipeline],
    *,
    observations: int,
    spans_built: int,
    duration_seconds: float,
) -> str:
    """Format the counts as one JSON object."""
    return msgspec.json.encode(
        {
            "sources": {
                source.source_name: {
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


def _timeline(ended: SettledEvent, *, block: str) -> list[str]:
    ticket = ended.ticket
    bars = bars_of(ended.source.spans(ticket))
    took_ms = (bars[-1].end_ns - bars[0].start_ns) / 1e6 if bars else 0.0
    outcome = outcome_text(ticket.outcome or UNSETTLED)
    head = f"{ended.source.ingester}: {ticket.key}, {took_ms:.3f} ms, {outcome}"
    return [head, *(f"  {line}" for line in waterfall(bars, block=block))]
