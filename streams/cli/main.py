"""The command line; a command imports heavy modules only when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from streams.cli.apiserver import apiserver
from streams.cli.crds import crds
from streams.cli.demo import demo
from streams.cli.run import run as run_sources
from streams.cli.validate import validate

ABOUT = "Turn the signals of a Kubernetes cluster into deduplicated Observations."
START = """Start with:

\b
  zen-streams demo                          run a demonstration without a cluster
  zen-streams crds | kubectl apply -f -     install the CustomResourceDefinitions
  zen-streams validate -f ingesters/        check documents without a cluster
  zen-streams run -f ingesters/             run Ingesters against a cluster
  zen-streams apiserver                     serve an embedded API server to try documents
"""
EXIT_CODES = (
    "Exit codes: 0 no event was lost or interrupted; 1 some were; 2 wrong options or documents;"
    " 3 the API server rejected the credentials; 130 stopped by a second signal."
)

app = typer.Typer(
    name="zen-streams",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:
    if requested:
        from streams.runtime.settings import product_version  # noqa: PLC0415  heavy

        typer.echo(f"zen-streams {product_version()}")
        raise typer.Exit


@app.callback(help=f"{ABOUT}\n\n{START}", epilog=EXIT_CODES)
def top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Accept the options before a command."""


app.command("run", epilog=EXIT_CODES)(run_sources)
app.command("validate", epilog="Exit codes: 0 no errors; 2 errors, or no Ingester.")(validate)
app.command("crds")(crds)
app.command("demo", epilog=EXIT_CODES)(demo)
app.command("apiserver")(apiserver)


def run() -> None:
    """Entry point of the console script."""
    app()
