"""A genuine Prometheus on loopback, which scrapes one address every second."""

from __future__ import annotations

import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import yaml

from tests.cluster.processes import Program, free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping


class Prometheus:
    """Runs from entry to exit; `program` is its file, `rules` are groups of alerts it evaluates."""

    def __init__(
        self, program: str, folder: Path, *, address: str, rules: Mapping[str, Any]
    ) -> None:
        (self._port,) = free_ports(1)
        (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
        scrape = {"job_name": "it", "static_configs": [{"targets": [address]}]}
        every = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config = {"global": every, "rule_files": ["rules.yaml"], "scrape_configs": [scrape]}
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self._folder = folder
        self._command = [
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]

    def __enter__(self) -> Self:
        self._running = Program(self._command, log=self._folder / "prometheus.log")
        return self

    def __exit__(self, *_: object) -> None:
        self._running.stop()

    def tail(self) -> str:
        """The end of its log."""
        return self._running.tail(5)

    def series(self, expression: str) -> list[dict[str, Any]]:
        """What an expression answers now."""
        return self._ask("query", query=expression).get("result", [])

    def alerts(self) -> list[dict[str, Any]]:
        """Every rule, with its health and its state."""
        return [rule for group in self._ask("rules").get("groups", ()) for rule in group["rules"]]

    def _ask(self, path: str, **query: str) -> dict[str, Any]:
        """What it answers; nothing while it is not there yet."""
        url = f"http://127.0.0.1:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return msgspec.json.decode(answer.read())["data"]
        except OSError:
            return {}
