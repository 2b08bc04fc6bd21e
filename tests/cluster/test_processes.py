from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

import pytest

from tests.cluster.processes import CommandFailedError, Program, free_ports, run, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

TOP = Path(__file__).parents[2]
SHELL = "/bin/sh"
STARTS_ONE_AND_HANGS = """
import sys, threading
from pathlib import Path
from tests.cluster.processes import Program
program = Program(sys.argv[2:], log=Path(sys.argv[1]))
threading.Event().wait()
"""


def says_its_id(log: Path) -> Callable[[], bool]:
    return lambda: log.exists() and log.read_text().endswith("\n")


def is_gone(process: int) -> bool:
    try:
        return b") Z " in Path(f"/proc/{process}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_program_dies_with_a_process_that_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [SHELL, "-c", "echo $$; exec sleep 600"]
    asker = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE_AND_HANGS, str(log), *command],
        cwd=TOP,
    )
    wait_until(says_its_id(log), seconds=20, what="the program")
    process = int(log.read_text())

    asker.kill()
    asker.wait()

    wait_until(lambda: is_gone(process), seconds=10, what="the end of the program")


def test_a_program_dies_with_its_keeper(tmp_path: Path) -> None:
    program = Program([SHELL, "-c", "echo $PPID $$; exec sleep 600"], log=tmp_path / "log")
    wait_until(says_its_id(program.log), seconds=20, what="the program")
    keeper, process = map(int, program.log.read_text().split())

    os.kill(keeper, Signals.SIGKILL)
    program.stop()

    wait_until(lambda: is_gone(process), seconds=10, what="the end of the program")


def test_a_program_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    started: list[Program] = []

    def start() -> None:
        started.append(Program([SHELL, "-c", "echo $$; exec sleep 600"], log=tmp_path / "log"))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    program = started[0]
    wait_until(says_its_id(program.log), seconds=20, what="the program")

    assert program.running()
    program.stop()
    assert not program.running()


def test_a_signal_reaches_the_program(tmp_path: Path) -> None:
    script = "trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.05; done"
    program = Program([SHELL, "-c", script], log=tmp_path / "log")
    wait_until(says_its_id(program.log), seconds=20, what="the program")

    program.stop(number=Signals.SIGTERM)

    assert program.tail() == "up\nasked\n"
    assert program.tail(1) == "asked\n"


def test_what_does_not_heed_a_signal_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    program = Program([SHELL, "-c", script], log=tmp_path / "log")
    wait_until(says_its_id(program.log), seconds=20, what="the program")

    program.stop(number=Signals.SIGTERM, seconds=0.3)

    assert not program.running()


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(CommandFailedError, match=r"sh .* ended with 3: no such thing") as failed:
        run([SHELL, "-c", "echo out; echo no such thing >&2; exit 3"])

    assert (failed.value.code, failed.value.stdout) == (3, "out\n")


def test_a_condition_that_never_holds_is_named() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0\.05 s: the moon"):
        wait_until(lambda: False, seconds=0.05, what="the moon")


def test_ports_are_distinct_and_free() -> None:
    assert len(set(free_ports(20))) == 20
