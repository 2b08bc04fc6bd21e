"""The server's certificate authority and certificate, and the kubeconfig with the administrator's token."""

from __future__ import annotations

import os
import ssl
from base64 import b64encode
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import trustme
import yaml

LIFETIME = timedelta(days=30)
BACKDATED = timedelta(minutes=5)
"""Tolerated lag of a client's clock."""

MARKER = "# Written by zen-streams apiserver, which removes this file when it ends."
"""The first line of a kubeconfig that may be overwritten; kubectl drops it when it edits the file."""

_ORGANIZATION = "zen-streams apiserver"
_CONTEXT = "zen-streams"


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """The TLS context of the server, and the certificate of the authority that signed its certificate."""

    tls: ssl.SSLContext
    ca_pem: str


def issue_identity(host: str, *, now: datetime) -> ServerIdentity:
    """Create an authority, and under it a certificate for this host and for loopback, valid for `LIFETIME`."""
    authority = trustme.CA(organization_name=_ORGANIZATION)
    certificate = authority.issue_cert(
        *dict.fromkeys((host, "127.0.0.1", "::1", "localhost")),
        organization_name=_ORGANIZATION,
        not_before=now - BACKDATED,
        not_after=now + LIFETIME,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    # `ssl` reads keys from files alone: readable by their owner, and removed at once.
    with certificate.private_key_and_cert_chain_pem.tempfile() as path:
        tls.load_cert_chain(path)
    return ServerIdentity(tls, authority.cert_pem.bytes().decode())


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """A kubeconfig with one cluster, one user and one context; secret, because it holds the token."""

    url: str
    ca_pem: str
    token: str

    def text(self) -> str:
        """Return it as YAML, under the marker."""
        authority = b64encode(self.ca_pem.encode()).decode()
        cluster = {"server": self.url, "certificate-authority-data": authority}
        context = {"cluster": _CONTEXT, "user": _CONTEXT, "namespace": "default"}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": _CONTEXT,
            "clusters": [{"name": _CONTEXT, "cluster": cluster}],
            "contexts": [{"name": _CONTEXT, "context": context}],
            "users": [{"name": _CONTEXT, "user": {"token": self.token}}],
        }
        return f"{MARKER}\n{yaml.safe_dump(document, sort_keys=False)}"

    def write(self, path: Path) -> None:
        """Write it atomically, readable by its owner alone. Raises ``KubeconfigError`` and ``OSError``.

        The directory has to exist, and a file that is there has to begin with the marker.
        """
        if not path.parent.is_dir():
            raise KubeconfigError(
                f"{path}: {path.parent} is not a directory; create it first (mkdir -p) "
                "or name a file in an existing one"
            )
        if path.is_symlink() or (path.exists() and not _is_marked(path)):
            raise KubeconfigError(
                f"{path} exists, and zen-streams apiserver did not write it, or it was edited "
                "since: remove it, or name another file"
            )
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        try:
            temporary.write_text(self.text())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    @contextmanager
    def written(self, path: Path) -> Generator[Path]:
        """Write it, and remove it at the end unless the file was replaced or edited meanwhile."""
        self.write(path)
        # The path is resolved now: a relative one would mean another file after a change of directory.
        absolute = path.absolute()
        try:
            yield path
        finally:
            # Another server may have been started with this path: its file has another token, and stays.
            if absolute.is_file() and absolute.read_text(errors="replace") == self.text():
                absolute.unlink(missing_ok=True)


class KubeconfigError(Exception):
    """The kubeconfig cannot be written there; the message names the path, the reason and the remedy."""


def _is_marked(path: Path) -> bool:
    """Whether a regular file begins with the marker; what is no regular file is not opened, reads could block."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MARKER)) == MARKER.encode()
