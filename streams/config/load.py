"""Ingesters from files: every error and warning of every document, with file, line and field."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.config.check import Checker
from streams.config.findings import Finding, FindingKind, Severity
from streams.config.ingester import Ingester
from streams.config.tree import documents, json_as_yaml

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A file of Ingesters is a few kilobytes."""
MAX_FILES = 10_000
"""More files than anyone has Ingesters; what has more is some other directory."""
SUFFIXES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """The Ingesters without an error, and everything there is to say."""

    ingesters: tuple[Ingester, ...]
    findings: tuple[Finding, ...]


class _UnreadableError(Exception):
    """A file or directory cannot be read; its text says why."""


def load(paths: Sequence[Path], *, default_namespace: str) -> Loaded:
    """Read files, and directories with all that is in them (.yaml, .yml, .json), in order.

    A document that names no namespace is in ``default_namespace``. Whatever stands in a file, it
    raises nothing: at most ``MAX_FILE_BYTES`` of it are read, and it becomes a finding.
    """
    checker = Checker(default_namespace)
    read: set[Path] = set()
    for given in paths:
        try:
            for path in _files(given):
                if (place := path.resolve()) not in read:
                    read.add(place)
                    _check_file(path, checker)
        except (_UnreadableError, OSError, ValueError) as error:
            checker.findings.append(_unreadable(given, error))
    return Loaded(tuple(checker.ingesters), tuple(checker.findings))


def _check_file(path: Path, checker: Checker) -> None:
    try:
        text = _text(path)
    except (_UnreadableError, OSError, ValueError) as error:
        checker.findings.append(_unreadable(path, error))
        return
    is_empty = True
    for document in documents(json_as_yaml(text) if path.suffix == ".json" else text):
        checker.check(document, file=str(path))
        is_empty = is_empty and document.value is None and not document.problems
    if is_empty:
        checker.findings.append(_unreadable(path, _UnreadableError("an empty file")))


def _files(given: Path) -> Iterator[Path]:
    if not given.is_dir():
        yield given
        return
    count = 0
    for count, path in enumerate(_inside(given), start=1):
        if count > MAX_FILES:
            raise _UnreadableError(f"more than {MAX_FILES} files in this directory")
        yield path
    if not count:
        raise _UnreadableError("no .yaml, .yml or .json file in this directory")


def _inside(directory: Path) -> Iterator[Path]:
    """The files in a directory and below, by name.

    Hidden ones are passed over: a mounted ConfigMap shows every file again below ``..data``.
    """
    for folder, below, leaves in os.walk(directory):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(leaves):
            path = Path(folder, name)
            if path.suffix in SUFFIXES and not name.startswith(".") and path.is_file():
                yield path


def _text(path: Path) -> str:
    with path.open("rb") as file:
        raw = file.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise _UnreadableError(f"larger than {MAX_FILE_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(f"not UTF-8: {error.reason} in line {line}") from None


def _unreadable(path: Path, error: Exception) -> Finding:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = said if isinstance(error, _UnreadableError) else f"cannot be read: {said}"
    return Finding(Severity.ERROR, FindingKind.UNREADABLE, str(path), 1, "", message)
