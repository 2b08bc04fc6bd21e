"""A signal of the demonstration: what its controller asks of the API server, and what ought to be there afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server; ``path`` names the collection of what is made, else the object."""

    method: str
    path: str
    body: Object | None = None
    content_type: str = JSON


def create(collection: str, body: Object) -> Request:
    """Make an object."""
    return Request("POST", collection, body)


def change(path: str, fields: Object, *, content_type: str = MERGE_PATCH) -> Request:
    """Change fields of an object; lists are replaced as a whole."""
    return Request("PATCH", path, fields, content_type)


def delete(path: str) -> Request:
    """Delete an object."""
    return Request("DELETE", path)


class Signal:
    """The requests of one controller, one at a time; every one is taken to succeed.

    ``first`` of them make what is there at the beginning. They go on without an end, over a bounded number of objects.
    """

    def __init__(
        self, source: str, requests: Iterator[Request], *, first: int, share: int = 1
    ) -> None:
        self.source = source
        """The name of the source that watches these objects."""
        self.share = share
        """How much of a feed is this signal's, beside the shares of others."""
        self.first = first
        self.sent = 0
        self.objects: dict[str, Object] = {}
        """What is there by now, by path, without what the server adds."""
        self._requests = requests

    def next(self) -> Request:
        """Say which request comes next, and count on it."""
        request = next(self._requests)
        self.sent += 1
        if request.method == "POST":
            body = request.body or {}
            self.objects[f"{request.path}/{body['metadata']['name']}"] = body
        elif request.method == "PATCH":
            self.objects[request.path] = merged(self.objects[request.path], request.body or {})
        else:
            del self.objects[request.path]
        return request


def merged(fields: Object, changes: Mapping[str, Any]) -> Object:
    """Apply a JSON merge patch (RFC 7386)."""
    result = dict(fields)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            inside = cast("Object", inner) if isinstance(inner, dict) else {}
            result[key] = merged(inside, cast("Object", value))
        else:
            result[key] = value
    return result
