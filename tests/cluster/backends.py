"""Where traces go: a genuine collector with the shipped configuration, and a genuine Jaeger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import msgspec

from tests.cluster.processes import Program, free_ports, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONFIGURATION = Path(__file__).parents[2] / "otel-collector.yaml"
READY_SECONDS = 60.0

OVERLAY = """\
exporters:
  file/test: {{path: {output}, format: json, flush_interval: 200ms, create_directory: true}}
service:
  pipelines:
    traces/kept:
      exporters: [otlp_grpc/jaeger, otlp_grpc/tempo, file/test]
"""
"""Laid over the shipped configuration: a file to read what was kept; everything else is as shipped."""

JAEGER = """\
extensions:
  jaeger_storage: {{backends: {{mem: {{memory: {{max_traces: 100000}}}}}}}}
  jaeger_query:
    storage: {{traces: mem}}
    http: {{endpoint: "127.0.0.1:{http}"}}
    grpc: {{endpoint: "127.0.0.1:{grpc}"}}
receivers:
  otlp: {{protocols: {{grpc: {{endpoint: "127.0.0.1:{otlp}"}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: mem}}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
"""


def answer(url: str) -> bytes | None:
    """What a loopback server answers to a GET, None where it does not."""
    try:
        with urlopen(url, timeout=5) as response:  # noqa: S310  loopback, written here
            return response.read()
    except (URLError, OSError):
        return None


class Jaeger:
    """A Jaeger that keeps traces in memory; ready on entry, gone on exit."""

    def __init__(self, folder: Path, programs: Mapping[str, Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._http, grpc, otlp = free_ports(3)
        self.endpoint = f"127.0.0.1:{otlp}"
        """Where it takes OTLP over gRPC."""
        configuration = folder / "jaeger.yaml"
        configuration.write_text(JAEGER.format(http=self._http, grpc=grpc, otlp=otlp))
        # It would trace itself, into a collector that is not there.
        command = ["env", "OTEL_TRACES_SAMPLER=always_off", str(programs["jaeger"])]
        command += ["--config", str(configuration)]
        self._program = Program(command, log=folder / "jaeger.log")

    def __enter__(self) -> Self:
        wait_until(
            lambda: answer(f"http://127.0.0.1:{self._http}/api/services") is not None,
            seconds=READY_SECONDS,
            what=f"Jaeger to answer; its log ends:\n{self._program.tail()}",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()

    def find(self, **tags: str) -> list[dict[str, Any]]:
        """The traces of zen-streams with a span that has these tags."""
        query = {"service": "zen-streams", "limit": "1000", "lookback": "1h"}
        query["tags"] = msgspec.json.encode(tags).decode()
        return self._ask("traces", query) or []

    def _ask(self, what: str, query: Mapping[str, str]) -> Any:
        said = answer(f"http://127.0.0.1:{self._http}/api/{what}?{urlencode(query)}")
        return None if said is None else msgspec.json.decode(said)["data"]


class Collector:
    """A collector with the configuration that is shipped; ready on entry, gone on exit."""

    def __init__(
        self, folder: Path, programs: Mapping[str, Path], *, jaeger: str, tempo: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        ports = free_ports(5)
        self.endpoint = f"http://127.0.0.1:{ports[0]}"
        """Where it takes OTLP over HTTP."""
        self._metrics, self._health = ports[1], ports[2]
        self._output = folder / "kept.jsonl"
        overlay = folder / "overlay.yaml"
        overlay.write_text(OVERLAY.format(output=self._output))
        environment = {
            "OTLP_HTTP_ENDPOINT": f"127.0.0.1:{ports[0]}",
            "OTLP_GRPC_ENDPOINT": f"127.0.0.1:{ports[3]}",
            "PROMETHEUS_ENDPOINT": f"127.0.0.1:{ports[1]}",
            "HEALTH_ENDPOINT": f"127.0.0.1:{ports[2]}",
            "SELF_METRICS_HOST": "127.0.0.1",
            "SELF_METRICS_PORT": str(ports[4]),
            "QUEUE_FOLDER": str(folder / "queue"),
            "JAEGER_ENDPOINT": jaeger,
            "TEMPO_ENDPOINT": tempo,
            "METRICS_FLUSH_INTERVAL": "1s",
            "GOMEMLIMIT": "512MiB",
        }
        command = ["env", *(f"{name}={value}" for name, value in environment.items())]
        command += [str(programs["otelcol"])]
        command += ["--config", str(CONFIGURATION), "--config", str(overlay)]
        self._program = Program(command, log=folder / "otelcol.log")

    def __enter__(self) -> Self:
        wait_until(
            lambda: answer(f"http://127.0.0.1:{self._health}/") is not None,
            seconds=READY_SECONDS,
            what=f"the collector to be healthy; its log ends:\n{self._program.tail()}",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._program.stop()

    def spans(self) -> Iterator[dict[str, Any]]:
        """Every span that was kept so far, as OTLP's JSON has it."""
        if not self._output.exists():
            return
        written, _, _ = self._output.read_bytes().rpartition(b"\n")  # the last line is under way
        for line in written.splitlines():
            for resource in msgspec.json.decode(line)["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    yield from scope["spans"]

    def metrics(self) -> str:
        """The span metrics as Prometheus scrapes them."""
        return (answer(f"http://127.0.0.1:{self._metrics}/metrics") or b"").decode()
