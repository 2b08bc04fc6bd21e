"""A genuine cluster to work with by hand: `python -m tests.cluster.up`, until Ctrl-C."""

from __future__ import annotations

import fcntl
import shutil
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from streams.config.crd import manifests
from tests.cluster.cluster import Cluster, PartFailedError
from tests.cluster.parts import BuildFailedError, available, ensure
from tests.cluster.processes import CommandFailedError

if TYPE_CHECKING:
    from collections.abc import Generator

TOP = Path(__file__).parents[2]
FOLDER = TOP / ".cluster"

HOW_TO = """
Kubernetes {version} at {url}, with the CRDs of zen-streams. In another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH={programs}:$PATH
  {product} run -f {examples}

and in a third one, with the same two exports:

  kubectl create configmap hello --from-literal=a=b
  kubectl label configmap hello zen-streams/watch=yes
  kubectl get observations --all-namespaces

It has no controllers and no nodes. Its logs and its audit log: {logs}
Ctrl-C ends it and removes what it held.
"""


class AlreadyUpError(RuntimeError):
    """Another process holds the folder of this checkout's cluster."""


def main() -> int:
    """Stay until told to stop; the exit code is 0 then, and 1 where there is no cluster."""
    signal.signal(signal.SIGTERM, stop)
    try:
        reason = available()
        if reason is not None:
            say(f"error: {reason}")
            return 1
        stay()
    except KeyboardInterrupt:
        say("stopped")
    except (AlreadyUpError, BuildFailedError, PartFailedError, CommandFailedError) as failure:
        say(f"error: {failure}")
        return 1
    return 0


def stay() -> None:
    """Have the cluster up until an exception ends it; raises PartFailedError where a part ends."""
    with alone():
        data = FOLDER / "data"
        shutil.rmtree(data, ignore_errors=True)  # of one that was killed
        programs = ensure(say=say)
        say("starting")
        with Cluster(data, programs=programs) as cluster:
            cluster.apply(*manifests())
            shutil.copy(cluster.kubeconfig, FOLDER / "kubeconfig")
            say(how_to(cluster, kubectl=programs["kubectl"]))
            pause = threading.Event()
            while not pause.wait(1):
                cluster.check()


@contextmanager
def alone() -> Generator[None]:
    """Hold the folder; what a cluster left in it is removed only where nobody needs it for a look.

    Raises AlreadyUpError.
    """
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / ".gitignore").write_text("*\n")
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            kubeconfig = FOLDER / "kubeconfig"
            raise AlreadyUpError(f"it is up already: export KUBECONFIG={kubeconfig}") from None
        try:
            yield
        except KeyboardInterrupt:
            shutil.rmtree(FOLDER / "data", ignore_errors=True)
            raise
        finally:
            (FOLDER / "kubeconfig").unlink(missing_ok=True)


def how_to(cluster: Cluster, *, kubectl: Path) -> str:
    """What to type to use it."""
    installed = Path(sys.executable).with_name("zen-streams")
    return HOW_TO.format(
        version=cluster.api().need("GET", "/version")["gitVersion"],
        url=cluster.url,
        kubeconfig=FOLDER / "kubeconfig",
        programs=kubectl.parent,
        product=installed if installed.exists() else f"{sys.executable} -m streams",
        examples=TOP / "deploy" / "examples",
        logs=cluster.folder,
    )


def say(text: str) -> None:
    """A line for whoever sits before it."""
    sys.stderr.write(f"{text}\n")


def stop(*_: object) -> NoReturn:
    """SIGTERM is a Ctrl-C from afar."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
