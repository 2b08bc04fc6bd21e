"""The documents a command was given, and what it says of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.config.findings import Finding, FindingKind, Severity

USAGE = 2
"""The exit code for usage and documents."""

Files = Annotated[
    list[Path],
    typer.Option(
        "-f", "--filename", help="A file of Ingesters, or a directory of such files; repeatable."
    ),
]


def tell(findings: Iterable[Finding], *, err: bool, strict: bool = False) -> int:
    """Print findings by file and line, their counts last; say how many are errors.

    Under ``strict`` a field that nobody knows is an error.
    """
    judged = (_strictly(finding) if strict else finding for finding in findings)
    ordered = sorted(judged, key=lambda finding: (finding.file, finding.line))
    for finding in ordered:
        typer.echo(printable(str(finding)), err=err)
    counts = dict.fromkeys(Severity, 0)
    for finding in ordered:
        counts[finding.severity] += 1
    said = (f"{count} {severity}{'s'[: count != 1]}" for severity, count in counts.items())
    typer.echo(", ".join(said), err=err)
    return counts[Severity.ERROR]


def printable(text: str) -> str:
    """Write what a terminal would obey as an escape: documents may come from anybody."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def fail(message: object, *, code: int = USAGE) -> typer.Exit:
    """Say in one line why a command ends, and make what has to be raised."""
    typer.echo(f"error: {printable(str(message))}", err=True)
    return typer.Exit(code)


def _strictly(finding: Finding) -> Finding:
    if finding.kind is FindingKind.UNKNOWN_FIELD:
        return replace(finding, severity=Severity.ERROR)
    return finding
