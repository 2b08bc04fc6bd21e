"""A small API server in memory: objects, one rising version, a history that is forgotten, lists in pages.

It follows the rules of the genuine one as far as a reader can tell, and fails only where a test says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec


@dataclass(frozen=True)
class Stored:
    """One object as the server holds it."""

    name: str
    uid: str
    version: int
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    terminating: bool = False

    @property
    def key(self) -> str:
        return f"default/{self.name}"

    def matches(self, selector: str) -> bool:
        name, _, value = selector.partition("=")
        return not selector or self.labels.get(name) == value

    def body(self) -> dict[str, object]:
        metadata: dict[str, object] = {
            "name": self.name,
            "namespace": "default",
            "uid": self.uid,
            "resourceVersion": str(self.version),
            "labels": dict(self.labels),
        }
        if self.terminating:
            metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        return {"metadata": metadata}


@dataclass(frozen=True)
class Happened:
    """One change of one object."""

    version: int
    before: Stored | None
    after: Stored | None

    def line(self, selector: str) -> bytes | None:
        """How a watch tells of it; an object that leaves the selector is deleted as far as it goes."""
        was = self.before is not None and self.before.matches(selector)
        if self.after is not None and self.after.matches(selector):
            return line("MODIFIED" if was else "ADDED", self.after.body())
        if self.before is None or not was:
            return None
        return line("DELETED", replace(self.before, version=self.version).body())


class Stream:
    """One open watch: what happened since, each thing once."""

    def __init__(self, api: ModelApi, version: int, selector: str) -> None:
        self.version = version
        self._api = api
        self._selector = selector

    def lines(self) -> list[bytes]:
        """What happened since the last time; one ERROR line if it is forgotten."""
        if self.version < self._api.forgotten:
            return [line("ERROR", status(410, "Expired", "too old resource version"))]
        news = [one for one in self._api.history if one.version > self.version]
        self.version = max([self.version, *(one.version for one in news)])
        told = [one.line(self._selector) for one in news]
        return [one for one in told if one is not None]

    def bookmark(self) -> bytes:
        """Say up to where everything was told."""
        self.version = self._api.version
        metadata = {"resourceVersion": str(self.version)}
        return line("BOOKMARK", {"metadata": metadata})


class ModelApi:
    """Objects in one namespace of one resource."""

    def __init__(self, *, page_objects: int = 500) -> None:
        self.objects: dict[str, Stored] = {}
        self.version = 100
        self.forgotten = 100
        """The oldest version a watch may be opened at."""
        self.history: list[Happened] = []
        self._page_objects = page_objects
        self._tokens: dict[str, tuple[int, list[Stored]]] = {}
        self._continued = 0
        self._made = 0

    def put(self, name: str, **labels: str) -> Stored:
        """Create or update an object."""
        before = self.objects.get(name)
        self._made += before is None
        uid = before.uid if before else f"uid-{self._made}"
        return self._happen(before, Stored(name, uid, self.version + 1, labels))

    def terminate(self, name: str) -> None:
        """Ask for the deletion of an object that has finalizers."""
        before = self.objects[name]
        self._happen(before, replace(before, version=self.version + 1, terminating=True))

    def delete(self, name: str) -> None:
        """Delete an object."""
        self.version += 1
        self.history.append(Happened(self.version, self.objects.pop(name), None))

    def elsewhere(self) -> None:
        """Let something happen to another resource: the version rises, and no watch here has an event."""
        self.version += 1

    def forget(self) -> None:
        """Compact: no watch can be resumed from before now, and no list continued."""
        self.forgotten = self.version
        self.history.clear()
        self.forget_tokens()

    def forget_tokens(self) -> None:
        """Let no list be continued."""
        self._tokens.clear()

    def list(self, query: Mapping[str, str]) -> tuple[int, bytes]:
        """Answer a list: all pages of one show the same version."""
        token = query.get("continue", "")
        if token:
            if token not in self._tokens:
                return 410, self._inconsistent(query)
            version, left = self._tokens.pop(token)
        else:
            if int(query.get("resourceVersion") or 0) > self.version:
                return 504, msgspec.json.encode(status(504, "Timeout", TOO_LARGE))
            version, left = self.version, self._selected(query)
        limit = min(int(query.get("limit", "500")), self._page_objects)
        return 200, self._page(version, left, limit=limit)

    def watch(self, query: Mapping[str, str]) -> Stream | None:
        """Open a watch; None (410) if what happened since is forgotten."""
        version = int(query["resourceVersion"])
        if version < self.forgotten:
            return None
        return self.stream(version, query.get("labelSelector", ""))

    def stream(self, version: int, selector: str = "") -> Stream:
        """Open a watch at any version; one that is too old is answered in the stream."""
        return Stream(self, version, selector)

    def _happen(self, before: Stored | None, after: Stored) -> Stored:
        self.version = after.version
        self.objects[after.name] = after
        self.history.append(Happened(self.version, before, after))
        return after

    def _selected(self, query: Mapping[str, str]) -> list[Stored]:
        selector = query.get("labelSelector", "")
        return [
            self.objects[name]
            for name in sorted(self.objects)
            if self.objects[name].matches(selector)
        ]

    def _page(self, version: int, left: list[Stored], *, limit: int) -> bytes:
        metadata = {"resourceVersion": str(version)}
        if len(left) > limit:
            metadata["continue"] = self._token(version, left[limit:])
        items = [one.body() for one in left[:limit]]
        return msgspec.json.encode({"metadata": metadata, "items": items})

    def _token(self, version: int, left: list[Stored]) -> str:
        self._continued += 1
        token = f"{version}-{self._continued}-{left[0].name}"
        self._tokens[token] = version, left
        return token

    def _inconsistent(self, query: Mapping[str, str]) -> bytes:
        """Refuse a token, and offer one that goes on behind its object with the state of now."""
        behind = query["continue"].rpartition("-")[2]
        left = [one for one in self._selected(query) if one.name >= behind]
        offered = {"continue": self._token(self.version, left)} if left else {}
        expired = status(410, "Expired", "the provided continue parameter is too old")
        return msgspec.json.encode({**expired, "metadata": offered})


TOO_LARGE = "Too large resource version: 9, current: 1"


def line(change: str, body: Mapping[str, object]) -> bytes:
    """One line of a watch, without its end."""
    return msgspec.json.encode({"type": change, "object": body})


def status(code: int, reason: str = "", message: str = "") -> dict[str, object]:
    """A Status as the server writes one."""
    return {"kind": "Status", "code": code, "reason": reason, "message": message}
