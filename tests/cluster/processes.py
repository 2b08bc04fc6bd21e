"""Commands run to their end, and programs that run beside the tests and never outlive them."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEEPER = Path(__file__).with_name("keeper.py")
PORTS = range(20_000, 30_000)
"""Below the range clients are given: a client that keeps dialling a closed port in that range can
end up connected to itself, and then the server never gets its port back."""


class CommandFailedError(RuntimeError):
    """A command ended with another code than 0; its output is kept."""

    def __init__(self, ended: subprocess.CompletedProcess[str]) -> None:
        self.code = ended.returncode
        self.stdout = ended.stdout
        self.stderr = ended.stderr
        command = Path(ended.args[0]).name
        said = "\n".join((ended.stderr or ended.stdout).splitlines()[-20:])
        super().__init__(f"{command} {' '.join(ended.args[1:])} ended with {self.code}: {said}")


def run(
    command: Sequence[str],
    *,
    input: str | None = None,  # noqa: A002 - named as in subprocess.run
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    seconds: float = 60.0,
) -> str:
    """What the command wrote to standard output; raises CommandFailedError or TimeoutExpired."""
    ended = subprocess.run(
        list(command),
        input=input,
        stdin=subprocess.DEVNULL if input is None else None,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        timeout=seconds,
        text=True,
        capture_output=True,
        check=False,
    )
    if ended.returncode != 0:
        raise CommandFailedError(ended)
    return ended.stdout


def wait_until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Ask the condition every 20 ms until it holds; raises TimeoutError naming `what`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        pause.wait(0.02)


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that nobody listens on at this moment."""
    candidates = random.sample(PORTS, len(PORTS))
    free: list[int] = []
    for port in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == count:
            return free
    raise OSError(f"no {count} free ports in {PORTS}")


class Program:
    """A command that runs until it is stopped, its output appended to a log file.

    It dies with this process, however this process dies, and does not depend on the thread that
    started it. It is in a session of its own: a Ctrl-C in the terminal reaches the tests alone.
    """

    def __init__(self, command: Sequence[str], *, log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._keeper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(KEEPER), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                bufsize=0,
            )

    def running(self) -> bool:
        """Whether the command has not ended yet."""
        return self._keeper.poll() is None

    def send(self, number: Signals) -> None:
        """Send the command a signal; nothing happens where it has ended."""
        leash = self._keeper.stdin
        if leash is not None and not leash.closed and self.running():
            try:
                leash.write(bytes([number]))
            except BrokenPipeError:
                return

    def stop(self, *, number: Signals = Signals.SIGKILL, seconds: float = 20.0) -> None:
        """Send the signal and wait for the end; what does not end in `seconds` is killed."""
        self.send(number)
        try:
            self._keeper.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(Signals.SIGKILL)
            self._keeper.wait(seconds)
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()

    def tail(self, lines: int = 30) -> str:
        """The last lines of its log."""
        with self.log.open(errors="replace") as log:
            return "".join(deque(log, maxlen=lines))
