from __future__ import annotations

import subprocess
import sys

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
    [("demo", "cel_expr_python"), ("demo", "cryptography"), ("apiserver", "re2")],
)
def test_it_says_what_to_install(command: str, package: str) -> None:
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
