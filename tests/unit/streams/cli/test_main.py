from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.main import app
from streams.runtime.settings import product_version

ROOT = Path(__file__).parents[4]
COMMANDS = ("run", "validate", "crds", "demo", "apiserver")
HEAVY = ("aiohttp", "kubernetes", "prometheus_client", "pydantic", "reactivex", "ruamel", "yaml")


def test_help_teaches_the_commands_and_the_exit_codes() -> None:
    result = CliRunner().invoke(app, ["--help"])

    assert result.exit_code == 0
    for command in COMMANDS:
        assert f"zen-streams {command}" in result.stdout
    for code in ("0", "1", "2", "3", "130"):
        assert code in result.stdout.split("Exit codes:")[1]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_one_that_works(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])

    assert result.exit_code == 0
    assert f"Example: zen-streams {command}" in result.stdout


def test_the_version_is_that_of_the_product() -> None:
    result = CliRunner().invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"zen-streams {product_version()}\n")


@pytest.mark.parametrize("arguments", [[], ["frobnicate"], ["validate"], ["run"], ["--nothing"]])
def test_a_wrong_call_is_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_nothing_heavy_is_imported_before_a_command_runs() -> None:
    program = f"import sys, streams.cli.main; print([it for it in {HEAVY} if it in sys.modules])"

    imported = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert imported.stdout == "[]\n"


@pytest.mark.timeout(60)
def test_the_package_is_a_command() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "streams", "validate", "-f", "no-such-file"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 2
    assert result.stdout.startswith("no-such-file:1: error: ")
