"""The genuine programs the tests run against, built once from Go modules and kept in a cache."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.processes import CommandFailedError, run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

BUILD_SECONDS = 3600.0
"""A cold build of kube-apiserver takes five minutes on two idle cores; a busy machine has more."""


@dataclass(frozen=True, slots=True)
class Part:
    """One program: the folder beside this file whose go.mod pins it, and its Go package."""

    name: str
    module: str
    package: str
    files: tuple[str, ...] = ()
    """What it needs beside it at run time: paths inside its Go module, kept under their last names."""
    versioned_by: str = ""
    """The module whose version is the part's, where that is not the one its package is in."""

    @property
    def version(self) -> str:
        """The version go.mod asks for, without its `v`."""
        required = re.findall(
            r"^\s*(?:require\s+)?(\S+) v(\S+)", (self.folder / "go.mod").read_text(), re.MULTILINE
        )
        package = self.versioned_by or self.package
        holders = [found for found in required if f"{package}/".startswith(f"{found[0]}/")]
        return max(holders)[1]

    @property
    def folder(self) -> Path:
        """Where its go.mod and go.sum stand."""
        return Path(__file__).parent / self.module

    @property
    def program(self) -> Path:
        """Where the built program is kept, whether or not it is there yet."""
        return cache() / f"{self.name}-{self.version}" / self.name

    def kept(self, path: str) -> Path:
        """Where one of its `files` is kept, beside the program."""
        return self.program.with_name(Path(path).name)

    @property
    def link_flags(self) -> str:
        """Flags of the linker; without the stamps Kubernetes calls itself v0.0.0-master."""
        if self.module != "kubernetes":
            return "-s -w"
        major, minor, _ = self.version.split(".", 2)
        stamps = {
            "k8s.io/component-base/version.gitVersion": f"v{self.version}",
            "k8s.io/component-base/version.gitMajor": major,
            "k8s.io/component-base/version.gitMinor": minor,
            "k8s.io/client-go/pkg/version.gitVersion": f"v{self.version}",
        }
        return " ".join(["-s -w", *(f"-X {name}={text}" for name, text in stamps.items())])


KWOK_STAGES = tuple(
    f"kustomize/stage/{path}.yaml"
    for path in (
        *("node/fast/node-initialize", "node/heartbeat/node-heartbeat"),
        *("pod/fast/pod-ready", "pod/fast/pod-complete", "pod/fast/pod-delete"),
    )
)
"""How its nodes and pods live; without stages kwok ends at once."""

PARTS = {
    part.name: part
    for part in (
        Part("etcd", "etcd", "go.etcd.io/etcd/server/v3"),
        Part("etcdctl", "etcd", "go.etcd.io/etcd/etcdctl/v3"),
        Part("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
        Part("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
        Part(
            "kube-controller-manager", "kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"
        ),
        Part("kube-scheduler", "kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
        Part("kwok", "kwok", "sigs.k8s.io/kwok/cmd/kwok", files=KWOK_STAGES),
        Part("otelcol", "collector", ".", versioned_by="go.opentelemetry.io/collector/otelcol"),
        Part("jaeger", "jaeger", "github.com/jaegertracing/jaeger/cmd/jaeger"),
    )
}

CLUSTER = ("etcd", "etcdctl", "kube-apiserver", "kubectl")
"""What a cluster without controllers needs."""

CONTROLLERS = ("kube-controller-manager", "kube-scheduler", "kwok")
"""What it needs besides so that Deployments roll out and namespaces end."""

TELEMETRY = ("otelcol", "jaeger")
"""Where traces go."""


class BuildFailedError(RuntimeError):
    """Go is there, and could not build a part."""


def cache() -> Path:
    """The folder of all built parts, shared by every checkout of this user."""
    top = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(top) / "zen-streams" / "parts"


def available(names: Iterable[str] = CLUSTER) -> str | None:
    """Why the parts cannot be had on this machine; None where they are cached or can be built."""
    if shutil.which("openssl") is None:
        return "no openssl on PATH, which makes the keys of the cluster"
    missing = [name for name in names if not PARTS[name].program.exists()]
    if missing and shutil.which("go") is None:
        return f"{', '.join(missing)} not in {cache()}, and no go on PATH to build with"
    return None


def ensure(names: Iterable[str] = CLUSTER, *, say: Callable[[str], None]) -> dict[str, Path]:
    """The programs by name, after what is missing has been built.

    One build at a time on this machine, whoever asks: a second process waits for the first and
    finds its programs. Raises BuildFailedError with what the compiler said.
    """
    wanted = [PARTS[name] for name in names]
    if not all(part.program.exists() for part in wanted):
        with _alone(say):
            for part in wanted:
                if not part.program.exists():
                    _build(part, say=say)
    return {part.name: part.program for part in wanted}


def _build(part: Part, *, say: Callable[[str], None]) -> None:
    compiler = shutil.which("go")
    if compiler is None:
        raise BuildFailedError(f"{part.name} {part.version}: no go on PATH to build it with")
    unfinished = part.program.with_suffix(".unfinished")
    unfinished.parent.mkdir(parents=True, exist_ok=True)
    say(f"building {part.name} {part.version}, once (minutes)")
    arguments = ["build", "-trimpath", "-ldflags", part.link_flags, "-o", str(unfinished)]
    try:
        run(
            [compiler, *arguments, part.package],
            folder=part.folder,
            environment={"CGO_ENABLED": "0"},
            seconds=BUILD_SECONDS,
        )
        _keep_files(part, compiler=compiler)
    except (CommandFailedError, subprocess.TimeoutExpired) as failure:
        raise BuildFailedError(f"{part.name} {part.version} was not built: {failure}") from failure
    unfinished.replace(part.program)
    say(f"built {part.program}")


def _keep_files(part: Part, *, compiler: str) -> None:
    if part.files:
        where = ["list", "-f", "{{.Module.Dir}}", part.package]
        module = Path(run([compiler, *where], folder=part.folder).strip())
        for path in part.files:
            shutil.copyfile(module / path, part.kept(path))


@contextmanager
def _alone(say: Callable[[str], None]) -> Generator[None]:
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another process that builds")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
