"""The embedded API server as its users run it: a process of its own, told apart from a genuine one by nobody."""

from __future__ import annotations

import base64
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from typing import Any, Self

import yaml

from tests.cluster.api import Api
from tests.cluster.processes import Program, wait_until

START_SECONDS = 20.0
APPLY = "application/apply-patch+yaml"


class Way:
    """What a kubeconfig says of one server."""

    def __init__(self, kubeconfig: Path, *, folder: Path) -> None:
        said: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
        cluster: dict[str, str] = said["clusters"][0]["cluster"]
        self.url = cluster["server"]
        self.token: str = said["users"][0]["user"]["token"]
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))

    def api(self) -> Api:
        """Its API, for plain requests."""
        return Api(self.url, ca_file=self.ca_file, token=self.token)


class Embedded:
    """One `zen-streams apiserver`; ended on exit."""

    def __init__(self, folder: Path) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.log = folder / "apiserver.log"
        self._folder = folder
        self._program: Program | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "streams", "apiserver"]
        command += ["--listen", "127.0.0.1:0", "--write-kubeconfig", str(self.kubeconfig)]
        self._program = Program(command, log=self.log)
        try:
            wait_until(self._told, seconds=START_SECONDS, what="zen-streams apiserver")
        except TimeoutError as failure:
            self.stop()
            raise AssertionError(self.log.read_text()) from failure
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def way(self) -> Way:
        """How to reach it."""
        return Way(self.kubeconfig, folder=self._folder)

    def stop(self, number: Signals = Signals.SIGTERM) -> None:
        """End it by a signal; a second call changes nothing."""
        if self._program is not None:
            self._program.stop(number=number)
            self._program = None

    def api(self) -> Api:
        """Its API, for plain requests."""
        return self.way.api()

    def apply(self, *documents: Mapping[str, Any]) -> None:
        """Apply definitions."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for document in documents:
            name = document["metadata"]["name"]
            self.api().need(
                "PATCH",
                f"{path}/{name}?fieldManager=tests&force=true",
                body=document,
                content_type=APPLY,
            )

    def namespace(self) -> str:
        """Make a namespace nobody else uses."""
        name = f"test-{secrets.token_hex(4)}"
        self.api().need("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
        return name

    def forget_history(self) -> None:
        """Let every older resourceVersion expire."""
        self.api().need("POST", "/debug/forget-history")

    def _told(self) -> bool:
        assert self._program is not None
        assert self._program.running(), self.log.read_text()
        return "Ctrl-C ends it." in self.log.read_text()
