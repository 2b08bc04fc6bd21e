"""``zen-streams run``: run the Ingesters against a cluster until a signal stops the process."""

from __future__ import annotations

import sys
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.documents import FilesOption, fail, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.config.plan import Plan
    from streams.runtime.settings import Settings

PORT_HIGHEST = 65535


def finite(value: float) -> float:
    """Return a finite number unchanged. Raises ``typer.BadParameter`` for inf and nan."""
    if not isfinite(value):
        raise typer.BadParameter(f"found {value}, allowed: a finite number such as 10")
    return value


def namespace_name(value: str | None) -> str | None:
    """Return a valid name of a namespace unchanged. Raises ``typer.BadParameter`` for any other text."""
    from streams.config.values import is_namespace_name  # noqa: PLC0415  heavy

    if value is not None and not is_namespace_name(value):
        raise typer.BadParameter(_no_namespace_name(value))
    return value


KubeconfigOption = Annotated[
    str | None,
    typer.Option(
        help="Kubeconfig file; default: $KUBECONFIG, ~/.kube/config, or the pod's service account."
    ),
]
KubeContextOption = Annotated[
    str | None, typer.Option(help="Context of the kubeconfig; default: its current-context.")
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        callback=namespace_name,
        help="Namespace of documents without metadata.namespace; default: the context's namespace.",
    ),
]
GraceOption = Annotated[
    float,
    typer.Option(
        min=0, callback=finite, help="Seconds to wait for events in flight after the first signal."
    ),
]
ListenOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT", help="Address of /livez, /readyz and /metrics, such as 0.0.0.0:8080."
    ),
]
RateOption = Annotated[
    float,
    typer.Option(
        min=0.1,
        callback=finite,
        help="Read requests per second to the API server, on average; watches do not count.",
    ),
]
BurstOption = Annotated[int, typer.Option(min=1, help="Read requests at once after a pause.")]
WriteRateOption = Annotated[
    float,
    typer.Option(
        min=0.1, callback=finite, help="Write requests per second to the API server, on average."
    ),
]
WriteBurstOption = Annotated[int, typer.Option(min=1, help="Write requests at once after a pause.")]
SkipInvalidOption = Annotated[
    bool,
    typer.Option(
        "--skip-invalid", help="Run the valid Ingesters although other documents have errors."
    ),
]
JsonLogsOption = Annotated[
    bool, typer.Option("--json-logs", help="Log as JSON, one object per line.")
]


def run(
    filename: FilesOption,
    *,
    kubeconfig: KubeconfigOption = None,
    context: KubeContextOption = None,
    namespace: NamespaceOption = None,
    grace: GraceOption = 25.0,
    listen: ListenOption = "127.0.0.1:8080",
    qps: RateOption = 5.0,
    burst: BurstOption = 10,
    write_qps: WriteRateOption = 5.0,
    write_burst: WriteBurstOption = 10,
    skip_invalid: SkipInvalidOption = False,
    json_logs: JsonLogsOption = False,
) -> None:
    """Run the Ingesters: watch their resources, and keep an Observation for each object that they accept.

    An error in any document prevents the start; see --skip-invalid.

    The first SIGTERM or SIGINT stops reading and waits for the events in flight, the second stops at once.

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
            f"found {text!r}, allowed: HOST:PORT such as 127.0.0.1:8080 or [::]:8080",
            param_hint="--listen",
        )
    return host, int(port)


def _is_port(text: str) -> bool:
    # The length is checked first: int() raises ValueError for a text of more than 4300 digits.
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(PORT_HIGHEST))
    return is_number and int(text) <= PORT_HIGHEST


def _plans(
    files: Sequence[Path], settings: Settings, *, namespace: str | None, skip_invalid: bool
) -> list[Plan]:
    from streams.config.load import load  # noqa: PLC0415  heavy
    from streams.config.plan import plan  # noqa: PLC0415  heavy

    unreachable: Exception | None = None
    if namespace is None:
        namespace, unreachable = _namespace(settings)
    loaded = load(files, default_namespace=namespace)
    errors = report(loaded.findings, err=True) if loaded.findings else 0
    if unreachable is not None:
        raise fail(unreachable)
    if errors and not skip_invalid:
        raise fail("nothing was started; correct the errors above, or use --skip-invalid")
    plans = [plan(ingester) for ingester in loaded.ingesters if ingester.runnable]
    if not plans:
        raise fail("nothing to run: found no valid Ingester that this version supports")
    return plans


def _namespace(settings: Settings) -> tuple[str, Exception | None]:
    """The context's namespace; else ``default`` and the error, so that the documents are still checked."""
    from streams.cluster.access import Access  # noqa: PLC0415  heavy
    from streams.cluster.errors import ConfigurationError  # noqa: PLC0415  heavy
    from streams.config.values import is_namespace_name  # noqa: PLC0415  heavy

    try:
        access = Access.discover(settings.kubeconfig, context=settings.context)
    except ConfigurationError as error:
        return "default", error
    if not is_namespace_name(access.namespace):
        message = f"{access}: namespace: {_no_namespace_name(access.namespace)}"
        return "default", ConfigurationError(message)
    return access.namespace, None


def _no_namespace_name(text: str) -> str:
    from streams.config.values import NAMESPACE_CHARACTERS  # noqa: PLC0415  heavy

    return (
        f"found {text!r}, allowed: the name of a namespace (at most {NAMESPACE_CHARACTERS} lowercase"
        " letters, digits and '-', a letter or digit at both ends), such as team-a"
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
