"""The model API server as an informer's client: requests take a moment, a watch tells a moment after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from operators.model.event import ApiResource
from streams.cluster.errors import IdleTimeoutError
from streams.sources.informer.target import WatchTarget
from tests.kit.changes import CONFIG_MAP
from tests.kit.model_api import ModelApi, Stream, status

CONFIG_MAPS = WatchTarget("", "v1", "configmaps")
LATENCY_SECONDS = 0.01
BOOKMARK_SECONDS = 60.0


@dataclass(frozen=True)
class Reply:
    """One complete answer."""

    status: int
    body: bytes = b""
    retry_after_seconds: float | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it was made."""

    verb: str
    path: str
    query: Mapping[str, str]
    accept: str

    @property
    def name(self) -> str:
        """The last part of the path: the object's name, for a GET."""
        return self.path.rpartition("/")[2]


Interfere = Callable[[Asked], Awaitable[Reply | None]]
"""Called with every request before it is answered: may wait, change the server, answer instead, or raise."""


async def nothing(_: Asked) -> Reply | None:
    """Let every request pass."""
    return None


def refusal(code: int, reason: str = "", *, retry_after: float | None = None) -> Reply:
    """An answer that is a Status."""
    return Reply(code, msgspec.json.encode(status(code, reason)), retry_after)


class OpenWatch:
    """One open watch over the model."""

    def __init__(
        self, stream: Stream | None, refused: Reply | None, *, idle_seconds: float
    ) -> None:
        self.status = 200 if refused is None else refused.status
        self.said: list[bytes] = []
        """Chunks to send next, whatever they are."""
        self.is_cut = False
        self.is_silent = False
        self._stream = stream
        self._refused = refused
        self._idle_seconds = idle_seconds
        self._now = asyncio.get_running_loop().time

    async def chunks(self) -> AsyncIterator[bytes]:
        """What happened, line by line, until somebody cuts it; with a bookmark a minute, and its idle limit."""
        spoke = bookmarked = self._now()
        while not self.is_cut:
            if self._stream is not None and not self.is_silent:
                self.said += [text + b"\n" for text in self._stream.lines()]
                if self._now() - bookmarked >= BOOKMARK_SECONDS:
                    bookmarked = self._now()
                    self.said.append(self._stream.bookmark() + b"\n")
            while self.said:
                spoke = self._now()
                yield self.said.pop(0)
            if self._now() - spoke >= self._idle_seconds:
                raise IdleTimeoutError(f"not a byte for {self._idle_seconds:g} s")
            await asyncio.sleep(LATENCY_SECONDS)

    async def read_response(self) -> Reply:
        """What was said instead."""
        assert self._refused is not None
        return self._refused


class ModelClient:
    """The reading half of a session, over the model; ``interfere`` injects what goes wrong."""

    def __init__(self, api: ModelApi) -> None:
        self.api = api
        self.asked: list[Asked] = []
        self.watches: list[OpenWatch] = []
        self.open_watches = 0
        self.interfere: Interfere = nothing
        self.ignores_limit = False
        """Whether a list comes in one page, whatever limit was requested."""

    def count(self, verb: str) -> int:
        """How many requests of a verb were made."""
        return sum(one.verb == verb for one in self.asked)

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Answer a list or a get."""
        assert method == "GET"
        asked = self._ask(verb, path, query, headers)
        instead = await self.interfere(asked)
        if instead is not None:
            return instead
        reply = self._list(asked) if verb == "list" else self._get(asked)
        await asyncio.sleep(LATENCY_SECONDS)
        return reply

    @asynccontextmanager
    async def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float,
    ) -> AsyncGenerator[OpenWatch]:
        """Open a watch."""
        asked = self._ask("watch", path, query, headers)
        instead = await self.interfere(asked)
        stream = self.api.watch(asked.query) if instead is None else None
        if stream is None and instead is None:
            instead = refusal(410, "Expired")
        opened = OpenWatch(stream, instead, idle_seconds=idle_seconds)
        self.watches.append(opened)
        self.open_watches += 1
        try:
            yield opened
        finally:
            self.open_watches -= 1

    async def discover(self, target: WatchTarget) -> ApiResource | None:
        """Say what a resource is."""
        del target
        await asyncio.sleep(LATENCY_SECONDS)
        return CONFIG_MAP

    def _ask(
        self,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> Asked:
        self.asked.append(Asked(verb, path, query or {}, (headers or {}).get("Accept", "")))
        return self.asked[-1]

    def _list(self, asked: Asked) -> Reply:
        query = dict(asked.query)
        if self.ignores_limit:
            query["limit"] = str(len(self.api.objects) + 1)
        return Reply(*self.api.list(query))

    def _get(self, asked: Asked) -> Reply:
        found = self.api.objects.get(asked.name)
        return refusal(404) if found is None else Reply(200, msgspec.json.encode(found.body()))
