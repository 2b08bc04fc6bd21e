"""The image: the product alone, run by nobody in particular, made of what is pinned."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.shipped import DEPLOY, TOP, image, image_files, lay_out


def test_the_image_has_the_product_and_no_server_of_its_own() -> None:
    folders = {str(path.parent) for path in image_files()}

    assert {"streams", "operators", "sinks", "streams/cli"} <= folders
    assert [it for it in folders if it.partition("/")[0] in {"demo", "tests"}] == []
    assert [it for it in folders if "__pycache__" in it] == []


def test_a_stand_in_for_a_cluster_never_gets_into_the_image(tmp_path: Path) -> None:
    kept = ["streams/cli/run.py", "operators/buffer.py"]
    left_out = ["demo/apiserver/store.py", "demo/show.py", "tests/kit/doubles.py"]
    for path in (*kept, *left_out, "streams/__pycache__/x.pyc", "deploy/Dockerfile"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    for path in (".dockerignore", "deploy/Dockerfile"):
        (tmp_path / path).write_text((TOP / path).read_text())

    assert sorted(map(str, image_files(tmp_path))) == sorted(kept)


AS_IN_THE_IMAGE = """
import runpy
import sys
from pathlib import Path

sys.path = [place for place in sys.path if not Path(place, "demo").exists()]
runpy.run_module("streams", run_name="__main__", alter_sys=True)
"""
"""Without the checkout, which an editable installation has on the path."""


def run_in_image(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", AS_IN_THE_IMAGE, *words],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_in_the_image_runs_without_the_rest(tmp_path: Path) -> None:
    done = run_in_image(lay_out(tmp_path), "validate", "-f", str(DEPLOY / "examples"))

    assert done.stdout == "0 errors, 0 warnings, 0 notes\n", done.stderr


@pytest.mark.parametrize(
    ("command", "remedy"),
    [("demo", "make demo"), ("apiserver", "make setup and .venv/bin/zen-streams apiserver")],
)
def test_what_is_not_in_the_image_is_missed_in_one_line(
    tmp_path: Path, command: str, remedy: str
) -> None:
    done = run_in_image(lay_out(tmp_path), command)

    assert done.returncode == 2
    assert done.stderr == (
        "error: the demonstration and its API server are in the repository alone, not in the image or"
        f" the wheel: clone the repository, then run {remedy}\n"
    )


def test_the_image_runs_without_root_and_installs_what_is_pinned() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    (installs,) = [line for line in lines if "pip sync" in line]
    (base,) = [line.split("=")[1] for line in lines if line.startswith("ARG ")]

    assert image().user == "65532:65532"
    assert image().entrypoint == ("python", "-m", "streams")
    assert image().environment["PYTHONPATH"] == "/app"
    assert installs.count("--require-hashes") == 2
    assert "--without-pip" in installs
    assert base.partition(":")[2] not in {"", "latest"}
