"""The image, built without a container engine: minutes, and so on demand alone, by `make image`.

The base is a stand-in, a Debian of the same release as the Dockerfile's base with the Python of Debian: it
shows that the Dockerfile builds and what the image holds, and nothing of the base itself.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.cluster.parts import cache
from tests.cluster.processes import run
from tests.kit.shipped import DEPLOY, TOP

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASE = "bookworm"
PACKAGES = "python3,python3-venv,python3-pip,python-is-python3,ca-certificates"
BASE = f"localhost/zen-streams-base:{RELEASE}"
IMAGE = "localhost/zen-streams:test"
BUILD_SECONDS = 3000.0
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"

pytestmark = [pytest.mark.image, pytest.mark.timeout(BUILD_SECONDS)]


@dataclass(frozen=True, slots=True)
class Builder:
    """buildah with a store of its own."""

    store: Path

    def __call__(self, *words: str) -> str:
        places = (f"--root={self.store / 'root'}", f"--runroot={self.store / 'run'}")
        said = run(["buildah", "--storage-driver=vfs", *places, *words], seconds=BUILD_SECONDS)
        return said.strip()


@dataclass(frozen=True, slots=True)
class Built:
    builder: Builder
    container: str
    root: Path

    def run(self, *words: str) -> str:
        """What a command prints in a container of the image, as the image's user."""
        return self.builder("run", "--isolation=chroot", self.container, "--", *words)


def base_folder() -> Path:
    """The files of the stand-in, made once and kept beside the built parts."""
    kept = cache() / f"debian-{RELEASE}"
    if not kept.exists():
        unfinished = kept.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        how = ("--variant=minbase", f"--include={PACKAGES}", RELEASE, str(unfinished))
        run(["debootstrap", *how], seconds=BUILD_SECONDS)
        unfinished.rename(kept)
    return kept


def stand_in(builder: Builder) -> None:
    """The base as an image that trusts whom this machine trusts: its way to the packages may be its own."""
    made = builder("from", "scratch")
    builder("add", "--quiet", made, str(base_folder()), "/")
    if Path(CERTIFICATES).exists():
        builder("copy", "--quiet", made, CERTIFICATES, CERTIFICATES)
    for name in ("SSL_CERT_FILE", "PIP_CERT"):
        builder("config", f"--env={name}={CERTIFICATES}", made)
    builder("commit", "--quiet", made, BASE)
    builder("rm", made)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    missing = [name for name in ("buildah", "debootstrap") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"an image is built by root with buildah and debootstrap; missing: {missing}")
    store = tmp_path_factory.mktemp("image")
    builder = Builder(store)
    try:
        stand_in(builder)
        how = ("--isolation=chroot", "--pull-never", f"--build-arg=BASE={BASE}", f"--tag={IMAGE}")
        builder("bud", *how, f"--file={DEPLOY / 'Dockerfile'}", str(TOP))
        container = builder("from", "--pull-never", IMAGE)
        yield Built(builder, container, Path(builder("mount", container)))
    finally:
        shutil.rmtree(store, ignore_errors=True)  # gigabytes, as every layer is a copy


def test_it_runs_the_product_as_nobody(built: Built) -> None:
    project: dict[str, Any] = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]

    assert built.run("id", "-u") == built.run("id", "-g") == "65532"
    assert "run " in built.run("python", "-m", "streams", "--help")
    version = built.run("python", "-m", "streams", "--version")
    assert version == f"zen-streams {project['version']}"
    shutil.copytree(DEPLOY / "examples", built.root / "examples")
    validated = built.run("python", "-m", "streams", "validate", "-f", "/examples")
    assert validated == "0 errors, 0 warnings, 0 notes"


def test_it_starts_as_the_manifests_expect(built: Built) -> None:
    told = msgspec.json.decode(built.builder("inspect", "--type=image", IMAGE))
    config = told["OCIv1"]["config"]

    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["python", "-m", "streams"]
    assert set(config["ExposedPorts"]) == {"8080/tcp"}


def test_it_holds_what_it_needs_and_nothing_to_install_with(built: Built) -> None:
    app = built.root / "app"
    top = {path.name for path in app.iterdir()}
    packages = {path.name for path in (app / "venv" / "lib").glob("python3*/site-packages/*")}

    assert {name for name in top if not name.endswith(".dist-info")} == {
        *("operators", "sinks", "streams", "venv")
    }
    assert not (app / "demo").exists()
    assert {"aiohttp", "kubernetes", "reactivex"} <= packages
    assert packages.isdisjoint({"pip", "uv", "pytest", "hypothesis"})
    looked_for = (
        "import importlib.util as it; print(*map(it.find_spec, ('pip', 'ensurepip', 'uv')))"
    )
    assert built.run("python", "-c", looked_for) == "None None None"
    writable = built.run("find", "/app", "-writable", "-not", "-type", "l")
    assert writable == ""


def test_its_size_is_told(built: Built, capsys: pytest.CaptureFixture[str]) -> None:
    def megabytes(*folders: str) -> int:
        said = run(["du", "-sm", *(str(built.root / folder) for folder in folders)])
        return sum(int(line.split()[0]) for line in said.splitlines())

    with capsys.disabled():
        print(f"\n/app {megabytes('app')} MB, the whole with its base {megabytes('.')} MB")
    assert megabytes("app") < 250
