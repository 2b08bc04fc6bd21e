"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    file for it in ("operators", "sinks", "streams") for file in (ROOT / it).rglob("*.py")
)
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 40
NAMES_THAT_SAY_NOTHING = {"base", "common", "helpers", "utils"}

# Written with [.] and [/] so that this file does not contain what it forbids.
WORKPLACE = re.compile(r"(?<![\w.~-])[/](?:work|root|Users)[/]|[/]tmp[/]design\b")
REGISTRY = re.compile(
    r"\b(?:pypi|anaconda|npmjs|rubygems|yarnpkg|crates|goproxy)[.](?:org|com|io|cn)\b"
    r"|pythonhosted[.]org|(?:proxy|sum)[.]golang[.]org|\brepo1?[.]maven[.]|\bartifactory\b",
    re.IGNORECASE,
)


def files() -> Iterator[Path]:
    """Every file of the repository that is not somebody's cache, with or without git."""
    lines = (ROOT / ".gitignore").read_text().split()
    ignored = {line.strip("/") for line in lines} | {".git"}
    for folder, names, leaves in os.walk(ROOT):
        names[:] = sorted(set(names) - ignored)
        yield from (Path(folder, leaf) for leaf in sorted(leaves) if leaf not in ignored)


def text_of(file: Path) -> str:
    """What a file says, or nothing if it is no text."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def mentions(pattern: re.Pattern[str]) -> list[str]:
    """Where the repository says what it must not, as file:line."""
    return [
        f"{file.relative_to(ROOT)}:{number}: {found.group()}"
        for file in files()
        for number, line in enumerate(text_of(file).splitlines(), start=1)
        if (found := pattern.search(line))
    ]


def named(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_a_module_says_what_it_is(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_a_file_can_be_read_in_one_sitting(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= MAX_FILE_LINES


@pytest.mark.parametrize("file", SOURCES, ids=named)
def test_a_function_can_be_seen_at_once(file: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = [
        (it.name, it.lineno, (it.end_lineno or it.lineno) - it.lineno + 1) for it in functions
    ]

    assert [it for it in lengths if it[2] > MAX_FUNCTION_LINES] == []


def test_no_name_says_nothing() -> None:
    pieces = [(file, file.relative_to(ROOT).with_suffix("").parts) for file in files()]

    assert [named(file) for file, parts in pieces if NAMES_THAT_SAY_NOTHING & set(parts)] == []


def test_tests_are_no_package() -> None:
    """An ``__init__.py`` under tests would give the kit a second name."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert mentions(WORKPLACE) == []


def test_no_file_names_a_package_registry() -> None:
    assert mentions(REGISTRY) == []
