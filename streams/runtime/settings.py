"""The settings of a process, from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach the cluster, the rate limits, the address of probes, and how long to drain."""

    kubeconfig: str | None = None
    context: str | None = None
    grace_seconds: float = 25.0
    """Less than the 30 s that Kubernetes waits before it kills (terminationGracePeriodSeconds)."""
    listen_host: str = "127.0.0.1"
    listen_port: int = 8080
    """0 takes a free one."""
    qps: float = 5.0
    burst: int = 10
    write_qps: float = 5.0
    write_burst: int = 10


def product_version() -> str:
    """Return the installed version; ``unknown`` where the code runs without having been installed."""
    try:
        return metadata.version("zen-streams")
    except metadata.PackageNotFoundError:
        return "unknown"
