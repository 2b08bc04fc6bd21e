"""The product as its users run it: a process of its own, asked over its own HTTP server."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.processes import free_ports, wait_until

FAST = ("--qps", "500", "--burst", "500", "--write-qps", "1000", "--write-burst", "1000")
READY_SECONDS = 60.0
LOOKS = 6
"""What is on its way from the API server shows in one of them, on a busy machine too."""


def ingester(
    name: str, namespace: str, *, resource: str, group: str = "", version: str = "v1", **spec: Any
) -> dict[str, Any]:
    """An Ingester that watches one resource in its own namespace."""
    informer = {
        "gvr": {"group": group, "version": version, "resource": resource},
        "namespace": namespace,
        **spec.pop("informer", {}),
    }
    return {
        "apiVersion": "zen.kube-zen.io/v1alpha1",
        "kind": "Ingester",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "source": name,
            "ingester": "informer",
            "informer": informer,
            "destinations": [{"type": "crd", "value": "observations"}],
            **spec,
        },
    }


class Product:
    """One `zen-streams run`; killed on exit, if it is still there."""

    def __init__(
        self,
        folder: Path,
        documents: Iterable[Mapping[str, Any]],
        *,
        kubeconfig: Path,
        options: Iterable[str] = FAST,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder / "ingesters"
        self.folder.mkdir(parents=True)
        self.rewrite(documents)
        self.log = folder / "product.log"
        self._kubeconfig = kubeconfig
        self._options = tuple(options)
        self._environment = {**os.environ, **(environment or {})}
        self._port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def rewrite(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Give it other documents, for its next start."""
        for number, document in enumerate(documents):
            (self.folder / f"{number}.json").write_bytes(msgspec.json.encode(document))

    def start(self) -> None:
        """Start it, and return at once."""
        (self._port,) = free_ports(1)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment,
            )

    def command(self) -> list[str]:
        """The command line, which listens on `address`."""
        command = [sys.executable, "-m", "streams", "run", "-f", str(self.folder), "--json-logs"]
        command += ["--kubeconfig", str(self._kubeconfig), "--listen", self.address]
        return [*command, *self._options]

    @property
    def address(self) -> str:
        """Where it listens, as HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    def ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Wait until every source has its first list; raises TimeoutError with the log's end."""

        def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.tail()
            return self._get("/readyz")[0] == 200

        wait_until(look, seconds=seconds, what="the product to be ready")

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        self.wait()

    def stop(self, *, seconds: float = 30.0) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def wait(self, *, seconds: float = 30.0) -> int:
        """The exit code, once it is there."""
        assert self.process is not None
        return self.process.wait(seconds)

    def resident_bytes(self) -> int:
        """The memory it holds now."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def metrics(self, name: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample by name and labels, or those alone whose names begin with ``name``."""
        status, text = self._get("/metrics")
        assert status == 200
        if name:
            text = "".join(f"{line}\n" for line in text.splitlines() if line.startswith(name))
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric over all samples that have these labels."""
        wanted = set(labels.items())
        return sum(
            value
            for (sample, has), value in self.metrics(name).items()
            if sample == name and wanted <= has
        )

    def outcomes(self, source: str) -> dict[str, float]:
        """How events of a source ended."""
        found: dict[str, float] = {}
        for (name, labels), value in self.metrics().items():
            said = dict(labels)
            if name == "zenstreams_events_outcome_total" and said["source"] == source:
                found[said["outcome"]] = found.get(said["outcome"], 0) + value
        return found

    def assert_balanced(self, source: str) -> None:
        """The law: received = outcomes + in flight; and the reader's own book agrees."""
        metrics = self.metrics()

        def value(name: str, **labels: str) -> float:
            wanted = set({"source": source, **labels}.items())
            return sum(v for (n, has), v in metrics.items() if n == name and wanted <= has)

        received = value("zenstreams_events_received_total")
        ended = value("zenstreams_events_outcome_total")
        assert received == ended + value("zenstreams_events_in_flight")
        read = {
            what: value("zenstreams_source_read_total", what=what)
            for what in (
                *("lines", "list_items", "gets", "synthetic_deletes"),
                *("bookmarks", "duplicates", "server_errors", "received"),
            )
        }
        came = read["lines"] + read["list_items"] + read["gets"] + read["synthetic_deletes"]
        silent = read["bookmarks"] + read["duplicates"] + read["server_errors"]
        assert came == silent + read["received"], read
        assert read["received"] == received

    def quiet(self, *, seconds: float = 60.0) -> None:
        """Wait until nothing is in flight, nothing is to be read again, and nothing moved for some looks."""
        seen: list[tuple[float, float]] = []

        def look() -> bool:
            received = self.total("zenstreams_events_received_total")
            open_ = self.total("zenstreams_events_in_flight")
            open_ += self.total("zenstreams_source_dirty_objects")
            seen.append((received, open_))
            return len(seen) > LOOKS and all(one == (received, 0.0) for one in seen[-LOOKS:])

        wait_until(look, seconds=seconds, what="the product to be quiet")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text()[-4000:]

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except OSError:
            return 0, ""
        finally:
            connection.close()
