"""A process that runs one command, and sees to it that it does not outlive whoever asked for it.

Standard input is the leash: every byte on it is the number of a signal for the command, and its
end, which the kernel brings about however the asker died, is SIGKILL. A leash belongs to a process;
the kernel's own parent-death signal belongs to a thread, and would end a server together with the
worker thread that happened to start it. Here that signal serves a keeper that is itself killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def main(command: list[str]) -> int:
    """Run the command until it ends; the exit code is its own, or 128 and the signal's number."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)  # Linux alone has it

    def die_with_keeper() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))

    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        preexec_fn=die_with_keeper,  # noqa: PLW1509 - this process has no second thread yet
    )
    threading.Thread(target=obey, args=(child,), daemon=True).start()
    code = child.wait()
    return 128 - code if code < 0 else code


def obey(child: subprocess.Popen[bytes]) -> None:
    """Pass the leash's signals on to the command, and kill it where the leash ends."""
    while order := os.read(0, 1):
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(order[0])
    child.kill()


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))  # a thread still reads the leash: nothing may wait for it
