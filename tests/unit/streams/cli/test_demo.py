from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.main import app

WITHOUT = """
import sys

sys.modules[sys.argv.pop()] = None
from streams.cli.main import run

run()
"""


@pytest.mark.parametrize(
    ("command", "package"),
    [("demo", "cel_expr_python"), ("demo", "trustme"), ("apiserver", "re2")],
)
def test_a_missing_package_is_named_with_the_remedy(command: str, package: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT, command, package],
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 2
    assert package in told.stderr
    assert "zen-streams[demo]" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize(
    ("option", "found"),
    [("--duration", "-1"), ("--duration", "nan"), ("--rate", "0"), ("--rate", "inf")],
)
def test_a_number_that_means_nothing_is_refused(option: str, found: str) -> None:
    told = CliRunner().invoke(app, ["demo", option, found])

    assert told.exit_code == 2
    assert option in told.stderr


def test_a_place_to_serve_at_that_is_none_is_refused() -> None:
    told = CliRunner().invoke(app, ["apiserver", "--listen", "nowhere"])

    assert told.exit_code == 2
    assert "HOST:PORT" in told.stderr


def test_an_address_that_is_taken_is_reported_as_run_does() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"

        told = CliRunner().invoke(app, ["apiserver", "--listen", place])

    assert told.exit_code == 2
    assert told.stderr == f"error: --listen {place}: Address already in use\n"


def test_a_kubeconfig_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = ["apiserver", "--write-kubeconfig", str(tmp_path / "file" / "kubeconfig")]

    told = CliRunner().invoke(app, command)

    assert told.exit_code == 2
    assert told.stderr.startswith(f"error: --write-kubeconfig {tmp_path}/file")
