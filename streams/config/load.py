"""Ingesters from files, checked: every error and warning of every document, with file, line and field path."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from streams.config.findings import Finding, FindingKind, FindingSeverity, explained, path_of, shown
from streams.config.ingester import Ingester
from streams.config.schema import example_of, known_fields
from streams.config.source import GROUP
from streams.config.spellings import shadowed
from streams.config.tree import Document, Location, Value, documents, json_as_yaml

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A thousand times the size of a usual file of Ingesters; bounds the memory for a wrong file."""
MAX_FILES = 10_000
"""Bounds the time for a wrong directory, such as ``/``."""
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
KIND = "Ingester"
_LISTS = ("List", "IngesterList")
_OUTPUT = ("Observation", "ObservationList")
_GVR: Location = ("spec", "informer", "gvr")
_GVR_EXAMPLE = "{group: apps, version: v1, resource: deployments}"

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The Ingesters without an error, and the findings about all documents."""

    ingesters: tuple[Ingester, ...]
    findings: tuple[Finding, ...]


class _UnreadableError(Exception):
    """A file or directory cannot be read; the message has the reason."""


def load(paths: Sequence[Path], *, default_namespace: str) -> Loaded:
    """Read files, and directories with all that is in them (.yaml, .yml, .json), in order.

    A document without ``metadata.namespace`` gets ``default_namespace``. Nothing is raised for any content of a file:
    at most ``MAX_FILE_BYTES`` of it are read, and what is wrong becomes a finding.
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
        checker.findings.append(
            _unreadable(path, _UnreadableError("the file has no document; allowed: Ingesters"))
        )


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
    """The files in a directory and below it, by name.

    Hidden ones are skipped: a mounted ConfigMap repeats every file below ``..data``.
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
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    message = reason if isinstance(error, _UnreadableError) else f"cannot be read: {reason}"
    return Finding(FindingSeverity.ERROR, FindingKind.UNREADABLE, str(path), 1, "", message)


class Checker:
    """Collects the Ingesters without an error, and the findings about all documents."""

    def __init__(self, default_namespace: str) -> None:
        self.ingesters: list[Ingester] = []
        self.findings: list[Finding] = []
        self._default_namespace = default_namespace
        self._origins: dict[str, str] = {}

    def check(self, document: Document, *, file: str) -> None:
        """Check one document of a file; a List counts as many documents as it has entries."""
        report = _Report(file, document, self.findings)
        for problem in document.problems:
            report.add(FindingKind.SYNTAX, (), problem.message, line=problem.line)
        for place, fields in _ingesters(_without_nulls(document.value), (), report):
            metadata = fields.get("metadata")
            if isinstance(metadata, dict):
                cast("Fields", metadata).setdefault("namespace", self._default_namespace)
            ingester = _validated(fields, place, report)
            if ingester is not None and not document.problems:
                self._keep(ingester, place, report)

    def _keep(self, ingester: Ingester, place: Location, report: _Report) -> None:
        first = self._origins.get(ingester.key)
        if first is None:
            self._origins[ingester.key] = report.origin(place)
            self.ingesters.append(ingester)
            return
        message = f"found a second Ingester {ingester.key}; the first is in {first}"
        report.add(FindingKind.DUPLICATE, (*place, "metadata", "name"), message)


@dataclass(frozen=True, slots=True)
class _Report:
    """Adds findings about one document."""

    file: str
    document: Document
    findings: list[Finding]

    def add(
        self,
        kind: FindingKind,
        location: Location,
        message: str,
        *,
        severity: FindingSeverity = FindingSeverity.ERROR,
        line: int = 0,
    ) -> None:
        where = line or self.document.line_of(location)
        self.findings.append(Finding(severity, kind, self.file, where, path_of(location), message))

    def origin(self, place: Location) -> str:
        return f"{self.file}:{self.document.line_of(place)}"


def _ingesters(value: Value, place: Location, report: _Report) -> Iterator[tuple[Location, Fields]]:
    """Yield the values that are meant to be Ingesters, and add a finding for every other."""
    if value is None:
        return
    if not isinstance(value, dict):
        message = f"found {shown(value)}, allowed: a Kubernetes object with apiVersion and kind"
        report.add(FindingKind.INVALID, place, message)
    elif value.get("kind") in _LISTS:
        yield from _entries(value.get("items", []), (*place, "items"), report)
    elif value.get("kind") == KIND:
        yield place, value
    else:
        _skip(value, (*place, "kind"), report)


def _entries(entries: Value, place: Location, report: _Report) -> Iterator[tuple[Location, Fields]]:
    if not isinstance(entries, list):
        report.add(FindingKind.INVALID, place, f"found {shown(entries)}, allowed: a list")
        return
    for index, entry in enumerate(entries):
        yield from _ingesters(entry, (*place, index), report)


def _skip(value: Fields, where: Location, report: _Report) -> None:
    kind, group = value.get("kind"), str(value.get("apiVersion")).partition("/")[0]
    if kind is None:
        message = f"required, but missing; allowed: {KIND} (documents of other kinds are skipped)"
        report.add(FindingKind.MISSING, where, message)
    elif group == GROUP and kind not in _OUTPUT:
        message = f"skipped: {GROUP} has no kind {shown(kind)}; did you mean {KIND}?"
        report.add(FindingKind.SKIPPED, where, message, severity=FindingSeverity.WARNING)
    else:
        message = f"skipped: found {shown(kind)}, only {KIND} is read"
        report.add(FindingKind.SKIPPED, where, message, severity=FindingSeverity.NOTE)


def _validated(fields: Fields, place: Location, report: _Report) -> Ingester | None:
    """Validate a document; where only unknown fields are wrong, validate again without them."""
    for _ in range(2):
        try:
            ingester = Ingester.model_validate(fields, by_alias=True, by_name=False)
        except ValidationError as error:
            if not _has_only_unknown(error, fields, place=place, report=report):
                return None
        else:
            return ingester if _is_complete(ingester, place, report) else None
    return None


def _has_only_unknown(
    error: ValidationError, fields: Fields, *, place: Location, report: _Report
) -> bool:
    """Add a finding for each error, and remove the unknown fields; whether there were no other errors."""
    unknown = 0
    errors = error.errors(include_url=False)
    for each in errors:
        location = each["loc"]
        if each["type"] == "extra_forbidden":
            unknown += 1
            message = f"unknown field{_hint(location)}"
            severity = FindingSeverity.WARNING
            report.add(FindingKind.UNKNOWN_FIELD, (*place, *location), message, severity=severity)
            _remove(fields, location)
        else:
            kind, message = explained(each, example=example_of(Ingester, location))
            report.add(kind, (*place, *location), message)
    return unknown == len(errors)


def _hint(location: Location) -> str:
    known = {name.lower(): name for name in known_fields(Ingester, location[:-1])}
    near = difflib.get_close_matches(str(location[-1]).lower(), known, n=1)
    if near:
        return f"; did you mean {known[near[0]]}?"
    place = path_of(step for step in ("ingester", *location[:-1]) if isinstance(step, str))
    return f"; kubectl explain {place} lists the known fields"


def _remove(value: object, location: Location) -> None:
    for step in location[:-1]:
        value = cast("Any", value)[step]
    cast("Fields", value).pop(cast("str", location[-1]), None)


def _is_complete(ingester: Ingester, place: Location, report: _Report) -> bool:
    """Add a warning for each field without effect; whether an informer has the resource to watch."""
    for found in ingester.unbuilt:
        where = (*place, *found.location)
        report.add(FindingKind.NOT_BUILT, where, found.message, severity=FindingSeverity.WARNING)
    for location, reason in shadowed(ingester.spec):
        where = (*place, *location)
        report.add(FindingKind.SHADOWED, where, reason, severity=FindingSeverity.WARNING)
    informer = ingester.spec.informer
    if ingester.spec.ingester != "informer" or (informer is not None and informer.gvr is not None):
        return True
    message = f"required, but missing; example: {_GVR_EXAMPLE}"
    report.add(FindingKind.MISSING, (*place, *_GVR), message)
    return False


def _without_nulls(value: Value) -> Value:
    """Copy a value without its null fields, which the API server prunes, too."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
