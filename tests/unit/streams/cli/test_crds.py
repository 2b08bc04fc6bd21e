from __future__ import annotations

from typer.testing import CliRunner

from streams.cli.main import app
from streams.config.crd import render


def test_crds_are_printed_to_the_byte() -> None:
    result = CliRunner().invoke(app, ["crds"])

    assert result.exit_code == 0
    assert result.stdout_bytes == render().encode()
    assert result.stderr == ""
