"""The pages of docs/: their commands work, their links lead somewhere, the code has the names that they mention."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from operators.buffer import WhenFull
from operators.deduplicate import WITHIN_WINDOW
from operators.model.outcome import ALREADY_COUNTED, Ending
from operators.reconcile import UNCHANGED

TOP = Path(__file__).parents[2]
PAGES = sorted((TOP / "docs").glob("*.md"))
LINKING = [TOP / "README.md", TOP / "CONTRIBUTING.md", *PAGES]
CODE = ("demo", "operators", "sinks", "streams")
"""The packages whose names are checked where a page mentions them."""

PYTEST = ".venv/bin/pytest"
PRODUCT = ".venv/bin/zen-streams"
SECONDS = 100
"""The longest a command may take; a collection of tests imports all of them, beside other tests."""
SHORT = ("validate", "crds")
"""The commands that need no cluster and end by themselves: they are executed."""

# fmt: off
TERMS = {
    "admission", "apply", "backoff", "backpressure", "balance", "bookmark", "budget", "buffer",
    "change", "classify", "coalesce", "condition", "correlation", "credit", "decoder",
    "deduplicate", "delivery", "describe", "discovery", "dispatcher", "drain", "ending", "evicted",
    "evidence", "executor", "filter", "fingerprint", "freshness", "head", "identity", "informer",
    "jitter", "key", "ledger", "link", "mark", "mask", "mutant", "observation", "occurrence",
    "outcome", "owner", "plan", "policy", "projection", "recheck", "reconcile", "reflector",
    "relist", "removal", "reread", "reservation", "resolve", "resourceVersion", "resync", "room",
    "rule", "sampler", "settle", "sink", "source", "spill", "split", "stage", "state", "store",
    "subject", "subscription", "superseded", "suspension", "synced", "ticket", "throttle",
    "tombstone", "traceparent", "window",
}
# fmt: on


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every command of every page, without its comment."""
    return [
        command
        for page in PAGES
        for block in re.findall(r"```sh\n(.*?)```", text_of(page), re.DOTALL)
        for line in block.splitlines()
        if (command := line.partition("#")[0].strip())
    ]


def mentions(pattern: str) -> list[str]:
    """What the pages and CONTRIBUTING.md have between backticks, where all of it matches."""
    found = {
        name
        for page in (TOP / "CONTRIBUTING.md", *PAGES)
        for name in re.findall(r"`([^`\n]+)`", text_of(page))
        if re.fullmatch(pattern, name)
    }
    return sorted(found)


PATHS = mentions(rf"(?:{'|'.join(CODE)}|tests|deploy|docs)/[\w./*-]+|[\w.-]+\.(?:md|toml|yaml)")
NAMES = mentions(rf"(?:{'|'.join(CODE)})(?:\.\w+)+")


def resolve(name: str) -> object:
    """What a dotted name stands for: a module, or what stands in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = ".".join(parts[:length])
        place = TOP.joinpath(*parts[:length])
        if place.is_dir() or place.with_suffix(".py").is_file():
            found: object = import_module(module)
            for step in parts[length:]:
                found = member(found, step)
            return found
    raise AttributeError(f"no module of {name}")


def member(holder: object, step: str) -> object:
    """An attribute, or a field of a class: that has no value where it has no default."""
    if step in getattr(holder, "__annotations__", {}):
        return step
    return getattr(holder, step)


def finished(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=TOP, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("command", [it for it in commands() if it.startswith("make ")])
def test_a_target_exists(command: str) -> None:
    done = finished([*shlex.split(command), "--dry-run"])

    assert done.returncode == 0, done.stderr
    assert re.search(rf"(?m)^  {command.split()[1]} ", finished(["make", "help"]).stdout)


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize("command", [it for it in commands() if it.startswith(PYTEST)])
def test_a_selection_of_tests_selects_some(command: str) -> None:
    done = finished([*shlex.split(command), "--collect-only", "-q"])

    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"(?m)^tests/", done.stdout)


@pytest.mark.parametrize("command", [it for it in commands() if it.startswith(PRODUCT)])
def test_a_command_of_the_product_works(command: str) -> None:
    words = shlex.split(command)
    is_short = words[1] in SHORT
    done = finished(words if is_short else [*words[:2], "--help"])

    assert done.returncode == 0, done.stdout + done.stderr
    options = [word for word in words if word.startswith("-")]
    assert is_short or [option for option in options if option not in done.stdout] == []


def test_every_command_is_of_a_kind_that_is_checked() -> None:
    known = ("make ", PYTEST, PRODUCT)

    assert [command for command in commands() if not command.startswith(known)] == []
    assert len(commands()) >= 8


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text_of(page))
    local = [link for link in links if not link.startswith(("http://", "https://"))]

    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", PATHS)
def test_a_path_exists(path: str) -> None:
    assert list(TOP.glob(path.rstrip("/"))), f"{path}: no such file"


@pytest.mark.parametrize("name", NAMES)
def test_a_name_exists(name: str) -> None:
    assert resolve(name) is not None


def test_names_are_mentioned() -> None:
    """That the two tests above have something to look at."""
    assert len(NAMES) >= 80
    assert len(PATHS) >= 20


def test_a_name_that_does_not_exist_is_noticed() -> None:
    for name in ("operators.buffer.Gate", "operators.nowhere", "sinks.queue.WriteQueue.nothing"):
        with pytest.raises((AttributeError, ImportError)):
            resolve(name)


def reasons() -> set[str]:
    """The reasons that the code names literally, in an outcome or in a constant of one."""
    found = {UNCHANGED, WITHIN_WINDOW, ALREADY_COUNTED, *WhenFull} - {WhenFull.SPILL}
    for package in ("operators", "sinks", "streams"):
        for file in (TOP / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                found |= reason_of(node)
    return found


def reason_of(node: ast.AST) -> set[str]:
    """The literal reason of ``Outcome(ending, reason)`` and of ``Rejected(reason, ...)``."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return set()
    place = {"Outcome": 1, "Rejected": 0}.get(node.func.id, len(node.args))
    if place >= len(node.args):
        return set()
    reason = node.args[place]
    if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
        return {reason.value}
    return set()


def test_every_ending_and_every_reason_is_explained() -> None:
    _, _, table = text_of(TOP / "docs" / "semantics.md").partition("## 14. Endings")
    explained = set(re.findall(r"`([^`]+)`", table))

    assert {ending.value for ending in Ending} - explained == set()
    assert reasons() - explained == set()
    assert len(reasons()) >= 18


def test_the_glossary_has_the_terms() -> None:
    rows = re.findall(r"(?m)^\| ([^|]+) \|", text_of(TOP / "docs" / "glossary.md"))[1:]

    assert TERMS - set(rows) == set()
    assert len(rows) == len(set(rows))
