"""The command line as a whole; a command imports what is heavy only when it runs."""

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
  zen-streams demo                          see it at work, without a cluster
  zen-streams crds | kubectl apply -f -     what has to be in the cluster
  zen-streams validate -f ingesters/        what is wrong with your documents
  zen-streams run -f ingesters/             the work
  zen-streams apiserver                     an API server to try documents against
"""
EXIT_CODES = (
    "Exit codes: 0 nothing lost or interrupted; 1 something was; 2 usage or documents;"
    " 3 credentials refused; 130 second signal."
)

app = typer.Typer(
    name="zen-streams",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:
    if asked:
        from streams.runtime.settings import product_version  # noqa: PLC0415  heavy

        typer.echo(f"zen-streams {product_version()}")
        raise typer.Exit


@app.callback(help=f"{ABOUT}\n\n{START}", epilog=EXIT_CODES)
def top(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Take what comes before a command."""


app.command("run", epilog=EXIT_CODES)(run_sources)
app.command("validate", epilog="Exit codes: 0 no error was found; 2 one was.")(validate)
app.command("crds")(crds)
app.command("demo", epilog=EXIT_CODES)(demo)
app.command("apiserver")(apiserver)


def run() -> None:
    """Enter from the shell."""
    app()
