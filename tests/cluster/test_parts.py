from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster import parts
from tests.cluster.parts import PARTS, BuildFailedError, available, ensure

TOP = Path(__file__).parents[2]

# Counts how often it is called; `-o` is its fifth argument.
SLOW_COMPILER = """#!/bin/sh
echo "$PWD $CGO_ENABLED $*" >> "$(dirname "$0")/calls"
sleep 0.5
echo built > "$6"
"""
# `list` is asked where the module is: here beside the compiler.
COMPILER_WITH_A_MODULE = """#!/bin/sh
case "$1" in
list) dirname "$0" ;;
*) echo built > "$6" ;;
esac
"""
BROKEN_COMPILER = """#!/bin/sh
echo "kubectl.go:1: no such package" >&2
exit 1
"""
ENSURES = """
from tests.cluster.parts import ensure
print(*ensure(["kubectl"], say=lambda text: None).values())
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and openssl alone on PATH beside the shell's own tools."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("openssl", "sh", "sleep", "dirname"):
        found = next(
            Path(folder, name)
            for folder in os.environ["PATH"].split(os.pathsep)
            if Path(folder, name).exists()
        )
        (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return programs


def install(programs: Path, script: str) -> None:
    compiler = programs / "go"
    compiler.write_text(script)
    compiler.chmod(0o755)


def test_versions_are_those_of_the_modules() -> None:
    assert PARTS["etcd"].version == PARTS["etcdctl"].version == "3.7.3"
    kubernetes = [part.version for part in PARTS.values() if part.module == "kubernetes"]
    assert kubernetes == ["1.37.2"] * 4
    assert PARTS["kwok"].version == "0.8.0"


def test_kubernetes_is_stamped_with_its_version() -> None:
    flags = PARTS["kubectl"].link_flags

    assert "-X k8s.io/component-base/version.gitVersion=v1.37.2" in flags
    assert "-X k8s.io/component-base/version.gitMajor=1 " in flags
    assert "-X k8s.io/component-base/version.gitMinor=37 " in flags
    assert PARTS["etcd"].link_flags == "-s -w"


def test_without_a_compiler_the_reason_names_what_is_missing(machine: Path) -> None:
    assert machine.exists()
    assert available(["etcd", "kubectl"]) == (
        f"etcd, kubectl not in {parts.cache()}, and no go on PATH to build with"
    )
    with pytest.raises(BuildFailedError, match=r"kubectl 1\.37\.2: no go on PATH"):
        ensure(["kubectl"], say=print)


def test_what_is_cached_needs_no_compiler(machine: Path) -> None:
    kept = PARTS["kubectl"].program
    kept.parent.mkdir(parents=True)
    kept.touch()

    assert machine.exists()
    assert available(["kubectl"]) is None
    assert ensure(["kubectl"], say=print) == {"kubectl": kept}


def test_without_openssl_there_is_no_cluster(machine: Path) -> None:
    (machine / "openssl").unlink()

    assert available() == "no openssl on PATH, which makes the keys of the cluster"


def test_two_processes_build_once(machine: Path) -> None:
    install(machine, SLOW_COMPILER)
    both = [
        subprocess.Popen(
            [sys.executable, "-c", ENSURES], cwd=TOP, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]

    kept = PARTS["kubectl"].program
    assert [one.communicate(timeout=60)[0] for one in both] == [f"{kept}\n"] * 2
    assert kept.read_text() == "built\n"
    calls = (machine / "calls").read_text().splitlines()
    assert len(calls) == 1
    assert calls[0].startswith(f"{PARTS['kubectl'].folder} 0 build -trimpath -ldflags -s -w -X ")
    assert calls[0].endswith(" k8s.io/kubernetes/cmd/kubectl")


def test_what_a_program_needs_beside_it_is_kept_with_it(machine: Path) -> None:
    install(machine, COMPILER_WITH_A_MODULE)
    kwok = PARTS["kwok"]
    for path in kwok.files:
        (machine / path).parent.mkdir(parents=True, exist_ok=True)
        (machine / path).write_text(f"of {path}")

    program = ensure(["kwok"], say=print)["kwok"]

    assert [kwok.kept(path).read_text() for path in kwok.files] == [f"of {f}" for f in kwok.files]
    assert {kwok.kept(path).parent for path in kwok.files} == {program.parent}


def test_a_build_that_fails_says_why_and_leaves_nothing(machine: Path) -> None:
    install(machine, BROKEN_COMPILER)

    with pytest.raises(
        BuildFailedError, match=r"kubectl 1\.37\.2 was not built: .*no such package"
    ):
        ensure(["kubectl"], say=print)

    assert not PARTS["kubectl"].program.exists()
