"""The Observations as ``kubectl get observations -A`` lists them: the server's own table, with the CRD's columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from streams.cluster.session import Session

SHOWN = 15
PATH = "/apis/zen.kube-zen.io/v1alpha1/observations"
_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
_GAP = "   "


class ListError(Exception):
    """The Observations could not be listed; the text says why."""


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
    """All there were when asked, the newest first: the header, and a row of cells each."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def lines(self, *, most: int = SHOWN) -> list[str]:
        """Write them as kubectl does, at most so many, and how many more there are."""
        shown = [self.header, *self.rows[:most]]
        widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
        lines = [_GAP.join(map(str.ljust, row, widths)).rstrip() for row in shown]
        more = len(self.rows) - most
        return [*lines, f"... and {more} more"] if more > 0 else lines


async def observations(session: Session) -> Listing:
    """Ask for the table. Raises ``ListError``, and what the session raises."""
    answer = await session.request("GET", PATH, verb="list", headers={"Accept": _TABLE})
    if answer.status != 200:  # noqa: PLR2004
        raise ListError(f"GET {PATH}: {answer.status} {answer.reason}: {answer.message}")
    table = msgspec.json.decode(answer.body, type=_Table)
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
    """As kubectl prints them: nothing where there is nothing (``None`` would be read as a word)."""
    return ["" if row.cells[at] is None else str(row.cells[at]) for at in kept]
