"""A proxy between a client and the API server at which everything that goes wrong can be ordered."""

from __future__ import annotations

import asyncio
import errno
import ssl
import tempfile
import time
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

import aiohttp
import msgspec
from aiohttp import web

from streams.runtime.listening import stop_accepting
from tests.cluster.keys import self_signed, write_kubeconfig
from tests.cluster.loop_thread import LoopThread
from tests.cluster.processes import free_ports, wait_until
from tests.cluster.relay import Injected, Relay, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.cluster.exchanges import Exchange, Predicate

LINE_LIMIT = 65_536
"""A path with a continue token or a long selector is longer than aiohttp's 8 KiB."""


class Upstream(Protocol):
    """The server behind the proxy, e.g. a `Cluster`; no `ca_file` where it speaks plain HTTP."""

    @property
    def url(self) -> str:
        """Its address."""
        ...

    @property
    def ca_file(self) -> Path | None:
        """What its certificate is checked against."""
        ...


def anything(_: Exchange) -> bool:
    """The predicate that fits every exchange."""
    return True


class FaultProxy:
    """An HTTP/1.1 server with a certificate of its own that relays to `upstream`, and its faults.

    It runs in a thread with a loop of its own from entry to exit. Every knob may be turned from any
    thread while requests pass, and is in force when the call returns. A predicate is called in the
    proxy's thread with the exchange as far as it is known, and must not block. Not relayed: HTTP/2
    and upgraded connections (exec, port-forward).
    """

    def __init__(self, upstream: Upstream, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._upstream = upstream
        self._clock = clock
        self._script = Script()
        self._cleanup = ExitStack()
        self._port = 0

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
            self.ca_file, key = self_signed(self._folder, "fault-proxy")
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(self.ca_file, key)
            self._loop = undo.enter_context(LoopThread("fault-proxy"))
            self._loop.run(self._open())
            undo.callback(lambda: self._loop.run(self._close()))
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    @property
    def url(self) -> str:
        """The address to give to the client; it stays the same over refuse and accept."""
        return f"https://127.0.0.1:{self._port}"

    def kubeconfig(self, token: str) -> Path:
        """A kubeconfig that leads through the proxy, with this bearer token."""
        path = self._folder / f"{token[:40]}.kubeconfig"
        return write_kubeconfig(
            path, server=self.url, ca_file=self.ca_file, token=token, user="proxied"
        )

    def exchanges(self, wanted: Predicate = anything) -> list[Exchange]:
        """What has passed, oldest first; the exchanges that are still open go on changing."""
        return [each for each in self._loop.call(lambda: [*self._relay.exchanges]) if wanted(each)]

    def wait_exchange(self, wanted: Predicate, *, seconds: float = 5.0) -> Exchange:
        """The first exchange that is wanted, as soon as there is one; raises TimeoutError."""
        wait_until(lambda: bool(self.exchanges(wanted)), seconds=seconds, what="an exchange")
        return self.exchanges(wanted)[0]

    def delay_writes(self, seconds: float) -> None:
        """Let every write wait before it is passed on; 0 ends it."""
        self._script.delay_writes_seconds = seconds

    def cut_watch(
        self, after_bytes: int, *, times: int | None = 1, predicate: Predicate = anything
    ) -> None:
        """End the next `times` new watches (None: all) after so many bytes of the answer's body.

        The bytes arrive; then the connection closes in the middle of the chunked body.
        """
        self._script.cuts.add(predicate, lambda: after_bytes, times=times)

    def cut_every_watch_after(self, choose: Callable[[], int]) -> None:
        """As cut_watch for all new watches, each after as many bytes as `choose` says for it."""
        self._script.cuts.add(anything, choose, times=None)

    def cut_open_watches(self) -> int:
        """End every open watch now, between two events or within one; returns how many."""
        return self._loop.call(self._relay.cut_open_watches)

    def stall(self, predicate: Predicate = anything) -> None:
        """Let nothing of the exchanges that fit pass, either way; connections stay open, silent."""

        def hold() -> None:
            self._script.stalled = predicate

        self._loop.call(hold)

    def resume(self) -> None:
        """End the stall; what has waited passes."""
        self._script.stalled = None
        self._loop.call(self._relay.moved.set)

    def status_for(
        self,
        predicate: Predicate,
        *,
        code: int,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        times: int | None = None,
    ) -> None:
        """Answer the next `times` requests that fit (None: all) in the server's place.

        Without a body it is a Kubernetes Status of the code. Retry-After is a header like any.
        """
        said = _status(code) if body is None else body
        shown = {"Content-Type": "application/json", **(headers or {})}
        self._script.injections.add(predicate, Injected(code, shown, said), times=times)

    def drop_response(self, predicate: Predicate, *, times: int | None = 1) -> None:
        """Pass the next `times` requests that fit on, swallow the answers, cut the connections.

        A write is committed then, and its writer cannot know it.
        """
        self._script.drops.add(predicate, effect=True, times=times)

    def refuse(self) -> None:
        """Refuse new connections and reset those that are open, as when the server has died."""
        self._loop.run(self._hang_up())

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        if not self._listener.is_serving():
            self._loop.run(self._listen())

    def heal(self) -> None:
        """End every fault that was ordered."""
        for rules in (self._script.injections, self._script.drops, self._script.cuts):
            rules.clear()
        self.delay_writes(0)
        self.resume()
        self.accept()

    async def _open(self) -> None:
        authority = self._upstream.ca_file
        self._session = aiohttp.ClientSession(
            self._upstream.url,
            connector=aiohttp.TCPConnector(
                limit=0, ssl=ssl.create_default_context(cafile=authority) if authority else True
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            auto_decompress=False,
            max_line_size=LINE_LIMIT,
            max_field_size=LINE_LIMIT,
        )
        self._relay = Relay(self._script, upstream=self._session, clock=self._clock)
        self._server = web.Server(
            self._relay.handle,
            handler_cancellation=True,
            access_log=None,
            auto_decompress=False,
            max_line_size=LINE_LIMIT,
            max_field_size=LINE_LIMIT,
        )
        await self._listen_anywhere()

    async def _listen_anywhere(self) -> None:
        for self._port in free_ports(3):
            try:
                return await self._listen()
            except OSError as failure:  # another process took the port since
                if failure.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "no port stayed free for the fault proxy")

    async def _listen(self) -> None:
        self._listener = await asyncio.get_running_loop().create_server(
            self._server, "127.0.0.1", self._port, ssl=self._tls
        )

    async def _hang_up(self) -> None:
        await stop_accepting(self._listener)
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _close(self) -> None:
        await self._hang_up()
        await self._server.shutdown(timeout=1)
        await self._session.close()


def _status(code: int) -> bytes:
    told: dict[str, object] = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
    reason = HTTPStatus(code).phrase.replace(" ", "")
    told |= {"status": "Failure", "message": "ordered by a test", "reason": reason, "code": code}
    return msgspec.json.encode(told)
