"""What an informer watches, and the requests it makes for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from operators.model.event import ApiResource
from streams.cluster.resources import resource_path

WATCH_IDLE_SECONDS = 70.0
"""Bookmarks come about once a minute: a watch without a byte for longer may be dead (kopf's rule)."""
OK = 200
FORBIDDEN = 403
NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class WatchTarget:
    """What to list and watch; subscribers of equal targets share one informer.

    ``namespace`` "" means all namespaces; an empty selector selects everything.
    """

    group: str
    version: str
    resource: str
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""

    @property
    def has_selector(self) -> bool:
        """Whether an object can leave the target without being deleted."""
        return bool(self.label_selector or self.field_selector)

    def may_exist_outside(self, key: str) -> bool:
        """Whether an object that is not in the target may exist: outside of its selector, or of its namespace."""
        return self.has_selector or bool(
            self.namespace and not key.startswith(f"{self.namespace}/")
        )

    @property
    def is_metadata_only(self) -> bool:
        """Whether no more than the metadata may be read: true of Secrets."""
        return not self.group and self.resource == "secrets"

    def selector_query(self) -> dict[str, str]:
        """The part of a query that selects."""
        both = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: selector for name, selector in both.items() if selector}


class ReadResponse(Protocol):
    """One complete response of any status."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...

    @property
    def retry_after_seconds(self) -> float | None:
        """Seconds after which to retry; None if the server named none."""
        ...


class ReadStream(Protocol):
    """One response whose body is read while it grows."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they arrive; raises a ``ClusterError`` where it breaks off."""
        ...

    async def read_response(self) -> ReadResponse:
        """The whole response, where it is no stream."""
        ...


class ReadClient(Protocol):
    """The reading half of ``streams.cluster.session.Session``."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ReadResponse:
        """Send a request and read the whole response; raises a ``ClusterError`` where none came."""
        ...

    def watch(
        self,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float,
    ) -> AbstractAsyncContextManager[ReadStream]:
        """Open a response without an end; no byte for ``idle_seconds`` raises ``IdleTimeoutError``."""
        ...


class TargetClient:
    """The requests for one target; of Secrets nothing but the metadata is ever requested.

    All raise ``ClusterError`` where no response came; a response of any status is one.
    """

    def __init__(self, target: WatchTarget, client: ReadClient) -> None:
        self.target = target
        self.resource: ApiResource | None = None
        """As discovery described it; None before that."""
        self._client = client

    async def list_page(self, query: dict[str, str]) -> ReadResponse:
        """Request a page of a list."""
        return await self._client.request(
            "GET", self._path(), verb="list", query=query, headers=self._accept("List")
        )

    def watch(self, query: dict[str, str]) -> AbstractAsyncContextManager[ReadStream]:
        """Open a watch."""
        return self._client.watch(
            self._path(), query=query, headers=self._accept(), idle_seconds=WATCH_IDLE_SECONDS
        )

    async def get(self, key: str) -> ReadResponse:
        """Request one object."""
        return await self._client.request(
            "GET", self._path(key), verb="get", headers=self._accept()
        )

    async def get_metadata(self, key: str) -> ReadResponse:
        """Request the metadata of one object; a server that cannot restrict it sends the object."""
        headers = {"Accept": f"{_metadata_only('')},application/json"}
        if self.target.is_metadata_only:
            headers = self._accept()
        return await self._client.request("GET", self._path(key), verb="get", headers=headers)

    def _path(self, key: str = "") -> str:
        target = self.target
        namespace, _, name = key.partition("/") if key else (target.namespace, "", "")
        if self.resource is not None and not self.resource.namespaced:
            namespace = ""
        return resource_path(
            target.group, target.version, target.resource, namespace=namespace, name=name
        )

    def _accept(self, suffix: str = "") -> dict[str, str]:
        # No second choice beside it: a server that cannot restrict answers 406, and no Secret is read.
        return {"Accept": _metadata_only(suffix)} if self.target.is_metadata_only else {}


def _metadata_only(suffix: str) -> str:
    return f"application/json;as=PartialObjectMetadata{suffix};g=meta.k8s.io;v=v1"
