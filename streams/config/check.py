"""Documents, judged one after the other: the Ingesters in them, and everything there is to say."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from streams.config.errors import judged, shown
from streams.config.findings import Finding, FindingKind, Severity, path_of
from streams.config.ingester import Ingester
from streams.config.schema import known_fields
from streams.config.source import GROUP
from streams.config.spellings import shadowed
from streams.config.tree import Document, Location, Value

KIND = "Ingester"
_LISTS = ("List", "IngesterList")
_OUTPUT = ("Observation", "ObservationList")
_GVR: Location = ("spec", "informer", "gvr")

Fields = dict[str, Any]


class Checker:
    """Collects the Ingesters that have no error, and the findings."""

    def __init__(self, default_namespace: str) -> None:
        self.ingesters: list[Ingester] = []
        self.findings: list[Finding] = []
        self._default_namespace = default_namespace
        self._origins: dict[str, str] = {}

    def check(self, document: Document, *, file: str) -> None:
        """Judge one document of a file; a List is as many documents as it has entries."""
        report = _Report(file, document, self.findings)
        for problem in document.problems:
            report.say(FindingKind.SYNTAX, (), problem.message, line=problem.line)
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
        said = f"found {ingester.key} a second time; it stands in {first} already"
        report.say(FindingKind.DUPLICATE, (*place, "metadata", "name"), said)


@dataclass(frozen=True, slots=True)
class _Report:
    """Says things of one document."""

    file: str
    document: Document
    findings: list[Finding]

    def say(
        self,
        kind: FindingKind,
        location: Location,
        message: str,
        *,
        severity: Severity = Severity.ERROR,
        line: int = 0,
    ) -> None:
        where = line or self.document.line_of(location)
        self.findings.append(Finding(severity, kind, self.file, where, path_of(location), message))

    def origin(self, place: Location) -> str:
        return f"{self.file}:{self.document.line_of(place)}"


def _ingesters(value: Value, place: Location, report: _Report) -> Iterator[tuple[Location, Fields]]:
    """Find what may be an Ingester; say of everything else that it is passed over."""
    if value is None:
        return
    if not isinstance(value, dict):
        said = f"found {shown(value)}, allowed: a Kubernetes object"
        report.say(FindingKind.INVALID, place, said)
    elif value.get("kind") in _LISTS:
        yield from _entries(value.get("items", []), (*place, "items"), report)
    elif value.get("kind") == KIND:
        yield place, value
    else:
        _pass_over(value, (*place, "kind"), report)


def _entries(entries: Value, place: Location, report: _Report) -> Iterator[tuple[Location, Fields]]:
    if not isinstance(entries, list):
        said = f"found {shown(entries)}, allowed: a list"
        report.say(FindingKind.INVALID, place, said)
        return
    for index, entry in enumerate(entries):
        yield from _ingesters(entry, (*place, index), report)


def _pass_over(value: Fields, where: Location, report: _Report) -> None:
    kind, group = value.get("kind"), str(value.get("apiVersion")).partition("/")[0]
    if kind is None:
        said = f"required, but missing; {KIND} is read, every other kind is skipped"
        report.say(FindingKind.MISSING, where, said)
    elif group == GROUP and kind not in _OUTPUT:
        said = f"skipped: {GROUP} has no kind {shown(kind)}; did you mean {KIND}?"
        report.say(FindingKind.SKIPPED, where, said, severity=Severity.WARNING)
    else:
        said = f"skipped: {shown(kind)} is not {KIND}"
        report.say(FindingKind.SKIPPED, where, said, severity=Severity.NOTE)


def _validated(fields: Fields, place: Location, report: _Report) -> Ingester | None:
    """Validate; without its unknown fields, where these are all that is wrong."""
    for _ in range(2):
        try:
            ingester = Ingester.model_validate(fields)
        except ValidationError as error:
            if not _has_only_unknown(error, fields, place=place, report=report):
                return None
        else:
            return ingester if _is_complete(ingester, place, report) else None
    return None


def _has_only_unknown(
    error: ValidationError, fields: Fields, *, place: Location, report: _Report
) -> bool:
    """Say everything that is wrong, and take the unknown fields out."""
    unknown = 0
    errors = error.errors(include_url=False)
    for each in errors:
        location = each["loc"]
        if each["type"] == "extra_forbidden":
            unknown += 1
            said = f"unknown field{_hint(location)}"
            severity = Severity.WARNING
            report.say(FindingKind.UNKNOWN_FIELD, (*place, *location), said, severity=severity)
            _take_out(fields, location)
        else:
            kind, said = judged(each)
            report.say(kind, (*place, *location), said)
    return unknown == len(errors)


def _hint(location: Location) -> str:
    known = {name.lower(): name for name in known_fields(Ingester, location[:-1])}
    near = difflib.get_close_matches(str(location[-1]).lower(), known, n=1)
    return f"; did you mean {known[near[0]]}?" if near else ""


def _take_out(value: object, location: Location) -> None:
    for step in location[:-1]:
        value = cast("Any", value)[step]
    cast("Fields", value).pop(cast("str", location[-1]), None)


def _is_complete(ingester: Ingester, place: Location, report: _Report) -> bool:
    """Say what has no effect, and what an informer cannot do without; whether that is there."""
    for found in ingester.unbuilt:
        where = (*place, *found.location)
        report.say(FindingKind.NOT_BUILT, where, found.message, severity=Severity.WARNING)
    for location, said in shadowed(ingester.spec):
        where = (*place, *location)
        report.say(FindingKind.SHADOWED, where, said, severity=Severity.WARNING)
    informer = ingester.spec.informer
    if ingester.spec.ingester != "informer" or (informer is not None and informer.gvr is not None):
        return True
    said = "required, but missing: an informer needs to know what to watch"
    report.say(FindingKind.MISSING, (*place, *_GVR), said)
    return False


def _without_nulls(value: Value) -> Value:
    """Copy a value without its null fields, as the API server prunes them."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(entry) for entry in value]
    return value
