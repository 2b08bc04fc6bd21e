"""Options and output that commands which read documents share: files, findings, the error that ends a command."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.config.findings import Finding, FindingKind, FindingSeverity

USAGE = 2
"""Exit code for wrong options and for documents with errors."""

FilesOption = Annotated[
    list[Path],
    typer.Option(
        "-f",
        "--filename",
        help="File with Ingesters (.yaml, .yml, .json), or a directory with such files; may be given"
        " more than once.",
    ),
]


def report(findings: Iterable[Finding], *, err: bool, strict: bool = False) -> int:
    """Print findings in order of file and line, and their counts; return the number of errors.

    With ``strict`` an unknown field is an error. ``err`` prints to stderr.
    """
    judged = (_strictly(finding) if strict else finding for finding in findings)
    ordered = sorted(judged, key=lambda finding: (finding.file, finding.line))
    for finding in ordered:
        typer.echo(printable(str(finding)), err=err)
    counts = dict.fromkeys(FindingSeverity, 0)
    for finding in ordered:
        counts[finding.severity] += 1
    totals = (f"{count} {severity}{'s'[: count != 1]}" for severity, count in counts.items())
    typer.echo(", ".join(totals), err=err)
    return counts[FindingSeverity.ERROR]


def printable(text: str) -> str:
    """Replace control characters by their escapes: a document could otherwise send commands to the terminal."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def fail(message: object, *, code: int = USAGE) -> typer.Exit:
    """Print an error in one line to stderr; return the exception to raise, with the exit code."""
    typer.echo(f"error: {printable(str(message))}", err=True)
    return typer.Exit(code)


def _strictly(finding: Finding) -> Finding:
    if finding.kind is FindingKind.UNKNOWN_FIELD:
        return replace(finding, severity=FindingSeverity.ERROR)
    return finding
