"""``zen-streams apiserver``: the embedded API server alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.demo import demo_imports
from streams.cli.documents import fail
from streams.cli.run import address

ListenOption = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="The address to serve on; port 0: any free port.")
]
WriteKubeconfigOption = Annotated[
    Path | None,
    typer.Option(
        dir_okay=False,
        metavar="FILE",
        help="Where to write the kubeconfig, which is removed at the end; default: a temporary file.",
    ),
]


def apiserver(
    *, listen: ListenOption = "127.0.0.1:0", write_kubeconfig: WriteKubeconfigOption = None
) -> None:
    """Serve the Kubernetes API from memory, with the definitions installed, until SIGTERM or Ctrl-C.

    For trying documents and clients: its objects exist in memory only.

    POST /debug/forget-history makes every older resourceVersion expire.

    Example: zen-streams apiserver --write-kubeconfig kubeconfig
    """
    with demo_imports("make setup and .venv/bin/zen-streams apiserver"):
        from demo.apiserver.credentials import KubeconfigError  # noqa: PLC0415  heavy
        from demo.demonstration import serve_alone  # noqa: PLC0415  heavy
        from demo.install import InstallError  # noqa: PLC0415  heavy
        from streams.runtime.app import run_loop  # noqa: PLC0415  heavy

    host, port = address(listen)
    try:
        run_loop(serve_alone(host, port, kubeconfig=write_kubeconfig, print_line=typer.echo))
    except KubeconfigError as error:
        raise fail(f"--write-kubeconfig {error}") from None
    except InstallError as error:
        raise fail(error) from None
    except OSError as error:
        raise fail(_describe(error, listen)) from None


def _describe(error: OSError, listen: str) -> str:
    """Name the option that caused the error: an error of a file has a file name, one of the address has none."""
    from streams.runtime.listening import system_message  # noqa: PLC0415  heavy

    if error.filename is not None:
        return f"--write-kubeconfig {error.filename}: {system_message(error)}"
    return f"--listen {listen}: {system_message(error)}"
