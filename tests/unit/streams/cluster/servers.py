"""Real HTTP servers on the loopback, and the certificates and kubeconfigs that lead to them."""

from __future__ import annotations

import base64
import ssl
import subprocess
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from streams.cluster.rate_limit import RateLimiter
from streams.cluster.session import Session
from streams.runtime.listening import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from streams.cluster.access import Access

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    handler: Handler, *, tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncGenerator[str]:
    """Serve on a free port of 127.0.0.1, and give the address."""
    listener = Listener(web.ServerRunner(web.Server(handler), shutdown_timeout=0.1))
    port = await listener.start("127.0.0.1", port, tls=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        await listener.stop()


def session(
    access: Access, *, reads: RateLimiter | None = None, writes: RateLimiter | None = None
) -> Session:
    """Make a session whose buckets, unless given, never let anybody wait."""
    return Session(
        access,
        reads=reads or RateLimiter(1e6, burst=1000, clock=time.monotonic_ns),
        writes=writes or RateLimiter(1e6, burst=1000, clock=time.monotonic_ns),
        user_agent="zen-streams/test",
    )


@dataclass(frozen=True)
class Certificates:
    """An authority, and what it signed: a server's certificate and a client's."""

    directory: Path

    def __post_init__(self) -> None:
        self._run("req", "-x509", "-nodes", *_key("ca"), "-subj", "/CN=authority", "-days", "2")
        self.sign("server", extensions="subjectAltName=IP:127.0.0.1")
        self.sign("elsewhere", extensions="subjectAltName=DNS:inside.example")
        self.sign("client", extensions="extendedKeyUsage=clientAuth")

    def sign(self, name: str, *, extensions: str) -> None:
        """Make a key and a certificate for it."""
        (self.directory / f"{name}.ext").write_text(extensions)
        self._run("req", "-nodes", *_key(name, kind="csr"), "-subj", f"/CN={name}")
        signing = f"x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2"
        self._run(*signing.split(), "-extfile", f"{name}.ext", "-out", f"{name}.crt")

    def path(self, name: str) -> str:
        """Where a file of this name is."""
        return str(self.directory / name)

    def encoded(self, name: str) -> str:
        """A file as the ``-data`` fields of a kubeconfig hold it."""
        return base64.b64encode((self.directory / name).read_bytes()).decode()

    def server_tls(self, name: str = "server", *, client: bool = False) -> ssl.SSLContext:
        """What a server needs to speak TLS; with ``client`` it demands a certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.path(f"{name}.crt"), self.path(f"{name}.key"))
        if client:
            context.load_verify_locations(self.path("ca.crt"))
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _run(self, *arguments: str) -> None:
        command = ("openssl", *arguments)
        subprocess.run(command, cwd=self.directory, check=True, capture_output=True)


def _key(name: str, *, kind: str = "crt") -> tuple[str, ...]:
    made = f"-newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout {name}.key -out {name}.{kind}"
    return tuple(made.split())


def kubeconfig(
    path: Path,
    server: str,
    *,
    user: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    namespace: str | None = None,
    name: str = "here",
) -> str:
    """Write a kubeconfig of one context, and give its path."""
    context = {"cluster": name, "user": name, "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": context}],
        "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
    }
    path.write_bytes(msgspec.json.encode(document))
    return str(path)


def status(code: int, *, reason: str = "", message: str = "") -> web.Response:
    """Answer with a Status, as an API server does."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "code": code,
        "reason": reason,
        "message": message,
    }
    return web.Response(
        status=code, body=msgspec.json.encode(body), content_type="application/json"
    )
