"""What a request needs to be let in, and how it is fetched without stopping the loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Protocol, TypeVar

from streams.cluster.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from kubernetes.client import Configuration

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Credentials:
    """Headers and TLS for requests to one server; replaced as a whole, never changed.

    It has no repr, so that no log line and no assertion can print it.
    """

    headers: tuple[tuple[str, str], ...] = ()
    tls: ssl.SSLContext | None = None
    """None for a server without TLS, which is never sent a credential (as kubectl does)."""
    server_hostname: str | None = None
    """The name the server's certificate must bear, where it is not the host of the address."""
    proxy: str | None = None
    expires_at: datetime | None = None


class Origin(Protocol):
    """Where the address and the credentials of a cluster come from."""

    @property
    def server(self) -> str:
        """The address of the API server, without a slash at its end."""
        ...

    @property
    def namespace(self) -> str:
        """The namespace of what names none."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose change means that the credentials are to be loaded again."""
        ...

    def load(self) -> Credentials:
        """Read or fetch the credentials; this may block. Raises ``ClusterError``."""
        ...


def bearer(configuration: Configuration) -> tuple[tuple[str, str], ...]:
    """The header that carries the token, if there is one.

    Raises ``ConfigurationError`` for a token that would break out of its header.
    """
    scheme, _, token = configuration.api_key.get("BearerToken", "").partition(" ")
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise ConfigurationError("the token holds characters that no header can carry")
    return (("Authorization", f"{scheme.title()} {token}"),) if token else ()


def stamps(files: tuple[Path, ...]) -> tuple[tuple[int, int, int] | None, ...]:
    """What tells one state of the files from another; volumes swap links, hence the inode."""
    return tuple(_stamp(path) for path in files)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


async def in_thread(call: Callable[[], T], *, timeout_seconds: float) -> T:
    """Run a blocking call in a thread of its own; raises ``TimeoutError`` when it takes too long.

    Not ``asyncio.to_thread``: leaving the loop or the interpreter waits for the threads of an
    executor, and a credential plugin that hangs would hang the shutdown with it.
    """
    result: Future[T] = Future()

    def run() -> None:
        result.set_running_or_notify_cancel()
        try:
            value = call()
        except BaseException as error:  # noqa: BLE001  it is raised where the result is awaited
            result.set_exception(error)
        else:
            result.set_result(value)

    Thread(target=run, name="credentials", daemon=True).start()
    async with asyncio.timeout(timeout_seconds):
        return await asyncio.wrap_future(result)
