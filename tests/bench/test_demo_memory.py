"""Does the demonstration hold on to anything? 200 events a second for a minute, and what it weighs meanwhile."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

SECONDS, PER_SECOND, SETTLED_SECONDS = 60, 200, 20
ENOUGH = 0.8
"""Less than this share of the rate does not fill the rings of history before they are weighed."""
GROWTH_BYTES = 1024 * 1024


def resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


@pytest.mark.bench
@pytest.mark.timeout(SECONDS + 60)
def test_it_does_not_grow() -> None:
    command = [sys.executable, "-m", "streams", "demo", "--json"]
    command += ["--duration", str(SECONDS), "--rate", str(PER_SECOND)]
    weighed: list[tuple[float, int]] = []
    pause = threading.Event()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            weighed.append((time.monotonic() - began, resident_bytes(process.pid)))
            pause.wait(1)
        assert process.stdout is not None
        said = msgspec.json.decode(process.stdout.read(), type=dict[str, Any])
    for seconds, weight in weighed[::5]:
        print(f"{seconds:5.1f} s {weight / 1e6:7.1f} MB")
    sources: dict[str, dict[str, Any]] = said["sources"]
    for name, one in sources.items():
        print(name, one)
        assert one["received"] == sum(one["outcomes"].values()) + one["in_flight"], name
    assert process.returncode == 0
    received = sum(one["received"] for one in sources.values())
    if received < ENOUGH * SECONDS * PER_SECOND:
        pytest.skip(
            f"only {received / SECONDS:.0f} events a second: the machine has no time for more"
        )
    after = [weight for seconds, weight in weighed if seconds >= SETTLED_SECONDS]
    print(f"grown by {(after[-1] - after[0]) / 1024:.0f} KiB in {SECONDS - SETTLED_SECONDS} s")
    assert after[-1] - after[0] < GROWTH_BYTES
