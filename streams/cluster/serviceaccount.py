"""The way to the cluster that Kubernetes puts into every pod."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import SERVICE_TOKEN_FILENAME

from streams.cluster.credentials import Credentials, bearer
from streams.cluster.errors import ConfigurationError
from streams.cluster.official import service_account_loader
from streams.cluster.tls import tls_context

if TYPE_CHECKING:
    from collections.abc import Mapping

DIRECTORY = Path(SERVICE_TOKEN_FILENAME).parent


class ServiceAccount:
    """The files of a pod's service account; the token in them is replaced about every hour."""

    def __init__(
        self, directory: Path = DIRECTORY, *, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Raises ``ConfigurationError`` outside a cluster, and says what is missing."""
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
