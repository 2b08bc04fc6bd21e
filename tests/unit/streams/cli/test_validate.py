from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.main import app

GOOD = """\
apiVersion: zen.kube-zen.io/v1alpha1
kind: Ingester
metadata:
  name: {name}
spec:
  source: settings
  ingester: informer
  informer:
    gvr: {{group: "", version: v1, resource: configmaps}}
  destinations:
  - type: crd
    value: observations
"""
UNKNOWN = GOOD.format(name="unknown") + "  sorce: x\n"
WRONG = GOOD.format(name="wrong").replace("source: settings", "source: Settings!")


def validated(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["validate", *arguments])
    assert result.stderr == ""
    return result.exit_code, result.stdout.splitlines()


def test_a_good_document_is_counted_and_accepted(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.format(name="a"))

    assert validated("-f", str(tmp_path)) == (0, ["0 errors, 0 warnings, 0 notes"])


def test_every_finding_names_its_place_in_order(tmp_path: Path) -> None:
    good, unknown, wrong = (tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml"))
    good.write_text(GOOD.format(name="a"))
    unknown.write_text(UNKNOWN)
    wrong.write_text(WRONG)

    code, lines = validated("-f", str(wrong), "-f", str(unknown), "--filename", str(good))

    assert code == 2
    assert lines[0].startswith(f"{unknown}:13: warning: spec.sorce: ")
    assert lines[1].startswith(f"{wrong}:6: error: spec.source: ")
    assert lines[2:] == ["1 error, 1 warning, 0 notes"]


def test_an_unknown_field_is_a_warning_and_under_strict_an_error(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(UNKNOWN)

    lenient, _ = validated("-f", str(file))
    strict, lines = validated("-f", str(file), "--strict")

    assert (lenient, strict) == (0, 2)
    assert ": error: spec.sorce: " in lines[0]


@pytest.mark.parametrize("place", ["nowhere.yaml", "."])
def test_what_is_not_there_is_an_error(tmp_path: Path, place: str) -> None:
    code, lines = validated("-f", str(tmp_path / place))

    assert code == 2
    assert lines[-1] == "1 error, 0 warnings, 0 notes"


def test_documents_without_an_ingester_are_not_called_valid(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")

    result = CliRunner().invoke(app, ["validate", "-f", str(file)])

    assert result.exit_code == 2
    assert (
        result.stderr
        == "error: found no Ingester in these files; a document needs kind: Ingester\n"
    )
