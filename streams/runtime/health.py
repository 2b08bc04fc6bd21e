"""The HTTP server of the probes (/livez, /readyz) and of /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from operators.flow.delivery import detail_of
from operators.model.text import one_line
from streams.runtime.listening import Listener, system_message

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from streams.runtime.settings import Settings

CONNECTION_IDLE_SECONDS = 10.0
"""How long a connection may take to send a request's headers, or stay open between requests."""

LINE_BYTES = 8 * 1024
"""The longest request line, and the longest header: kubelet and Prometheus send some hundred bytes."""


class ListenError(Exception):
    """The address of ``--listen`` cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one named check; ``detail`` is shown where it failed."""

    name: str
    ok: bool
    detail: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"[+]{self.name} ok"
        detail = detail_of(one_line(self.detail))
        return f"[-]{self.name} {detail or 'failed'}"


Checks = Callable[[], Iterable[Check]]


class Health:
    """Serves /livez, /readyz (``?verbose`` names each check) and /metrics.

    /livez fails only where a restart would help: a source's own task ended with an error. An unreachable API server
    is no reason to restart, and shows in /readyz. The text of a response is the API server's
    (apiserver/pkg/server/healthz), except that a failed check is always named.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        registry: CollectorRegistry,
        ready: Checks,
        alive: Checks,
        idle_seconds: float = CONNECTION_IDLE_SECONDS,
    ) -> None:
        self.port = settings.listen_port
        """The port; for port 0 the actual one is known after ``start``."""
        self._host = settings.listen_host
        self._registry = registry
        application = web.Application()
        for path in ("/livez", "/healthz", "/health"):
            application.router.add_get(path, _probe("livez", alive))
        for path in ("/readyz", "/ready"):
            application.router.add_get(path, _probe("readyz", ready))
        application.router.add_get("/metrics", self._metrics)
        self._listener = Listener(
            web.AppRunner(
                application,
                access_log=None,
                keepalive_timeout=idle_seconds,
                shutdown_timeout=1.0,
                lingering_time=1.0,
                max_line_size=LINE_BYTES,
                max_field_size=LINE_BYTES,
            )
        )

    async def start(self) -> None:
        """Listen. Raises ``ListenError`` where the address is in use or not one of this machine."""
        try:
            self.port = await self._listener.start(self._host, self.port)
        except OSError as error:
            await self._listener.stop()
            place = f"[{self._host}]" if ":" in self._host else self._host
            raise ListenError(f"--listen {place}:{self.port}: {system_message(error)}") from None

    async def stop(self) -> None:
        """Stop listening; responses in progress have one second to finish."""
        await self._listener.stop()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})


def _probe(name: str, checks: Checks) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(request: web.Request) -> web.Response:
        results = list(checks())
        ok = all(check.ok for check in results)
        if ok and "verbose" not in request.query:
            text = "ok"
        else:
            verdict = f"{name} check {'passed' if ok else 'failed'}"
            text = "\n".join([*map(str, results), verdict, ""])
        return web.Response(
            text=text,
            status=200 if ok else 503,
            headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
        )

    return respond
