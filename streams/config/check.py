"""One document: the Ingester in it, and everything there is to say of it."""

from __future__ import annotations

import difflib
from typing import Any, cast

from pydantic import ValidationError

from streams.config.errors import judged, shown
from streams.config.findings import Finding, FindingKind, Severity, path_of
from streams.config.ingester import Ingester, Origin
from streams.config.plan import shadowed
from streams.config.schema import known_fields
from streams.config.source import GROUP
from streams.config.tree import Document, Location, Value

KIND = "Ingester"
_LISTS = frozenset({"List", f"{KIND}List"})
_OWN_KINDS = frozenset({"Observation", "ObservationList"})

Fields = dict[str, Any]


class Checker:
    """Checks one document of a file; what it has to say is in ``findings``."""

    def __init__(self, document: Document, *, file: str, default_namespace: str) -> None:
        self.findings: list[Finding] = []
        self._document = document
        self._file = file
        self._default_namespace = default_namespace

    def ingesters(self) -> list[Ingester]:
        """The Ingesters in it that have no error: one, none, or those of a List."""
        document = self._document
        for problem in document.problems:
            self._say(Severity.ERROR, FindingKind.SYNTAX, (), problem.message, line=problem.line)
        return self._read(_without_nulls(document.value), ()) if not document.problems else []

    def _read(self, value: Value, place: Location) -> list[Ingester]:
        if value is None:
            return []
        if not isinstance(value, dict):
            said = f"found {shown(value)}, allowed: a Kubernetes object"
            self._say(Severity.ERROR, FindingKind.INVALID, place, said)
            return []
        kind = value.get("kind")
        if kind in _LISTS:
            return self._listed(value.get("items"), (*place, "items"))
        if kind != KIND:
            self._skip(value, place)
            return []
        one = _Reader(self, value, place).ingester()
        return [one] if one is not None else []

    def _listed(self, entries: object, place: Location) -> list[Ingester]:
        if not isinstance(entries, list):
            return []
        found: list[Ingester] = []
        for index, entry in enumerate(cast("list[Value]", entries)):
            found += self._read(entry, (*place, index))
        return found

    def _skip(self, value: Fields, place: Location) -> None:
        kind, group = value.get("kind"), str(value.get("apiVersion")).partition("/")[0]
        where = (*place, "kind")
        if kind is None:
            said = f"required, but missing; {KIND} is read, every other kind skipped"
            self._say(Severity.ERROR, FindingKind.MISSING, where, said)
        elif group == GROUP and kind not in _OWN_KINDS:
            said = f"skipped: {GROUP} has no kind {shown(kind)}; did you mean {KIND}?"
            self._say(Severity.WARNING, FindingKind.SKIPPED, where, said)
        else:
            self._say(Severity.NOTE, FindingKind.SKIPPED, place, f"skipped: kind {shown(kind)}")

    def duplicate(self, ingester: Ingester, first: Origin | None) -> Finding:
        """Say that an Ingester of this name stands somewhere else already."""
        message = f"found {ingester.key} a second time; it stands in {first} already"
        line = ingester.origin.line if ingester.origin is not None else self._document.line
        return Finding(
            Severity.ERROR, FindingKind.DUPLICATE, self._file, line, "metadata.name", message
        )

    def origin(self, place: Location) -> Origin:
        """Where a document stands."""
        return Origin(self._file, self._document.line_of(place))

    def namespaced(self, value: Fields) -> Fields:
        """The document with its namespace, which is the default where it names none."""
        metadata = value.get("metadata")
        if not isinstance(metadata, dict):
            return value
        return value | {"metadata": {"namespace": self._default_namespace} | metadata}
