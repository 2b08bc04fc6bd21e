"""``zen-streams validate``: check documents without a cluster."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.documents import USAGE, FilesOption, fail, report


def validate(
    filename: FilesOption,
    strict: Annotated[
        bool, typer.Option("--strict", help="Treat an unknown field as an error.")
    ] = False,
) -> None:
    """Check documents without a cluster. Prints each error and warning with file, line and field path.

    Example: zen-streams validate -f ingesters/ --strict
    """
    from streams.config.load import load  # noqa: PLC0415  heavy

    loaded = load(filename, default_namespace="default")
    if report(loaded.findings, err=False, strict=strict):
        raise typer.Exit(USAGE)
    if not loaded.ingesters:
        raise fail("found no Ingester in these files; a document needs kind: Ingester")
