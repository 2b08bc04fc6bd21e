"""The kubeconfig that leads a client to the server, standing alone."""

from __future__ import annotations

import os
from base64 import b64encode
from pathlib import Path

import yaml

NAME = "zen-streams"


def written(*, url: str, ca_pem: str, token: str) -> str:
    """The kubeconfig as text; it holds the token."""
    cluster = {"server": url, "certificate-authority-data": b64encode(ca_pem.encode()).decode()}
    context = {"cluster": NAME, "user": NAME, "namespace": "default"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": cluster}],
        "contexts": [{"name": NAME, "context": context}],
        "users": [{"name": NAME, "user": {"token": token}}],
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(path: Path, text: str) -> None:
    """Write it where only its owner may read it, in one step: nobody sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600)
    beside.write_text(text)
    beside.replace(path)
