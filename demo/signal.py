"""Signals: the requests a controller makes to the API server, and the feeder that sends them at a rate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from operators.flow.clock import NANOSECONDS_PER_SECOND, Clock
from streams.cluster.errors import ClusterError
from streams.cluster.session import Session

Object = dict[str, Any]
"""A Kubernetes object, or a part of one, as JSON."""

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_MERGE_PATCH = "application/strategic-merge-patch+json"


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server; ``path`` is the collection for a create, else the object."""

    method: str
    path: str
    body: Object | None = None
    content_type: str = JSON


def create(collection: str, body: Object) -> Request:
    """Build the request that creates an object."""
    return Request("POST", collection, body)


def change(path: str, fields: Object, *, content_type: str = MERGE_PATCH) -> Request:
    """Build the request that patches fields of an object; lists are replaced whole."""
    return Request("PATCH", path, fields, content_type)


def delete(path: str) -> Request:
    """Build the request that deletes an object."""
    return Request("DELETE", path)


class Signal:
    """The requests of one controller, one at a time; each is assumed to succeed.

    The first ``first`` create the initial objects. The sequence is endless, over a bounded number of objects.
    """

    def __init__(
        self, source: str, requests: Iterator[Request], *, first: int, share: int = 1
    ) -> None:
        self.source = source
        """The name of the source that watches these objects."""
        self.share = share
        """The weight of this signal in the rate of a feed."""
        self.first = first
        self.sent = 0
        self.objects: dict[str, Object] = {}
        """The expected objects by path, without what the server adds."""
        self._requests = requests

    def next(self) -> Request:
        """Return the next request, and apply it to the expected objects."""
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


_REFUSED = 400


class FeedError(Exception):
    """The API server refused an object of the demonstration; the message names it and the reason."""


class Feeder:
    """Sends each signal's requests in order, the signals concurrently."""

    def __init__(self, session: Session, signals: Sequence[Signal], *, clock: Clock) -> None:
        self._session = session
        self._signals = signals
        self._clock = clock

    async def begin(self) -> None:
        """Create the initial objects. Raises ``FeedError``."""
        async with asyncio.TaskGroup() as group:
            for signal in self._signals:
                group.create_task(self._begin(signal))

    async def feed(self, per_second: float, *, over: asyncio.Event) -> None:
        """Send ``per_second`` requests per second in all until ``over`` is set. Raises ``FeedError``.

        Each signal has its share. The n-th request is due n intervals after the start, however long others took: a late
        one is sent at once.
        """
        shares = sum(signal.share for signal in self._signals)
        async with asyncio.TaskGroup() as group:
            for signal in self._signals:
                interval_ns = NANOSECONDS_PER_SECOND * shares / (per_second * signal.share)
                group.create_task(self._feed(signal, interval_ns, over=over))

    async def _begin(self, signal: Signal) -> None:
        for _ in range(signal.first):
            await self._send(signal.next())

    async def _feed(self, signal: Signal, interval_ns: float, *, over: asyncio.Event) -> None:
        began_ns, number = self._clock(), 0
        while True:
            number += 1
            due_ns = began_ns + round(number * interval_ns)
            wait_seconds = (due_ns - self._clock()) / NANOSECONDS_PER_SECOND
            if wait_seconds > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait_seconds):
                        await over.wait()
            if over.is_set():
                return
            await self._send(signal.next())

    async def _send(self, request: Request) -> None:
        body = None if request.body is None else msgspec.json.encode(request.body)
        headers = {"Content-Type": request.content_type} if body is not None else {}
        what = f"{request.method} {request.path}"
        try:
            response = await self._session.request(
                request.method,
                request.path,
                verb=request.method.lower(),
                body=body,
                headers=headers,
            )
        except ClusterError as error:
            raise FeedError(f"{what}: {error}") from None
        if response.status >= _REFUSED:
            raise FeedError(f"{what}: {response.status} {response.reason}: {response.message}")
