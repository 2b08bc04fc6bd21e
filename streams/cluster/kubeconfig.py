"""A kubeconfig: which server it names, and how to be let in there.

The official client merges the files, reads certificates, and renews what an ``auth-provider``
gives. Where it differs from kubectl, kubectl is followed: the first current context wins, not the
last; ``tokenFile`` wins over ``token``; a plugin that fails is an error, not a line in the log and
requests without credentials; and impersonation is honoured.
"""

from __future__ import annotations

import binascii
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from yarl import URL

from streams.cluster import official
from streams.cluster.contexts import Chosen, Cluster, User, choose
from streams.cluster.credentials import Credentials, bearer
from streams.cluster.errors import ClusterError, ConfigurationError
from streams.cluster.plugins import run_plugin
from streams.cluster.tls import tls_context

if TYPE_CHECKING:
    from datetime import datetime


class Kubeconfig:
    """One context of a kubeconfig, chosen once: a later ``use-context`` moves no running process.

    ``paths`` is one path, or several as in KUBECONFIG, of which those not there are skipped.
    """

    def __init__(self, paths: str, *, context: str | None = None) -> None:
        """Raises ``ConfigurationError``, naming file and field; touches no credential yet."""
        self._paths = paths
        chosen = choose(_merger(paths).config_files, context=context)
        cluster, user = chosen.cluster.read(Cluster), chosen.user.read(User)
        self.context = chosen.context
        self.server = _server(cluster, where=f"{chosen.cluster.file}: {chosen.cluster.name!r}")
        self.namespace = chosen.namespace
        named = (
            cluster.certificate_authority,
            user.token_file,
            user.client_certificate,
            user.client_key,
        )
        self.files = tuple(Path(path) for path in named if path)

    def __str__(self) -> str:
        return f"kubeconfig {self._paths}, context {self.context!r}"

    def load(self) -> Credentials:
        """Read the files again, run the plugin or renew the token, and build the TLS context."""
        merger = _merger(self._paths)
        chosen = choose(merger.config_files, context=self.context)
        if not self.server.startswith("https://"):
            return Credentials(proxy=chosen.cluster.read(Cluster).proxy_url or None)
        try:
            # The official client writes certificates and keys to files: they go with it.
            with tempfile.TemporaryDirectory(prefix="zen-streams-") as directory:
                return _load(merger, chosen, directory=directory)
        except ClusterError as error:
            raise type(error)(f"{self}: {error}") from error
        except Exception as error:  # noqa: BLE001  whatever an entry of any form makes it raise
            raise ConfigurationError(f"{self}: {_quoting_nothing(error)}") from None


def _load(merger: official.Merger, chosen: Chosen, *, directory: str) -> Credentials:
    expires_at = _stand_in(chosen)
    joined = {"cluster": chosen.cluster.name, "user": chosen.user.name}
    loader = official.kubeconfig_loader(
        {
            "current-context": chosen.context,
            "contexts": [{"name": chosen.context, "context": joined}],
            "clusters": [{"name": chosen.cluster.name, "cluster": chosen.cluster.fields}],
            "users": [{"name": chosen.user.name, "user": chosen.user.fields}],
        },
        directory=directory,
        persist=merger.save_changes,
    )
    configuration = Configuration()
    loader.load_and_set(configuration)
    cluster = chosen.cluster.read(Cluster)
    return Credentials(
        headers=(*bearer(configuration), *chosen.user.read(User).impersonation()),
        tls=tls_context(configuration),
        server_hostname=cluster.tls_server_name or None,
        proxy=cluster.proxy_url or None,
        expires_at=expires_at or official.expiry(loader),
    )


def _stand_in(chosen: Chosen) -> datetime | None:
    """Put what a token file or a plugin gives now in its place, and say when that expires."""
    user: dict[str, Any] = chosen.user.fields
    if "auth-provider" in user:
        return None
    token_file = user.pop("tokenFile", None)
    if token_file:
        user["token"] = Path(token_file).read_text("utf-8")
    plugin = user.pop("exec", None)
    if not plugin or user.get("token"):
        return None
    directory = str(chosen.user.file.absolute().parent)
    return run_plugin(plugin, user, directory=directory, cluster=chosen.cluster.fields)


def _merger(paths: str) -> official.Merger:
    try:
        merger = official.merger(paths)
    except Exception as error:  # noqa: BLE001  whatever a file of any form makes it raise
        raise ConfigurationError(f"kubeconfig {paths}: {_quoting_nothing(error)}") from None
    if merger.config is None:
        raise ConfigurationError(f"kubeconfig {paths}: no such file")
    return merger


def _quoting_nothing(error: Exception) -> str:
    """Say what is wrong without the file's own words: they may be a credential."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, ConfigException):
        return str(error)
    if isinstance(error, binascii.Error):
        return "a field that ends in -data is not base64"
    mark = getattr(error, "problem_mark", None)
    at = f" at line {mark.line + 1}" if mark is not None else ""
    return f"not a kubeconfig{at} ({type(error).__name__})"


def _server(cluster: Cluster, *, where: str) -> str:
    if not _is_http(cluster.server or "") or "@" in (cluster.server or ""):
        raise ConfigurationError(f"{where}: server: allowed is http(s)://host[:port][/path]")
    if cluster.proxy_url and not _is_http(cluster.proxy_url):
        raise ConfigurationError(f"{where}: proxy-url: allowed is http(s)://[user@]host[:port]")
    return (cluster.server or "").rstrip("/")


def _is_http(text: str) -> bool:
    try:
        url = URL(text)
    except ValueError:
        return False
    return url.scheme in {"http", "https"} and bool(url.host)
