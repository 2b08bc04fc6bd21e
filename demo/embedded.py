"""The embedded API server alone, for whoever wants to try something against it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from demo.apiserver.server import DevServer
from demo.definitions import install
from demo.demonstration import administrator
from streams.runtime.lifecycle import Signals


async def serve_alone(
    host: str, port: int, *, kubeconfig: Path | None, tell: Callable[[str], None]
) -> None:
    """Serve until told to stop, with the definitions installed; without a path the kubeconfig goes with it.

    Raises ``OSError`` where the address or the file is not to be had, and ``InstallError``.
    """
    asked = Signals()
    asked.install()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(DevServer(host=host, port=port))
        if kubeconfig is None:
            folder = TemporaryDirectory(prefix="zen-streams-apiserver-")
            kubeconfig = Path(stack.enter_context(folder)) / "kubeconfig"
        server.write_kubeconfig(kubeconfig)
        async with administrator(kubeconfig) as client:
            await install(client)
        for line in _how_to_use(server.url, kubeconfig):
            tell(line)
        await asked.stop.wait()


def _how_to_use(url: str, kubeconfig: Path) -> list[str]:
    return [
        f"An API server of our own at {url}; what it holds is gone with it. Use it with:",
        f"  export KUBECONFIG={kubeconfig.absolute()}",
        "  kubectl get crds",
        "  zen-streams run -f deploy/examples",
        "  kubectl create --raw /debug/forget-history -f - </dev/null    # older resourceVersions expire",
        "Ctrl-C ends it.",
    ]
