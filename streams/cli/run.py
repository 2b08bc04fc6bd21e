"""``zen-streams run``: do the work, against a cluster, until told to stop."""

from __future__ import annotations

import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.documents import USAGE, Files, fail, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.config.plan import Plan
    from streams.runtime.settings import Settings

PORT_HIGHEST = 65535


def finite(value: float) -> float:
    """Refuse what is no number to count with. Raises ``typer.BadParameter``."""
    if not isfinite(value):
        raise typer.BadParameter(f"{value} is no number to count with")
    return value


def namespace_name(value: str | None) -> str | None:
    """Refuse what no namespace can be called. Raises ``typer.BadParameter``."""
    from streams.config.values import is_namespace_name  # noqa: PLC0415  heavy

    if value is not None and not is_namespace_name(value):
        raise typer.BadParameter(_no_namespace_name(value))
    return value


Kubeconfig = Annotated[
    str | None, typer.Option(help="Default: KUBECONFIG, ~/.kube/config, or the pod's own account.")
]
Context = Annotated[str | None, typer.Option(help="A context of the kubeconfig.")]
Namespace = Annotated[
    str | None,
    typer.Option(
        callback=namespace_name,
        help="The namespace of documents that name none; default: the context's.",
    ),
]
Grace = Annotated[
    float, typer.Option(min=0, callback=finite, help="Seconds to drain after the first signal.")
]
Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", help="Where to serve /livez, /readyz and /metrics.")
]
Rate = Annotated[float, typer.Option(min=0.1, callback=finite, help="Reads a second, on average.")]
Burst = Annotated[int, typer.Option(min=1, help="Reads at once.")]
WriteRate = Annotated[
    float, typer.Option(min=0.1, callback=finite, help="Writes a second, on average.")
]
WriteBurst = Annotated[int, typer.Option(min=1, help="Writes at once.")]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Run what is valid, whatever else is wrong.")
]
JsonLogs = Annotated[bool, typer.Option("--json-logs", help="Log one JSON object a line.")]


def run(
    filename: Files,
    *,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    namespace: Namespace = None,
    grace: Grace = 25.0,
    listen: Listen = "127.0.0.1:8080",
    qps: Rate = 5.0,
    burst: Burst = 10,
    write_qps: WriteRate = 5.0,
    write_burst: WriteBurst = 10,
    skip_invalid: SkipInvalid = False,
    json_logs: JsonLogs = False,
) -> None:
    """Keep an Observation of each subject that the Ingesters name, until told to stop.

    An error in any document stops it before it touches the cluster.

    The first SIGTERM or SIGINT drains, the second stops at once.

    Example: zen-streams run -f ingesters/ --listen 0.0.0.0:8080 --json-logs
    """
    from streams.runtime.settings import Settings  # noqa: PLC0415  heavy

    host, port = address(listen)
    settings = Settings(
        kubeconfig=kubeconfig,
        context=context,
        grace_seconds=grace,
        listen_host=host,
        listen_port=port,
        qps=qps,
        burst=burst,
        write_qps=write_qps,
        write_burst=write_burst,
    )
    plans = _plans(filename, settings, namespace=namespace, skip_invalid=skip_invalid)
    raise typer.Exit(_serve(plans, settings, json_logs=json_logs))


def address(text: str) -> tuple[str, int]:
    """Read HOST:PORT, an IPv6 host in brackets. Raises ``typer.BadParameter``."""
    host, _, port = text.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    if is_bracketed:
        host = host[1:-1]
    is_host = bool(host) and (is_bracketed or ":" not in host)
    if not (is_host and _is_port(port)):
        raise typer.BadParameter(
            f"found {text!r}; HOST:PORT is allowed, such as 127.0.0.1:8080 or [::]:8080",
            param_hint="--listen",
        )
    return host, int(port)


def _is_port(text: str) -> bool:
    # By its length first: Python refuses to read a number of thousands of digits.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(PORT_HIGHEST))
    return is_number and int(text) <= PORT_HIGHEST


def _plans(
    files: Sequence[Path], settings: Settings, *, namespace: str | None, skip_invalid: bool
) -> list[Plan]:
    from streams.config.load import load  # noqa: PLC0415  heavy
    from streams.config.plan import plan  # noqa: PLC0415  heavy

    no_way: Exception | None = None
    if namespace is None:
        namespace, no_way = _namespace(settings)
    loaded = load(files, default_namespace=namespace)
    errors = tell(loaded.findings, err=True) if loaded.findings else 0
    if no_way is not None:
        raise fail(no_way)
    if errors and not skip_invalid:
        raise typer.Exit(USAGE)
    plans = [plan(ingester) for ingester in loaded.ingesters if ingester.runnable]
    if not plans:
        raise fail("nothing to run: no valid Ingester that this version can run")
    return plans


def _namespace(settings: Settings) -> tuple[str, Exception | None]:
    """The context's namespace; without a way to the cluster the documents are read all the same."""
    from streams.cluster.access import Access  # noqa: PLC0415  heavy
    from streams.cluster.errors import ConfigurationError  # noqa: PLC0415  heavy
    from streams.config.values import is_namespace_name  # noqa: PLC0415  heavy

    try:
        access = Access.discover(settings.kubeconfig, context=settings.context)
    except ConfigurationError as error:
        return "default", error
    if not is_namespace_name(access.namespace):
        said = f"{access}: namespace: {_no_namespace_name(access.namespace)}"
        return "default", ConfigurationError(said)
    return access.namespace, None


def _no_namespace_name(text: str) -> str:
    from streams.config.values import NAMESPACE_CHARACTERS  # noqa: PLC0415  heavy

    return (
        f"found {text!r}; the name of a namespace is allowed: at most {NAMESPACE_CHARACTERS}"
        " lowercase letters, digits and '-', a letter or digit at both ends"
    )


def _serve(plans: Sequence[Plan], settings: Settings, *, json_logs: bool) -> int:
    from streams.cluster.errors import ConfigurationError  # noqa: PLC0415  heavy
    from streams.observability.logs import configure  # noqa: PLC0415  heavy
    from streams.runtime.app import serve  # noqa: PLC0415  heavy
    from streams.runtime.health import ListenError  # noqa: PLC0415  heavy

    configure(json_lines=json_logs, stream=sys.stderr)
    try:
        return serve(plans, settings)
    except (ConfigurationError, ListenError) as error:
        raise fail(error) from None
