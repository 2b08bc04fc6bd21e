"""``zen-streams validate``: say offline what is wrong with documents."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.documents import USAGE, Files, fail, tell


def validate(
    filename: Files,
    strict: Annotated[
        bool, typer.Option("--strict", help="Make a field that nobody knows an error.")
    ] = False,
) -> None:
    """Check documents without a cluster: each finding with file, line and field.

    Example: zen-streams validate -f ingesters/ --strict
    """
    from streams.config.load import load  # noqa: PLC0415  heavy

    loaded = load(filename, default_namespace="default")
    if tell(loaded.findings, err=False, strict=strict):
        raise typer.Exit(USAGE)
    if not loaded.ingesters:
        raise fail("no Ingester in what was given")
