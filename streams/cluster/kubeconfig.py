"""A kubeconfig: the choice of one context among its files, and the server and the credentials that context names.

The official client merges the files, reads certificates, and renews the token of an ``auth-provider``. Where it differs
from kubectl, kubectl is followed: the first current context wins, not the last; ``tokenFile`` wins over ``token``; a
plugin that fails is an error, not a line in the log and requests without credentials; and impersonation is honoured.
"""

from __future__ import annotations

import binascii
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from kubernetes.client import Configuration
from kubernetes.config.config_exception import ConfigException
from yarl import URL

from streams.cluster.credentials import (
    Credentials,
    Merger,
    bearer,
    kubeconfig_loader,
    kubeconfig_merger,
    run_plugin,
    tls_context,
    token_expiry,
)
from streams.cluster.errors import ClusterError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

S = TypeVar("S", bound=msgspec.Struct)

_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class Cluster(msgspec.Struct, rename="kebab"):
    """The fields of a ``cluster`` entry that are read here."""

    server: str | None = None
    certificate_authority: str | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None


class User(msgspec.Struct, rename="kebab"):
    """The fields of a ``user`` entry that are read here; none holds a secret."""

    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    client_certificate: str | None = None
    client_key: str | None = None
    as_: str | None = msgspec.field(name="as", default=None)
    as_uid: str | None = None
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None

    def impersonation(self) -> Iterable[tuple[str, str]]:
        """Yield the impersonation headers: the server treats the request as that user's."""
        if self.as_:
            yield "Impersonate-User", self.as_
        if self.as_uid:
            yield "Impersonate-Uid", self.as_uid
        for group in self.as_groups or ():
            yield "Impersonate-Group", group
        for key, values in (self.as_user_extra or {}).items():
            for value in values:
                yield f"Impersonate-Extra-{key}", value


class _Context(msgspec.Struct):
    cluster: str = ""
    user: str | None = None
    namespace: str | None = None


class _Named(msgspec.Struct):
    name: str
    context: dict[str, Any] | None = None
    cluster: dict[str, Any] | None = None
    user: dict[str, Any] | None = None


class _File(msgspec.Struct, rename="kebab"):
    current_context: str | None = None
    contexts: list[_Named] | None = None
    clusters: list[_Named] | None = None
    users: list[_Named] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """A named entry, copied with absolute paths, and the file it stands in."""

    name: str
    fields: dict[str, Any]
    file: Path

    def read(self, form: type[S]) -> S:
        """Convert the fields. Raises ``ConfigurationError``, which names file, entry and field."""
        return _converted(self.fields, form, where=f"{self.file}: {self.name!r}")


@dataclass(frozen=True, slots=True, repr=False)
class SelectedContext:
    """A context, and the cluster and the user it names."""

    context: str
    namespace: str
    cluster: Entry
    user: Entry


class Kubeconfig:
    """One context of a kubeconfig, selected once: a later ``use-context`` does not move a running process.

    ``paths`` is one path, or several as in KUBECONFIG, of which missing ones are skipped.
    """

    def __init__(self, paths: str, *, context: str | None = None) -> None:
        """Raises ``ConfigurationError``, which names file and field; reads no credential yet."""
        self._paths = paths
        selected = _select_context(_merger(paths).config_files, context=context)
        cluster, user = selected.cluster.read(Cluster), selected.user.read(User)
        self.context = selected.context
        self.server = _server_address(
            cluster, where=f"{selected.cluster.file}: {selected.cluster.name!r}"
        )
        self.namespace = selected.namespace
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
        selected = _select_context(merger.config_files, context=self.context)
        if not self.server.startswith("https://"):
            return Credentials(proxy=selected.cluster.read(Cluster).proxy_url or None)
        try:
            # The official client writes certificates and keys to files, which are deleted with the directory.
            with tempfile.TemporaryDirectory(prefix="zen-streams-") as directory:
                return _load(merger, selected, directory=directory)
        except ClusterError as error:
            raise type(error)(f"{self}: {error}") from error
        except Exception as error:  # noqa: BLE001  an entry of the wrong shape makes it raise anything
            raise ConfigurationError(f"{self}: {_description(error)}") from None


def _load(merger: Merger, selected: SelectedContext, *, directory: str) -> Credentials:
    expires_at = _insert_credential(selected)
    joined = {"cluster": selected.cluster.name, "user": selected.user.name}
    loader = kubeconfig_loader(
        {
            "current-context": selected.context,
            "contexts": [{"name": selected.context, "context": joined}],
            "clusters": [{"name": selected.cluster.name, "cluster": selected.cluster.fields}],
            "users": [{"name": selected.user.name, "user": selected.user.fields}],
        },
        directory=directory,
        persist=merger.save_changes,
    )
    configuration = Configuration()
    loader.load_and_set(configuration)
    cluster = selected.cluster.read(Cluster)
    return Credentials(
        headers=(*bearer(configuration), *selected.user.read(User).impersonation()),
        tls=tls_context(configuration),
        server_hostname=cluster.tls_server_name or None,
        proxy=cluster.proxy_url or None,
        expires_at=expires_at or token_expiry(loader),
    )


def _insert_credential(selected: SelectedContext) -> datetime | None:
    """Replace ``tokenFile`` or ``exec`` by the credential it gives now; return when that expires, if known."""
    user: dict[str, Any] = selected.user.fields
    if "auth-provider" in user:
        return None
    token_file = user.pop("tokenFile", None)
    if token_file:
        user["token"] = Path(token_file).read_text("utf-8")
    plugin = user.pop("exec", None)
    if not plugin or user.get("token"):
        return None
    directory = str(selected.user.file.absolute().parent)
    return run_plugin(plugin, user, directory=directory, cluster=selected.cluster.fields)


def _merger(paths: str) -> Merger:
    try:
        merger = kubeconfig_merger(paths)
    except Exception as error:  # noqa: BLE001  a file of the wrong shape makes it raise anything
        raise ConfigurationError(f"kubeconfig {paths}: {_description(error)}") from None
    if merger.config is None:
        raise ConfigurationError(f"kubeconfig {paths}: no such file")
    return merger


def _description(error: Exception) -> str:
    """Describe an error without quoting the file: its text may be a credential."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, ConfigException):
        return str(error)
    if isinstance(error, binascii.Error):
        return "a field that ends in -data is not base64"
    mark = getattr(error, "problem_mark", None)
    at = f" at line {mark.line + 1}" if mark is not None else ""
    return f"not a kubeconfig{at} ({type(error).__name__})"


def _server_address(cluster: Cluster, *, where: str) -> str:
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


def _select_context(documents: Mapping[str, Any], *, context: str | None) -> SelectedContext:
    """Select a context, by default the current one; the first file wins, as in kubectl.

    Raises ``ConfigurationError``, which names file and field, and quotes nothing of a user.
    """
    files = {Path(path): _converted(text, _File, where=path) for path, text in documents.items()}
    where = ", ".join(documents)
    current = (file.current_context for file in files.values() if file.current_context)
    wanted = context or next(current, "")
    if not wanted:
        raise ConfigurationError(f"{where}: no current-context is set; {_contexts_in(files)}")
    entry = _find(files, "context", name=wanted)
    if entry is None:
        raise ConfigurationError(f"{where}: there is no context {wanted!r}; {_contexts_in(files)}")
    joined = entry.read(_Context)
    cluster = _find(files, "cluster", name=joined.cluster)
    if cluster is None:
        raise ConfigurationError(
            f"{entry.file}: the cluster {joined.cluster!r} of context {wanted!r} is not there"
        )
    # A missing user means requests without credentials, as in kubectl: the server decides what those may do.
    user = _find(files, "user", name=joined.user or "") or Entry("", {}, entry.file)
    return SelectedContext(wanted, joined.namespace or "default", cluster, user)


def _find(files: Mapping[Path, _File], section: str, *, name: str) -> Entry | None:
    for path, file in files.items():
        named: list[_Named] = getattr(file, f"{section}s") or []
        for one in named:
            if one.name == name:
                return Entry(name, _with_absolute_paths(getattr(one, section) or {}, path), path)
    return None


def _with_absolute_paths(fields: dict[str, Any], file: Path) -> dict[str, Any]:
    """Copy the fields with paths made absolute from the file's directory; nested values are shared."""
    copy = dict(fields)
    for key in _PATHS:
        if isinstance(copy.get(key), str) and copy[key]:
            copy[key] = str(file.absolute().parent / copy[key])
    return copy


def _contexts_in(files: Mapping[Path, _File]) -> str:
    names = [one.name for file in files.values() for one in file.contexts or ()]
    return f"contexts: {', '.join(names)}" if names else "no context is defined"


def _converted(value: object, form: type[S], *, where: str) -> S:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
