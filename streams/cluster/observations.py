"""Observations through the API server: the executor's writer, and the list from which a restart restores its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from operators.model.api import GROUP, OBSERVATIONS, VERSIONS
from operators.model.identity import INGESTER_LABEL, IngesterKey, ingester_label
from sinks.responses import UnansweredError, WriteResponse
from sinks.stored import StoredRecord, decode_stored
from streams.cluster.errors import ClusterError, CredentialsRefusedError, ResponseTooLargeError
from streams.cluster.resources import group_path, resource_path
from streams.cluster.response import UNDECODABLE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from operators.flow.trace import Correlation
    from streams.cluster.response import Response as HttpResponse
    from streams.cluster.session import Session

FIELD_MANAGER = "zen-streams"
PAGE_OBJECTS = 500
"""client-go's page size; halved for the rest of a list when a page is too large to be read."""
REFUSED = 400
"""From this status on, the body is a Status with a reason."""
WRITE_SECONDS = 30.0
LIST_SECONDS = 60.0


class _Page(msgspec.Struct):
    class _ListMetadata(msgspec.Struct, rename={"continue_token": "continue"}):
        continue_token: str = ""

    metadata: _ListMetadata
    items: list[msgspec.Raw] | None
    """Null where empty; a body without it is no list, and must not be taken for an empty one."""


class ListRefusedError(Exception):
    """The server did not list the Observations; the message is its response."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(f"{f'{response.status} {response.reason}'.strip()}: {response.message}")
        self.status = response.status


class Observations:
    """Requests on Observations: the executor's ``Writer``, and the list of an Ingester's own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> WriteResponse:
        """Server-side apply, forced: without force another manager's value would be a conflict for ever."""
        return await self._request(
            "PATCH",
            _path(namespace, name),
            verb="apply",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            headers={"Content-Type": "application/apply-patch+yaml", **_headers(correlation)},
        )

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        """GET one Observation."""
        return await self._request(
            "GET", _path(namespace, name), verb="get", headers=_headers(correlation)
        )

    async def delete(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        """DELETE one Observation."""
        return await self._request(
            "DELETE", _path(namespace, name), verb="delete", headers=_headers(correlation)
        )

    async def list_of(self, ingester: IngesterKey) -> AsyncIterator[StoredRecord]:
        """List the Observations of one Ingester, in pages, in all namespaces.

        One that cannot be decoded is left out: it is written anew when its subject is observed. Raises
        ``ListRefusedError`` where the server answers anything but a list, and what the session raises.
        """
        token, limit, label = "", PAGE_OBJECTS, ingester_label(ingester)
        while True:
            try:
                page = await self._page(label, token, limit=limit)
            except ResponseTooLargeError:
                if limit == 1:
                    raise
                limit //= 2
                continue
            for item in page.items or ():
                record = decode_stored(item)
                # A cut label may be shared: the identity decides.
                if record is not None and _belongs(record, ingester):
                    yield record
            token = page.metadata.continue_token
            if not token:
                return

    async def _page(self, label: str, token: str, *, limit: int) -> _Page:
        query = {"labelSelector": f"{INGESTER_LABEL}={label}", "limit": str(limit)}
        if token:
            query["continue"] = token
        response = await self._session.request(
            "GET", _ALL, verb="list", query=query, timeout_seconds=LIST_SECONDS
        )
        if response.status != 200:  # noqa: PLR2004
            raise ListRefusedError(response)
        try:
            return msgspec.json.decode(response.body, type=_Page)
        except UNDECODABLE:
            raise ListRefusedError(response) from None

    async def _request(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> WriteResponse:
        try:
            response = await self._session.request(
                method,
                path,
                verb=verb,
                query=query,
                body=body,
                headers=headers,
                timeout_seconds=WRITE_SECONDS,
            )
        except CredentialsRefusedError as error:
            return WriteResponse(401, reason="Unauthorized", message=str(error))
        except ClusterError as error:
            raise UnansweredError(str(error)) from None
        if response.status < REFUSED:  # the body is an Observation, and may be large
            return WriteResponse(
                response.status, response.body, waited_seconds=response.waited_seconds
            )
        return WriteResponse(
            response.status,
            response.body,
            reason=response.reason,
            message=response.message,
            causes=response.causes,
            retry_after_seconds=response.retry_after_seconds,
            waited_seconds=response.waited_seconds,
        )


def _belongs(record: StoredRecord, ingester: IngesterKey) -> bool:
    """Whether an Observation is the Ingester's own, and where its identity places it: a copy elsewhere is not."""
    identity = record.identity
    placed = identity.namespace or ingester.namespace
    return identity.ingester == ingester and record.namespace == placed


def _headers(correlation: Correlation | None) -> dict[str, str]:
    """Headers by which a request is found: the server returns ``Audit-ID``, and its audit log holds it."""
    if correlation is None:
        return {}
    return {"traceparent": correlation.traceparent, "Audit-ID": correlation.audit_id}


_ALL = resource_path(GROUP, VERSIONS[0], OBSERVATIONS)
_NAMESPACES = f"{group_path(GROUP, VERSIONS[0])}/namespaces"


def _path(namespace: str, name: str) -> str:
    """The path of an Observation; both names are DNS labels, so nothing has to be encoded."""
    return f"{_NAMESPACES}/{namespace}/{OBSERVATIONS}/{name}"
