"""The form of a kubeconfig, and the choice of one context among its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from streams.cluster.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

S = TypeVar("S", bound=msgspec.Struct)

_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class Cluster(msgspec.Struct, rename="kebab"):
    """What a kubeconfig says of a server, as far as it is read here."""

    server: str | None = None
    certificate_authority: str | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None


class User(msgspec.Struct, rename="kebab"):
    """What a kubeconfig says of an identity, as far as it is read here; it holds no secret."""

    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    client_certificate: str | None = None
    client_key: str | None = None
    as_: str | None = msgspec.field(name="as", default=None)
    as_uid: str | None = None
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None

    def impersonation(self) -> Iterable[tuple[str, str]]:
        """The headers by which the server is asked to act as somebody else."""
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
    """A named entry, a copy whose paths are absolute, and the file it stands in."""

    name: str
    fields: dict[str, Any]
    file: Path

    def read(self, form: type[S]) -> S:
        """The fields in their form. Raises ``ConfigurationError`` that names the field."""
        return _formed(self.fields, form, where=f"{self.file}: {self.name!r}")


@dataclass(frozen=True, slots=True, repr=False)
class Chosen:
    """A context, and the cluster and the user it joins."""

    context: str
    namespace: str
    cluster: Entry
    user: Entry


def choose(documents: Mapping[str, Any], *, context: str | None) -> Chosen:
    """Find a context, by default the current one; the first file wins, as in kubectl.

    Raises ``ConfigurationError``, which names file and field, and quotes nothing of a user.
    """
    files = {Path(path): _formed(text, _File, where=path) for path, text in documents.items()}
    where = ", ".join(documents)
    current = (file.current_context for file in files.values() if file.current_context)
    wanted = context or next(current, "")
    if not wanted:
        raise ConfigurationError(f"{where}: no current-context is set; {_known(files)}")
    entry = _find(files, "context", name=wanted)
    if entry is None:
        raise ConfigurationError(f"{where}: there is no context {wanted!r}; {_known(files)}")
    joined = entry.read(_Context)
    cluster = _find(files, "cluster", name=joined.cluster)
    if cluster is None:
        raise ConfigurationError(
            f"{entry.file}: the cluster {joined.cluster!r} of context {wanted!r} is not there"
        )
    # A user that is not there is nobody, as in kubectl: the server says what nobody may do.
    user = _find(files, "user", name=joined.user or "") or Entry("", {}, entry.file)
    return Chosen(wanted, joined.namespace or "default", cluster, user)


def _find(files: Mapping[Path, _File], section: str, *, name: str) -> Entry | None:
    for path, file in files.items():
        named: list[_Named] = getattr(file, f"{section}s") or []
        for one in named:
            if one.name == name:
                return Entry(name, _rooted(getattr(one, section) or {}, path), path)
    return None


def _rooted(fields: dict[str, Any], file: Path) -> dict[str, Any]:
    """Copy the fields, relative paths meant from the file's directory; what is nested is shared."""
    rooted = dict(fields)
    for key in _PATHS:
        if isinstance(rooted.get(key), str) and rooted[key]:
            rooted[key] = str(file.absolute().parent / rooted[key])
    return rooted


def _known(files: Mapping[Path, _File]) -> str:
    names = [one.name for file in files.values() for one in file.contexts or ()]
    return f"contexts there: {', '.join(names)}" if names else "it holds no context"


def _formed(value: object, form: type[S], *, where: str) -> S:
    try:
        return msgspec.convert(value, form)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}") from None
