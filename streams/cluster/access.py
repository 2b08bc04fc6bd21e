"""How to reach a cluster: its address, the default namespace, and credentials that stay fresh."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock, WallClock, utc_now
from streams.cluster.credentials import Credentials, Origin, in_thread, stamps
from streams.cluster.errors import (
    ClusterError,
    ConfigurationError,
    CredentialsRefusedError,
    UnreachableError,
)
from streams.cluster.kubeconfig import Kubeconfig
from streams.cluster.serviceaccount import DIRECTORY, ServiceAccount

if TYPE_CHECKING:
    from collections.abc import Mapping

LOAD_TIMEOUT_SECONDS = 60.0
"""How long a credential plugin may take; one that asks a person needs its time."""

LOOK_EVERY_SECONDS = 1.0
"""How often the files are looked at: a rotation may take as long as this to be seen."""

RETRY_EVERY_SECONDS = 10.0
"""How soon a renewal that failed, or gave what had expired already, is tried again."""

RENEW_EARLY_AT_MOST = timedelta(seconds=60)

_log = logging.getLogger(__name__)


class Access:
    """Address and credentials of one cluster; safe to share, and to print.

    Credentials are loaded when first asked for. They are loaded again when a file they came from
    changed, before they expire, and when the server refused them; if that fails the old ones stay.
    """

    def __init__(
        self, origin: Origin, *, clock: Clock = time.monotonic_ns, wall_clock: WallClock = utc_now
    ) -> None:
        self.server = origin.server
        self.namespace = origin.namespace
        self._origin = origin
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = asyncio.Lock()
        self._current: Credentials | None = None
        self._stamps = stamps(())
        self._look_at_ns = 0
        self._renew_at_ns: int | None = None

    @classmethod
    def from_kubeconfig(
        cls,
        path: str | None = None,
        *,
        context: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Access:
        """Use a kubeconfig, by default the one kubectl would use.

        Raises ``ConfigurationError``, which names file and field.
        """
        return cls(Kubeconfig(path or _default_paths(environ), context=context))

    @classmethod
    def in_cluster(
        cls, directory: Path = DIRECTORY, *, environ: Mapping[str, str] = os.environ
    ) -> Access:
        """Use the service account of the pod. Raises ``ConfigurationError`` outside a cluster."""
        return cls(ServiceAccount(directory, environ=environ))

    @classmethod
    def discover(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        environ: Mapping[str, str] = os.environ,
        directory: Path = DIRECTORY,
    ) -> Access:
        """Use the kubeconfig named, else the one kubectl would use, else the pod's service account.

        Raises ``ConfigurationError``, which names all that was looked for.
        """
        paths = kubeconfig or _default_paths(environ)
        if kubeconfig or any(
            Path(path).expanduser().exists() for path in paths.split(os.pathsep) if path
        ):
            return cls.from_kubeconfig(paths, context=context)
        try:
            access = cls.in_cluster(directory, environ=environ)
        except ConfigurationError as error:
            raise ConfigurationError(
                f"no way to a cluster: no kubeconfig at {paths} (KUBECONFIG, ~/.kube/config); "
                f"and {error}"
            ) from None
        if context:
            raise ConfigurationError(f"no context {context!r}: there is no kubeconfig at {paths}")
        return access

    def __repr__(self) -> str:
        return f"Access({self.server}, {self._origin})"

    def __str__(self) -> str:
        return str(self._origin)

    async def credentials(self) -> Credentials:
        """What a request made now has to carry.

        Raises ``ConfigurationError`` or ``UnreachableError`` if there have been none yet.
        """
        current = self._current
        if current is not None and (self._lock.locked() or not self._is_stale()):
            return current
        async with self._lock:
            if self._current is not None and self._current is not current:
                return self._current
            try:
                return await self._load()
            except ClusterError as error:
                if current is None:
                    raise
                self._look_at_ns = self._in(RETRY_EVERY_SECONDS)
                _log.warning("credentials could not be renewed, the old ones stay: %s", error)
                return current

    async def renew(self, refused: Credentials) -> Credentials:
        """Load the credentials again at once, unless others took the place of the refused already.

        Raises ``CredentialsRefusedError`` if there are no others to be had, and
        ``UnreachableError`` if the plugin that gives them failed.
        """
        async with self._lock:
            if self._current is not None and self._current is not refused:
                return self._current
            try:
                return await self._load()
            except ConfigurationError as error:
                raise CredentialsRefusedError(
                    f"refused, and could not be renewed: {error}"
                ) from error

    async def _load(self) -> Credentials:
        found = stamps(self._origin.files)
        try:
            current = await in_thread(self._origin.load, timeout_seconds=LOAD_TIMEOUT_SECONDS)
        except TimeoutError:
            raise UnreachableError(
                f"{self._origin}: no credentials within {LOAD_TIMEOUT_SECONDS:.0f} s"
            ) from None
        self._current, self._stamps = current, found
        self._look_at_ns = self._in(LOOK_EVERY_SECONDS)
        self._renew_at_ns = self._renewal(current)
        return current

    def _renewal(self, current: Credentials) -> int | None:
        if current.expires_at is None:
            return None
        left = current.expires_at - self._wall_clock()
        left -= min(RENEW_EARLY_AT_MOST, left / 5)
        return self._in(max(left.total_seconds(), RETRY_EVERY_SECONDS))

    def _is_stale(self) -> bool:
        now_ns = self._clock()
        if now_ns < self._look_at_ns:
            return False
        self._look_at_ns = self._in(LOOK_EVERY_SECONDS)
        if self._renew_at_ns is not None and now_ns >= self._renew_at_ns:
            return True
        return stamps(self._origin.files) != self._stamps

    def _in(self, seconds: float) -> int:
        return self._clock() + round(seconds * NANOSECONDS_PER_SECOND)


def _default_paths(environ: Mapping[str, str]) -> str:
    home = Path(environ.get("HOME", "~")).expanduser()
    return environ.get("KUBECONFIG") or str(home / ".kube" / "config")
