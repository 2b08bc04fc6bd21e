"""Access to a cluster: its address, its default namespace, and credentials that are renewed in time."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock, WallClock, utc_now
from streams.cluster.credentials import (
    SERVICE_ACCOUNT_DIRECTORY,
    Credentials,
    CredentialSource,
    bearer,
    file_stamps,
    in_thread,
    service_account_loader,
    tls_context,
)
from streams.cluster.errors import (
    ClusterError,
    ConfigurationError,
    CredentialsRefusedError,
    UnreachableError,
)
from streams.cluster.kubeconfig import Kubeconfig

if TYPE_CHECKING:
    from collections.abc import Mapping

LOAD_TIMEOUT_SECONDS = 60.0
"""How long a credential plugin may take; one that opens a login page waits for a person."""

FILE_CHECK_INTERVAL_SECONDS = 1.0
"""How often the files are checked: a rotation takes effect within this time."""

RENEWAL_RETRY_SECONDS = 10.0
"""How soon a renewal is repeated that failed, or gave credentials that had expired already."""

RENEW_EARLY_AT_MOST = timedelta(seconds=60)
"""Credentials are renewed so long before they expire; short-lived ones when a fifth of their lifetime is left."""

_log = logging.getLogger(__name__)


class Access:
    """Address and credentials of one cluster; safe to share between tasks, and to print.

    Credentials are loaded at first use. They are loaded again when a file they came from changed, before they expire,
    and when the server refused them; if that fails the old ones stay in use.
    """

    def __init__(
        self,
        source: CredentialSource,
        *,
        clock: Clock = time.monotonic_ns,
        wall_clock: WallClock = utc_now,
    ) -> None:
        self.server = source.server
        self.namespace = source.namespace
        self._source = source
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = asyncio.Lock()
        self._current: Credentials | None = None
        self._stamps = file_stamps(())
        self._check_files_at_ns = 0
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
        cls, directory: Path = SERVICE_ACCOUNT_DIRECTORY, *, environ: Mapping[str, str] = os.environ
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
        directory: Path = SERVICE_ACCOUNT_DIRECTORY,
    ) -> Access:
        """Use the kubeconfig named, else the one kubectl would use, else the pod's service account.

        Raises ``ConfigurationError``, which names every place that was searched.
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
                f"no access to a cluster: no kubeconfig at {paths} (KUBECONFIG, ~/.kube/config); "
                f"and {error}"
            ) from None
        if context:
            raise ConfigurationError(f"no context {context!r}: there is no kubeconfig at {paths}")
        return access

    def __repr__(self) -> str:
        return f"Access({self.server}, {self._source})"

    def __str__(self) -> str:
        return str(self._source)

    async def credentials(self) -> Credentials:
        """Return the credentials for a request made now.

        Raises ``ConfigurationError`` or ``UnreachableError`` if none could be loaded so far.
        """
        current = self._current
        # While others load, the current ones are used: requests do not wait for a renewal.
        if current is not None and (self._lock.locked() or not self._is_stale()):
            return current
        async with self._lock:
            # Loaded by another task while this one waited for the lock: not loaded twice.
            if self._current is not None and self._current is not current:
                return self._current
            try:
                return await self._load()
            except ClusterError as error:
                if current is None:
                    raise
                self._check_files_at_ns = self._in(RENEWAL_RETRY_SECONDS)
                _log.warning(
                    "credential renewal failed, the current credentials stay in use: %s", error
                )
                return current

    async def renew(self, refused: Credentials) -> Credentials:
        """Load the credentials again at once, unless the refused ones were replaced already.

        Raises ``CredentialsRefusedError`` if no others can be loaded, and ``UnreachableError`` if the plugin that gives
        them failed.
        """
        async with self._lock:
            # Many requests are refused at once with the same credentials: the first renews for all.
            if self._current is not None and self._current is not refused:
                return self._current
            try:
                return await self._load()
            except ConfigurationError as error:
                raise CredentialsRefusedError(
                    f"refused, and could not be renewed: {error}"
                ) from error

    async def _load(self) -> Credentials:
        # Before the load: a file that changes during it is then loaded again, not missed.
        found = file_stamps(self._source.files)
        try:
            current = await in_thread(self._source.load, timeout_seconds=LOAD_TIMEOUT_SECONDS)
        except TimeoutError:
            raise UnreachableError(
                f"{self._source}: no credentials within {LOAD_TIMEOUT_SECONDS:.0f} s"
            ) from None
        # No await from here on: credentials, stamps and times change together.
        self._current, self._stamps = current, found
        self._check_files_at_ns = self._in(FILE_CHECK_INTERVAL_SECONDS)
        self._renew_at_ns = self._renewal_at_ns(current)
        return current

    def _renewal_at_ns(self, current: Credentials) -> int | None:
        if current.expires_at is None:
            return None
        left = current.expires_at - self._wall_clock()
        left -= min(RENEW_EARLY_AT_MOST, left / 5)
        return self._in(max(left.total_seconds(), RENEWAL_RETRY_SECONDS))

    def _is_stale(self) -> bool:
        now_ns = self._clock()
        if now_ns < self._check_files_at_ns:
            return False
        self._check_files_at_ns = self._in(FILE_CHECK_INTERVAL_SECONDS)
        if self._renew_at_ns is not None and now_ns >= self._renew_at_ns:
            return True
        return file_stamps(self._source.files) != self._stamps

    def _in(self, seconds: float) -> int:
        return self._clock() + round(seconds * NANOSECONDS_PER_SECOND)


class ServiceAccount:
    """The service account files that Kubernetes mounts into every pod; it replaces their token about every hour."""

    def __init__(
        self,
        directory: Path = SERVICE_ACCOUNT_DIRECTORY,
        *,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Raises ``ConfigurationError`` outside a cluster, which names what is missing."""
        self._directory = directory
        self._environ = environ
        self.files = (directory / "token", directory / "ca.crt")
        self.server = self._configuration().host
        self.namespace = self._namespace()

    def __str__(self) -> str:
        return f"service account {self._directory}"

    def load(self) -> Credentials:
        """Read the token and the CA as they are now."""
        configuration = self._configuration()
        return Credentials(headers=bearer(configuration), tls=tls_context(configuration))

    def _configuration(self) -> Configuration:
        token, authority = map(str, self.files)
        configuration = Configuration()
        try:
            service_account_loader(token, authority, environ=self._environ).load_and_set(
                configuration
            )
        except (ConfigException, OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self}: {error}") from error
        return configuration

    def _namespace(self) -> str:
        try:
            return (self._directory / "namespace").read_text("utf-8").strip() or "default"
        except OSError:
            return "default"


def _default_paths(environ: Mapping[str, str]) -> str:
    home = Path(environ.get("HOME", "~")).expanduser()
    return environ.get("KUBECONFIG") or str(home / ".kube" / "config")
