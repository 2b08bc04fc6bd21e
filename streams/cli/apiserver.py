"""``zen-streams apiserver``: the embedded API server alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.demo import extra
from streams.cli.documents import fail
from streams.cli.run import address

Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where to serve; port 0 takes a free one.")
]
WriteKubeconfig = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        metavar="FILE",
        help="Where to write the way to it; default: a file that goes with it.",
    ),
]


def apiserver(*, listen: Listen = "127.0.0.1:0", write_kubeconfig: WriteKubeconfig = None) -> None:
    """Serve the Kubernetes API from memory, the definitions installed, until told to stop.

    It is for trying things: what it holds is gone with it.

    POST /debug/forget-history makes every older resourceVersion expire.

    Example: zen-streams apiserver --write-kubeconfig kubeconfig
    """
    with extra():
        from demo.apiserver.server import ExtraMissingError  # noqa: PLC0415  heavy
        from demo.definitions import InstallError  # noqa: PLC0415  heavy
        from demo.embedded import serve_alone  # noqa: PLC0415  heavy
        from streams.runtime.app import run_loop  # noqa: PLC0415  heavy

    host, port = address(listen)
    try:
        run_loop(serve_alone(host, port, kubeconfig=write_kubeconfig, tell=typer.echo))
    except (ExtraMissingError, InstallError) as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(_said(error, listen)) from None


def _said(error: OSError, listen: str) -> str:
    """Which option it is about: an error of a file names the file, one of the address does not."""
    from streams.runtime.listening import cause_of  # noqa: PLC0415  heavy

    if error.filename is not None:
        return f"--write-kubeconfig {error.filename}: {cause_of(error)}"
    return f"--listen {listen}: {cause_of(error)}"
