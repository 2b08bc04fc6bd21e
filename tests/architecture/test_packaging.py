"""The three names are ours, what they need is pinned, and importing them does nothing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PACKAGES = ("operators", "sinks", "streams")
ALL = (*PACKAGES, "demo")
"""With what is in the repository alone."""
DECLARED: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = DECLARED["project"]
DEVELOPMENT: dict[str, list[str | dict[str, str]]] = DECLARED["dependency-groups"]

IMPORT_ALL = """
import gc
import importlib
import socket
import sys
import threading

for name in sys.argv[1:]:
    importlib.import_module(name)

threads = [thread.name for thread in threading.enumerate()]
assert threads == ["MainThread"], threads
sockets = [it for it in gc.get_objects() if isinstance(it, socket.socket) and it.fileno() >= 0]
assert sockets == [], sockets
"""


def modules() -> list[str]:
    """Every module of all packages, found as a file, so that none is missed."""
    files = (file for package in ALL for file in sorted((ROOT / package).rglob("*.py")))
    dotted = (".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files)
    return [name.removesuffix(".__init__") for name in dotted]


def pins(file: str) -> dict[str, Version]:
    """What a requirements file pins, by canonical name."""
    found = re.findall(r"^([\w.-]+)==([\w.!+-]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_ships_our_names(package: str) -> None:
    """Two wheels with one package name install over each other without a word."""
    owners = importlib.metadata.packages_distributions().get(package, [])

    assert set(owners) <= {PROJECT["name"]}


@pytest.mark.parametrize("package", PACKAGES)
def test_our_names_come_from_this_checkout(package: str, tmp_path: Path) -> None:
    """Asked from elsewhere: here the folders themselves are on the path."""
    asked = subprocess.run(
        [sys.executable, "-P", "-c", f"import {package}; print({package}.__file__)"],
        cwd=tmp_path,
        env={name: text for name, text in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert asked.stdout.strip() == str(ROOT / package / "__init__.py"), asked.stderr


@pytest.mark.parametrize("package", ALL)
def test_every_folder_of_a_package_is_a_package(package: str) -> None:
    folders = {file.parent for file in (ROOT / package).rglob("*.py")}

    assert [folder for folder in sorted(folders) if not (folder / "__init__.py").is_file()] == []


@pytest.mark.parametrize("command", PROJECT["scripts"])
def test_the_command_exists(command: str) -> None:
    module, _, function = PROJECT["scripts"][command].partition(":")

    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.timeout(120)
def test_importing_everything_starts_no_thread_and_opens_no_socket() -> None:
    imported = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *modules()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert imported.returncode == 0, imported.stderr


def group(name: str) -> list[str]:
    """What a dependency group asks for, with the groups it includes."""
    lines: list[str] = []
    for one in DEVELOPMENT[name]:
        lines += [one] if isinstance(one, str) else group(one["include-group"])
    return lines


@pytest.mark.parametrize(
    ("file", "declared"),
    [
        ("requirements.txt", PROJECT["dependencies"]),
        (
            "requirements-dev.txt",
            [
                *PROJECT["dependencies"],
                *PROJECT["optional-dependencies"]["demo"],
                *group("dev"),
            ],
        ),
        ("requirements-uv.txt", group("uv")),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_requirements_pin_what_the_project_declares(file: str, declared: list[str]) -> None:
    """`make lock` was run after the last change of a dependency."""
    pinned = pins(file)

    for need in map(Requirement, declared):
        assert pinned[canonicalize_name(need.name)] in need.specifier, need


def test_development_runs_what_is_shipped() -> None:
    assert pins("requirements.txt").items() <= pins("requirements-dev.txt").items()


@pytest.mark.parametrize("file", sorted(ROOT.glob("requirements*.txt")), ids=lambda file: file.name)
def test_every_requirement_has_its_hash_and_none_names_an_index(file: Path) -> None:
    """Which index serves the files is the business of the machine that installs them."""
    text = file.read_text()
    hashed = re.findall(r"^[\w.-]+==.*\\\n +--hash=sha256:", text, re.MULTILINE)

    assert len(hashed) == len(pins(file.name))
    assert re.findall(r"://|^-| @ |--(?!hash=)", text, re.MULTILINE) == []


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    """Also data files, and nothing of the demonstration."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    files = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for suffix in ("py", "yaml")
        for file in (ROOT / package).rglob(f"*.{suffix}")
    }

    held = set(zipfile.ZipFile(wheel).namelist())

    assert files <= held
    assert {name.partition("/")[0] for name in held if ".dist-info/" not in name} == set(PACKAGES)
