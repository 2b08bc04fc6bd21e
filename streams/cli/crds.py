"""``zen-streams crds``: print the CustomResourceDefinitions, which have to be installed first."""

from __future__ import annotations

import typer


def crds() -> None:
    """Print the CustomResourceDefinitions of Ingesters and Observations.

    Example: zen-streams crds | kubectl apply --server-side -f -
    """
    from streams.config.crd import render  # noqa: PLC0415  heavy

    typer.echo(render(), nl=False)
