"""``zen-streams demo``: see the product at work, without a cluster."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from streams.cli.documents import fail
from streams.cli.run import finite

PACKAGES = ("demo", "operators", "sinks", "streams")
NOT_INSTALLED = (
    "the demonstration and its API server are in the repository alone, not in the image or the wheel: "
    "clone the repository, then run {command}"
)

DurationOption = Annotated[
    float,
    typer.Option(
        min=0, callback=finite, help="Seconds to feed; 0: until Ctrl-C.", metavar="SECONDS"
    ),
]
PerSecondOption = Annotated[
    float,
    typer.Option(min=0.1, callback=finite, help="Changes of objects per second.", metavar="N"),
]
KeepOption = Annotated[
    bool, typer.Option("--keep", help="Keep running after the report, for kubectl.")
]
AsJsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, and nothing else.")
]


def demo(
    *,
    duration: DurationOption = 30.0,
    rate: PerSecondOption = 20.0,
    keep: KeepOption = False,
    as_json: AsJsonOption = False,
) -> None:
    """Run the product against an embedded API server that is fed with realistic objects.

    Vulnerability reports as Trivy writes them, policy reports as Kyverno does, and Kubernetes
    Events. The first Ctrl-C ends the feed and reports, the second stops at once.

    Example: zen-streams demo --duration 10 --rate 50
    """
    with demo_imports("make demo"):
        from demo.demonstration import demonstrate  # noqa: PLC0415  heavy
        from demo.install import InstallError  # noqa: PLC0415  heavy
        from demo.report import ListError  # noqa: PLC0415  heavy
        from demo.show import Options  # noqa: PLC0415  heavy
        from demo.signal import FeedError  # noqa: PLC0415  heavy
        from streams.cluster.errors import ClusterError  # noqa: PLC0415  heavy
        from streams.runtime.app import run_loop  # noqa: PLC0415  heavy

    options = Options(duration_seconds=duration, per_second=rate, keep=keep, as_json=as_json)
    try:
        code = run_loop(demonstrate(options))
    except (FeedError, InstallError, ListError, ClusterError) as error:
        raise fail(error, code=1) from None
    raise typer.Exit(code)


@contextmanager
def demo_imports(command: str) -> Generator[None]:
    """Turn a failed import of the demonstration, or of a package it needs, into an error with its remedy.

    ``command`` is what runs the demonstration in a clone of the repository.
    """
    try:
        yield
    except ImportError as error:
        name = error.name or ""
        if name == "demo":
            raise fail(NOT_INSTALLED.format(command=command)) from None
        if name.partition(".")[0] in PACKAGES:
            raise  # a defect of the product: hidden by an advice to install something it could not be found
        raise fail(
            f"{error}: the embedded API server needs the packages of zen-streams[demo]: run make setup"
        ) from None
