from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]
SECTION = (
    (TOP / "README.md").read_text().partition("\n## A pipeline by hand\n")[2].partition("\n## ")[0]
)
(PROGRAM,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
(SAID,) = re.findall(r"```text\n(.*?)```", SECTION, re.DOTALL)


def run(command: list[str], program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=TOP, input=program, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_pipeline_runs_and_says_what_it_is_said_to_say() -> None:
    done = run([sys.executable, "-W", "error", "-"], PROGRAM)

    assert done.stderr == ""
    assert [line.split() for line in done.stdout.splitlines()] == [
        line.split() for line in SAID.splitlines()
    ]


def test_the_pipeline_is_typed(tmp_path: Path) -> None:
    file = tmp_path / "by_hand.py"
    file.write_text(PROGRAM)

    done = run([sys.executable, "-m", "pyright", "--project", str(TOP), str(file)], "")

    assert done.returncode == 0, done.stdout
