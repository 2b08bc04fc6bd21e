"""The kubeconfig file: what may be overwritten, and what is removed; the certificate's names and lifetime."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from demo.apiserver.credentials import (
    LIFETIME,
    MARKER,
    Kubeconfig,
    KubeconfigError,
    ServerIdentity,
    issue_identity,
)

KUBECONFIG = Kubeconfig("https://127.0.0.1:6443", "a CA", "a token")
OTHER = replace(KUBECONFIG, url="https://127.0.0.1:7443")
LOOPBACK = ("127.0.0.1", "0:0:0:0:0:0:0:1", "localhost")


def test_a_file_of_its_own_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    OTHER.write(path)

    KUBECONFIG.write(path)

    assert path.read_text().splitlines()[0] == MARKER
    assert yaml.safe_load(path.read_text())["clusters"][0]["cluster"]["server"] == KUBECONFIG.url
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", ["apiVersion: v1\nkind: Config\n", "", "\xff"])
def test_a_file_of_another_origin_is_refused_and_stays(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config"
    path.write_text(content, encoding="latin-1")

    with pytest.raises(KubeconfigError, match=r"did not write it.*: remove it, or name another"):
        KUBECONFIG.write(path)

    assert path.read_text(encoding="latin-1") == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_refused_even_to_a_file_of_its_own(tmp_path: Path) -> None:
    KUBECONFIG.write(tmp_path / "kubeconfig")
    (tmp_path / "link").symlink_to(tmp_path / "kubeconfig")

    with pytest.raises(KubeconfigError):
        KUBECONFIG.write(tmp_path / "link")


def test_a_missing_directory_is_named_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match=f"{tmp_path}/missing is not a directory; create it"):
        KUBECONFIG.write(tmp_path / "missing" / "kubeconfig")

    assert list(tmp_path.iterdir()) == []


def test_it_is_removed_at_the_end(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), KUBECONFIG.written(tmp_path / "kubeconfig") as path:
        assert path.is_file()
        raise ZeroDivisionError

    assert list(tmp_path.iterdir()) == []


def test_what_was_written_over_it_stays(tmp_path: Path) -> None:
    with KUBECONFIG.written(tmp_path / "kubeconfig") as path:
        OTHER.write(path)

    assert path.read_text() == OTHER.text()


def test_a_file_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    with KUBECONFIG.written(tmp_path / "kubeconfig") as path:
        path.unlink()


def presented(identity: ServerIdentity, host: str) -> dict[str, Any]:
    """The server's certificate as a client that verifies it reads it, without a socket."""
    context = ssl.create_default_context(cadata=identity.ca_pem)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(to_client, to_server, server_hostname=host)
    server = identity.tls.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return client.getpeercert() or {}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "example.com"])  # noqa: S104
def test_the_certificate_is_for_the_host_and_for_loopback(host: str) -> None:
    now = datetime.now(UTC).replace(microsecond=0)

    certificate = presented(issue_identity(host, now=now), host)

    names = {name for _, name in certificate["subjectAltName"]}
    assert names == {host.replace("::1", "0:0:0:0:0:0:0:1"), *LOOPBACK}
    assert ssl.cert_time_to_seconds(certificate["notAfter"]) == (now + LIFETIME).timestamp()
    assert ssl.cert_time_to_seconds(certificate["notBefore"]) < now.timestamp() - 60
