"""``zen-streams demo``: see the product at work, without a cluster."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Annotated

import typer

from streams.cli.documents import fail
from streams.cli.run import finite

OURS = ("operators", "sinks", "streams")
LEFT_OUT = ("demo", "demo.apiserver")
"""What the image is made without."""

Duration = Annotated[
    float,
    typer.Option(
        min=0, callback=finite, help="Seconds to feed; 0 goes on until Ctrl-C.", metavar="SECONDS"
    ),
]
PerSecond = Annotated[
    float, typer.Option(min=0.1, callback=finite, help="Changes of objects a second.", metavar="N")
]
Keep = Annotated[
    bool, typer.Option("--keep", help="Stay up after the report, to be looked at with kubectl.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]


def demo(
    *,
    duration: Duration = 30.0,
    rate: PerSecond = 20.0,
    keep: Keep = False,
    as_json: AsJson = False,
) -> None:
    """Run the product against an API server of its own, which is fed with realistic objects.

    Vulnerability reports as Trivy writes them, policy reports as Kyverno does, and Kubernetes
    Events. The first Ctrl-C ends the feed and reports, the second stops at once.

    Example: zen-streams demo --duration 10 --rate 50
    """
    with extra():
        from demo.apiserver.server import ExtraMissingError  # noqa: PLC0415  heavy
        from demo.definitions import InstallError  # noqa: PLC0415  heavy
        from demo.demonstration import demonstrate  # noqa: PLC0415  heavy
        from demo.feeder import FeedError  # noqa: PLC0415  heavy
        from demo.listing import ListError  # noqa: PLC0415  heavy
        from demo.show import Options  # noqa: PLC0415  heavy
        from streams.cluster.errors import ClusterError  # noqa: PLC0415  heavy
        from streams.runtime.app import run_loop  # noqa: PLC0415  heavy

    options = Options(duration_seconds=duration, per_second=rate, keep=keep, as_json=as_json)
    try:
        code = run_loop(demonstrate(options))
    except (FeedError, InstallError, ListError, ClusterError) as error:
        raise fail(error, code=1) from None
    except ExtraMissingError as error:
        raise fail(error) from None
    raise typer.Exit(code)


@contextmanager
def extra() -> Generator[None]:
    """Say what to install where something is missing that the embedded API server needs."""
    try:
        yield
    except ImportError as error:
        name = error.name or ""
        if name.partition(".")[0] in OURS and name not in LEFT_OUT:
            raise
        raise fail(f"{error}: the embedded API server needs zen-streams[demo] installed") from None
