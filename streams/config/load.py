"""Ingesters from files: every error and warning of every document, with file, line and field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streams.config.findings import Finding, FindingKind, Severity, path_of
from streams.config.ingester import Ingester, Origin
from streams.config.schema import known_fields
from streams.config.tree import Document, Location, documents

MAX_FILE_BYTES = 4 * 1024 * 1024
"""A file of Ingesters is a few kilobytes."""
SUFFIXES = frozenset({".yaml", ".yml", ".json"})
FOUND_CHARACTERS = 80

_OWN_GROUP = "zen.kube-zen.io"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The Ingesters without an error, and everything there is to say."""

    ingesters: tuple[Ingester, ...]
    findings: tuple[Finding, ...]


def load(paths: Sequence[Path], *, default_namespace: str) -> Loaded:
    """Read files, and directories with all that is in them (.yaml, .yml, .json), in order.

    A document that names no namespace is in ``default_namespace``. Nothing in a file raises.
    """
    findings: list[Finding] = []
    ingesters: dict[str, Ingester] = {}
    for path in _files(paths, findings):
        text = _text(path, findings)
        for document in documents(text) if text is not None else ():
            reader = _Reader(str(path), document, default_namespace)
            ingester = reader.ingester()
            findings += reader.findings
            if ingester is None:
                continue
            first = ingesters.setdefault(ingester.key, ingester)
            if first is not ingester:
                findings.append(reader.duplicate(ingester.key, first.origin))
    return Loaded(tuple(ingesters.values()), tuple(findings))


def _files(paths: Iterable[Path], findings: list[Finding]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            found = sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES)
            if not found:
                findings.append(_of_file(path, "no .yaml, .yml or .json file in this directory"))
            yield from found
        else:
            yield path


def _text(path: Path, findings: list[Finding]) -> str | None:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        findings.append(_of_file(path, f"cannot be read: {error.strerror}"))
        return None
    if len(raw) > MAX_FILE_BYTES:
        findings.append(_of_file(path, f"larger than {MAX_FILE_BYTES} bytes"))
        return None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.append(_of_file(path, f"not UTF-8: {error.reason}"))
        return None
    if not text.strip():
        findings.append(_of_file(path, "an empty file"))
        return None
    return text


def _of_file(path: Path, message: str) -> Finding:
    return Finding(Severity.ERROR, FindingKind.UNREADABLE, str(path), 1, "", message)


class _Reader:
    """Reads one document."""

    def __init__(self, file: str, document: Document, default_namespace: str) -> None:
        self.findings: list[Finding] = []
        self._file = file
        self._document = document
        self._default_namespace = default_namespace

    def ingester(self) -> Ingester | None:
        """The Ingester, if it is one and has no error."""
        document = self._document
        for problem in document.problems:
            self._say(Severity.ERROR, FindingKind.SYNTAX, (), problem.message, line=problem.line)
        value = document.value
        if document.problems or value is None:
            return None
        if not isinstance(value, dict):
            found = type(value).__name__
            self._error(FindingKind.INVALID, (), f"found {found}, a mapping is allowed")
            return None
        kind = value.get("kind")
        if kind is not None and kind != "Ingester":
            said = f"skipped: kind {_shown(kind)} is no Ingester"
            self._say(Severity.NOTE, FindingKind.SKIPPED, (), said)
            return None
        return self._validated(value)

    def duplicate(self, key: str, first: Origin | None) -> Finding:
        """Say that an Ingester of this name stands somewhere else already."""
        message = f"the Ingester {key} stands in {first} already"
        line = self._document.line_of(("metadata", "name"))
        return Finding(
            Severity.ERROR, FindingKind.DUPLICATE, self._file, line, "metadata.name", message
        )

    def _validated(self, value: dict[str, Any]) -> Ingester | None:
        metadata = value.get("metadata")
        if isinstance(metadata, dict):
            cast("dict[str, Any]", metadata).setdefault("namespace", self._default_namespace)
        for _ in range(2):
            try:
                ingester = Ingester.model_validate(value)
            except ValidationError as error:
                if not self._judge(error, value):
                    return None
            else:
                return self._checked(ingester)
        return None

    def _judge(self, error: ValidationError, value: dict[str, Any]) -> bool:
        """Say what is wrong; whether nothing but unknown fields was, which are taken out."""
        only_unknown = True
        for detail in error.errors(include_url=False):
            location = detail["loc"]
            if detail["type"] == "extra_forbidden":
                self._unknown(location)
                _take_out(value, location)
            else:
                only_unknown = False
                kind = FindingKind.MISSING if detail["type"] == "missing" else FindingKind.INVALID
                self._error(kind, location, _told(detail))
        return only_unknown

    def _unknown(self, location: Location) -> None:
        name = str(location[-1])
        near = difflib.get_close_matches(name, known_fields(Ingester, location[:-1]), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        self._say(
            Severity.WARNING, FindingKind.UNKNOWN_FIELD, location, f"a field nobody knows{hint}"
        )

    def _checked(self, ingester: Ingester) -> Ingester | None:
        """What the models cannot say: loops, what is missing to run, what has no effect."""
        spec = ingester.spec
        ingester.stand_at(Origin(self._file, self._document.line))
        for found in ingester.unbuilt:
            self._say(Severity.WARNING, FindingKind.NOT_BUILT, found.location, found.message)
        if not ingester.runnable:
            return ingester
        informer = spec.informer
        gvr = informer.gvr if informer is not None else None
        where: Location = ("spec", "informer", "gvr")
        if gvr is None:
            self._error(
                FindingKind.MISSING, where, "missing; an informer needs to know what to watch"
            )
            return None
        if gvr.group == _OWN_GROUP and gvr.resource in {"observations", "ingesters"}:
            said = f"found {gvr.resource}: to watch what is written here would be a loop"
            self._error(FindingKind.INVALID, (*where, "resource"), said)
            return None
        return ingester

    def _error(self, kind: FindingKind, location: Location, message: str) -> None:
        self._say(Severity.ERROR, kind, location, message)

    def _say(
        self,
        severity: Severity,
        kind: FindingKind,
        location: Location,
        message: str,
        *,
        line: int | None = None,
    ) -> None:
        where = line or self._document.line_of(location)
        self.findings.append(Finding(severity, kind, self._file, where, path_of(location), message))


def _told(detail: ErrorDetails) -> str:
    """What was found and what is allowed."""
    if detail["type"] == "missing":
        return "missing"
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"found {_shown(detail['input'])}; allowed: {said}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= FOUND_CHARACTERS else text[: FOUND_CHARACTERS - 1] + "…"


def _take_out(value: object, location: Location) -> None:
    for step in location[:-1]:
        value = cast("Any", value)[step]
    cast("dict[str | int, object]", value).pop(location[-1], None)
