"""What is watched, as requests: the pages of its lists, its watch, its single objects."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from operators.model.event import Kind
from streams.cluster.paths import resource_path
from streams.sources.informer.notice import Watched
from streams.sources.informer.reader import Answer, Reader, Watching

IDLE_SECONDS = 70.0
"""Bookmarks come about once a minute: a watch without a byte for longer may be dead (kopf's rule)."""
OK = 200
NOT_FOUND = 404
FORBIDDEN = 403


class Collection:
    """The requests of one informer; of Secrets nothing but the metadata is ever asked for.

    All raise ``ClusterError`` where no answer came; an answer of any status is one.
    """

    def __init__(self, watched: Watched, reader: Reader) -> None:
        self.watched = watched
        self.kind: Kind | None = None
        """What it is, once the server said so."""
        self._reader = reader

    async def page(self, query: dict[str, str]) -> Answer:
        """Ask for a page of a list."""
        return await self._reader.request(
            "GET", self._path(), verb="list", query=query, headers=self._accept("List")
        )

    def watch(self, query: dict[str, str]) -> AbstractAsyncContextManager[Watching]:
        """Open a watch."""
        return self._reader.watch(
            self._path(), query=query, headers=self._accept(), idle_seconds=IDLE_SECONDS
        )

    async def get(self, key: str) -> Answer:
        """Ask for one object."""
        return await self._reader.request(
            "GET", self._path(key), verb="get", headers=self._accept()
        )

    async def identify(self, key: str) -> Answer:
        """Ask whose name it is now: the metadata alone, if the server can."""
        headers = {"Accept": f"{_metadata_only('')},application/json"}
        if self.watched.is_metadata_only:
            headers = self._accept()
        return await self._reader.request("GET", self._path(key), verb="get", headers=headers)

    def _path(self, key: str = "") -> str:
        watched = self.watched
        namespace, _, name = key.partition("/") if key else (watched.namespace, "", "")
        if self.kind is not None and not self.kind.namespaced:
            namespace = ""
        return resource_path(
            watched.group, watched.version, watched.resource, namespace=namespace, name=name
        )

    def _accept(self, suffix: str = "") -> dict[str, str]:
        # No second choice beside it: a server that cannot answers 406, and no Secret is read.
        return {"Accept": _metadata_only(suffix)} if self.watched.is_metadata_only else {}


def _metadata_only(suffix: str) -> str:
    return f"application/json;as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1"
