"""Observations through the API server: the sink's writer, and the list from which a restart rebuilds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from operators.model.observation import Occurrence, Subject, Window
from sinks.manifest import INGESTER_LABEL, TRACE_ANNOTATION
from sinks.writer import Answer, UnansweredError
from streams.cluster.answer import UNDECODABLE
from streams.cluster.errors import ClusterError, CredentialsRefusedError, TooLargeAnswerError
from streams.cluster.paths import resource_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from operators.flow.trace import Correlation
    from streams.cluster.answer import Answer as Response
    from streams.cluster.session import Session

GROUP, VERSION, RESOURCE = "zen.kube-zen.io", "v1alpha1", "observations"
FIELD_MANAGER = "zen-streams"
PAGE_OBJECTS = 500
"""client-go's page size; halved for the rest of a list when a page is too large to be read."""
REFUSED = 400
"""From this status on, an answer says why."""
WRITE_SECONDS = 30.0
LIST_SECONDS = 60.0
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
UNKNOWN = datetime.min.replace(tzinfo=UTC)
"""When a window was that the Observation does not say: long ago."""


class _Metadata(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    annotations: dict[str, str] | None = None


class _Event(msgspec.Struct, frozen=True):
    metadata: _Metadata = _Metadata()


class _Resource(msgspec.Struct, rename="camel", frozen=True):
    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Opening(msgspec.Struct, rename="camel", frozen=True):
    opening: str = ""
    window_start: Moment = UNKNOWN
    window_end: Moment = UNKNOWN


class _Spec(msgspec.Struct, rename="camel", frozen=True):
    fingerprint: str = ""
    first_seen: str = ""
    last_seen: str = ""
    resolved_at: str | None = None
    resource: _Resource = _Resource()
    evidence: dict[str, int] | None = None
    evidence_base: int = 0
    occurrence: _Opening | None = None
    details: _Event = _Event()


class Stored(msgspec.Struct):
    """What a rebuild reads of an Observation: nothing else is decoded."""

    metadata: _Metadata
    spec: _Spec = _Spec()

    @property
    def traceparent(self) -> str:
        """The trace of the event that created it."""
        return (self.metadata.annotations or {}).get(TRACE_ANNOTATION, "")

    @property
    def opened(self) -> tuple[Occurrence, Window] | None:
        """What happened, and the window it opened, if that is what it tells."""
        opening = self.spec.occurrence
        if opening is None:
            return None
        uid, _, version = opening.opening.rpartition("/")
        start, end = opening.window_start, opening.window_end
        window = Window(self.spec.fingerprint, self.metadata.name, start, end)
        window.uid, window.traceparent = self.metadata.uid, self.traceparent
        return Occurrence(uid, version), window

    @property
    def subject(self) -> Subject:
        """The object it is about."""
        about = self.spec.resource
        return Subject(about.api_version, about.kind, about.namespace, about.name)


class _Page(msgspec.Struct):
    class _ListMetadata(msgspec.Struct, rename={"continue_token": "continue"}):
        continue_token: str = ""

    metadata: _ListMetadata
    items: list[msgspec.Raw] | None
    """Null where empty; what has none is no list, and must not be taken for one of nothing."""


class ListRefusedError(Exception):
    """The server would not list the Observations; the message is its answer."""

    def __init__(self, answer: Response) -> None:
        super().__init__(f"{f'{answer.status} {answer.reason}'.strip()}: {answer.message}")
        self.status = answer.status


class Observations:
    """Requests on Observations, as the sink's ``Writer`` and as a list of our own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> Answer:
        """Server-side apply, forced: without force another manager's value would be a conflict for ever."""
        return await self._ask(
            "PATCH",
            _path(namespace, name),
            verb="apply",
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            headers={"Content-Type": "application/apply-patch+yaml", **_found_by(correlation)},
        )

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        """GET one Observation."""
        return await self._ask(
            "GET", _path(namespace, name), verb="get", headers=_found_by(correlation)
        )

    async def remove(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> Answer:
        """DELETE one Observation."""
        return await self._ask(
            "DELETE", _path(namespace, name), verb="delete", headers=_found_by(correlation)
        )

    async def own(self, label: str) -> AsyncIterator[Stored]:
        """List the Observations of one Ingester, in pages, in all namespaces.

        Raises ``ListRefusedError`` where the server answers anything but a list, and what the session raises.
        """
        token, limit = "", PAGE_OBJECTS
        while True:
            try:
                page = await self._page(label, token, limit=limit)
            except TooLargeAnswerError:
                if limit == 1:
                    raise
                limit //= 2
                continue
            for item in page.items or ():
                stored = _stored(item)
                if stored is not None:
                    yield stored
            token = page.metadata.continue_token
            if not token:
                return

    async def _page(self, label: str, token: str, *, limit: int) -> _Page:
        query = {"labelSelector": f"{INGESTER_LABEL}={label}", "limit": str(limit)}
        if token:
            query["continue"] = token
        response = await self._session.request(
            "GET", _path("", ""), verb="list", query=query, timeout_seconds=LIST_SECONDS
        )
        if response.status != 200:  # noqa: PLR2004
            raise ListRefusedError(response)
        try:
            return msgspec.json.decode(response.body, type=_Page)
        except UNDECODABLE:
            raise ListRefusedError(response) from None

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        verb: str,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
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
            return Answer(401, reason="Unauthorized", message=str(error))
        except ClusterError as error:
            raise UnansweredError(str(error)) from None
        if response.status < REFUSED:  # the body is an Observation, and may be large
            return Answer(response.status, response.body, waited_seconds=response.waited_seconds)
        return Answer(
            response.status,
            response.body,
            reason=response.reason,
            message=response.message,
            causes=response.causes,
            retry_after_seconds=response.retry_after_seconds,
            waited_seconds=response.waited_seconds,
        )


def _found_by(correlation: Correlation | None) -> dict[str, str]:
    """Headers by which a request is found again; the server echoes ``Audit-ID``, and its audit log has it."""
    if correlation is None:
        return {}
    return {"traceparent": correlation.traceparent, "Audit-ID": correlation.audit_id}


def _path(namespace: str, name: str) -> str:
    return resource_path(GROUP, VERSION, RESOURCE, namespace=namespace, name=name)


def _stored(item: msgspec.Raw) -> Stored | None:
    """Decode an Observation; one that somebody else bent out of shape is written anew when its subject is seen."""
    try:
        return msgspec.json.decode(item, type=Stored)
    except UNDECODABLE:
        return None
