"""Keys, certificates and kubeconfigs, made anew for every cluster by the openssl command."""

from __future__ import annotations

import shutil
from base64 import b64encode
from typing import TYPE_CHECKING

from tests.cluster.processes import run

if TYPE_CHECKING:
    from pathlib import Path

KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: test
contexts:
- name: test
  context: {{cluster: test, user: {user}}}
clusters:
- name: test
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {user}
  user: {{token: {token}}}
"""


class OpensslMissingError(RuntimeError):
    """There is no openssl command on PATH, and so no keys."""


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key; good for ten days."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    extensions = (
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "keyUsage=critical,digitalSignature,keyCertSign",
        "extendedKeyUsage=serverAuth",
    )
    _openssl(
        *("req", "-x509", "-nodes", "-days", "10", "-subj", f"/CN={name}"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *(word for extension in extensions for word in ("-addext", extension)),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    return certificate, key


def signing_key(folder: Path, name: str) -> tuple[Path, Path]:
    """A key that signs tokens, and its public half."""
    key, public = folder / f"{name}.key", folder / f"{name}.pub"
    _openssl(
        *("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-out", str(key)),
    )
    _openssl("pkey", "-in", str(key), "-pubout", "-out", str(public))
    return key, public


def write_kubeconfig(path: Path, *, server: str, ca_file: Path, token: str, user: str) -> Path:
    """A kubeconfig of one bearer token that stands alone: the certificate is inside it."""
    authority = b64encode(ca_file.read_bytes()).decode()
    text = KUBECONFIG.format(server=server, authority=authority, token=token, user=user)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def _openssl(*arguments: str) -> None:
    command = shutil.which("openssl")
    if command is None:
        raise OpensslMissingError("no openssl on PATH, which makes the keys of the cluster")
    run([command, *arguments])
