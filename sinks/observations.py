"""The executor that writes Observations as custom resources: one body, one server-side apply a change.

An apply removes what it omits, so first seen, the trace of the creating event, the identity and the evidence are sent
every time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from operators.flow.delivery import Ticket
from operators.flow.trace import Correlation
from operators.model.api import API_VERSION
from operators.model.event import ObjectRef, ObjectState, RawEvent
from operators.model.identity import (
    INGESTER_LABEL,
    Identity,
    IngesterKey,
    ingester_label,
    label_value,
)
from operators.model.observation import Window
from operators.model.state import StoredObservation, micro_timestamp
from operators.reconcile import (
    Delete,
    MergeEvidence,
    ObservationChange,
    ReadStored,
    Resolve,
    Upsert,
)
from sinks.resource import InvalidObservationError, validate
from sinks.responses import (
    SUCCESS,
    ResponseClass,
    UnansweredError,
    Writer,
    WriteResponse,
    classify_response,
    is_in_doubt,
)
from sinks.sink import (
    Applied,
    Attempt,
    ExecutionResult,
    Missing,
    Rejected,
    StoredRead,
    Suspended,
    TryAgain,
)
from sinks.stored import TRACE_ANNOTATION, decode_stored

Manifest = dict[str, Any]
_CREATED = 201


@dataclass(frozen=True, slots=True)
class Owner:
    """The Ingester that Observations belong to, and how long they are kept once nothing more happens to them."""

    ingester: IngesterKey
    ttl_seconds: int
    uid: str = ""
    """The Ingester's uid; empty for a document from a file."""


class ObservationExecutor:
    """Carries changes out by requests on Observations."""

    def __init__(self, writer: Writer, *, owner: Owner) -> None:
        self._writer = writer
        self._owner = owner

    async def execute(self, change: ObservationChange, *, ticket: Ticket) -> ExecutionResult:
        """Carry one change out; the class of the response decides the result."""
        requests = TracedWriter(self._writer, ticket)
        try:
            if isinstance(change, Upsert):
                return await self._upsert(change, requests)
            if isinstance(change, Delete):
                return await _delete(change, requests)
            return await self._amend(change, requests)
        except UnansweredError as error:
            return TryAgain("unanswered", str(error), in_doubt=True)
        except InvalidObservationError as error:
            return Rejected("invalid", str(error), "invalid")
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, RecursionError) as error:
            # Of a read: a gateway answered 200 with something that is not an Observation.
            return TryAgain("unreadable", f"the response is not an Observation: {error}")

    async def _upsert(self, change: Upsert, requests: TracedWriter) -> ExecutionResult:
        body = manifest(change, self._owner)
        validate(body)
        response = await _apply(body, requests)
        if response.status not in SUCCESS:
            return result_of(response, namespace=change.observation.namespace)
        is_created = response.status == _CREATED
        # The uid is read only where it is not known: the body is the whole Observation.
        uid = uid_of(response.body) if is_created or not change.after.uid else ""
        return Applied("created" if is_created else "updated", uid)

    async def _amend(
        self, change: MergeEvidence | Resolve | ReadStored, requests: TracedWriter
    ) -> ExecutionResult:
        """Read the Observation, and apply it with some fields changed."""
        namespace = _namespace_of(change)
        try:
            read = await requests.read(namespace, change.name)
        except UnansweredError as error:
            return TryAgain("unanswered", str(error))
        found = classify_response(read)
        if isinstance(change, ReadStored) and found in {ResponseClass.DONE, ResponseClass.MISSING}:
            record = decode_stored(read.body) if found is ResponseClass.DONE else None
            return StoredRead(record.stored if record is not None else None)
        if found is ResponseClass.MISSING:
            return Missing("the Observation does not exist")
        if found is not ResponseClass.DONE:
            return result_of(read, namespace=namespace, is_read=True)
        if isinstance(change, Resolve):
            operation, changes = "resolved", _resolution(change)
        else:
            operation, changes = "updated", _evidence(cast("MergeEvidence", change).after)
        response = await _apply(amended(read.body, changes), requests)
        if classify_response(response) is not ResponseClass.DONE:
            return result_of(response, namespace=namespace)
        return Applied(operation)


class TracedWriter:
    """A writer whose requests carry their correlation, and are marks of the event's timeline, answered or not."""

    __slots__ = ("_ticket", "_writer")

    def __init__(self, writer: Writer, ticket: Ticket) -> None:
        self._writer = writer
        self._ticket = ticket

    async def apply(self, namespace: str, name: str, *, body: bytes) -> WriteResponse:
        """Server-side apply. Raises ``UnansweredError``."""
        writer = self._writer
        return await self._send(
            "write", "PATCH", lambda it: writer.apply(namespace, name, body=body, correlation=it)
        )

    async def read(self, namespace: str, name: str) -> WriteResponse:
        """GET. Raises ``UnansweredError``."""
        writer = self._writer
        return await self._send(
            "read", "GET", lambda it: writer.read(namespace, name, correlation=it)
        )

    async def delete(self, namespace: str, name: str) -> WriteResponse:
        """DELETE. Raises ``UnansweredError``."""
        writer = self._writer
        return await self._send(
            "write", "DELETE", lambda it: writer.delete(namespace, name, correlation=it)
        )

    async def _send(
        self,
        stage: str,
        method: str,
        send: Callable[[Correlation | None], Awaitable[WriteResponse]],
    ) -> WriteResponse:
        attempt = Attempt(method)
        try:
            response = await send(self._ticket.correlation())
            attempt = Attempt(method, response.status, response.waited_seconds)
        finally:
            self._ticket.mark(stage, attempt)
        return response


def result_of(response: WriteResponse, *, namespace: str, is_read: bool = False) -> ExecutionResult:
    """Translate a response that is not a success; a read (``is_read``) changes nothing, whatever became of it."""
    kind, detail = classify_response(response), _detail(response)
    error_type = str(response.status)
    if kind is ResponseClass.SUSPEND_ALL:
        return Suspended(None, error_type, detail)
    if kind is ResponseClass.SUSPEND_NAMESPACE:
        return Suspended(namespace, error_type, detail)
    if kind in _REJECTED:
        is_gone = kind is ResponseClass.NAMESPACE_GONE
        return Rejected(_REJECTED[kind], detail, error_type, scope_is_gone=is_gone)
    at_once = kind in {ResponseClass.CONFLICT, ResponseClass.MISSING}
    return TryAgain(
        error_type,
        detail,
        retry_after_seconds=0.0 if at_once else response.retry_after_seconds,
        in_doubt=not is_read and is_in_doubt(response),
    )


_REJECTED = {
    ResponseClass.TOO_LARGE: "too_large",
    ResponseClass.INVALID: "invalid",
    ResponseClass.NAMESPACE_GONE: "namespace_gone",
}


def manifest(change: Upsert, owner: Owner) -> Manifest:
    """Build the whole resource of an Observation that is to be as ``change.after``."""
    observation, after = change.observation, change.after
    classified = observation.classified
    metadata: Manifest = {
        "name": after.name,
        "namespace": observation.namespace,
        "labels": {
            "source": label_value(classified.source.strip("-")),
            "category": classified.category,
            "severity": classified.severity,
            INGESTER_LABEL: ingester_label(owner.ingester),
        },
    }
    if after.traceparent:
        metadata["annotations"] = {TRACE_ANNOTATION: after.traceparent}
    spec: Manifest = {
        "source": classified.source,
        "category": classified.category,
        "severity": classified.severity,
        "eventType": classified.event_type,
        "title": observation.title,
        "detectedAt": after.first_seen,
        "firstSeen": after.first_seen,
        "lastSeen": after.last_seen,
        "resource": _resource(classified.subject),
        "identity": stored_identity(
            change.identity, owner, event=classified.event, newest=after.newest
        ),
        "fingerprint": observation.fingerprint,
        "details": observation.details,
        "ttlSecondsAfterCreation": owner.ttl_seconds,
    }
    if after.evidence is not None:
        spec |= _evidence(after)
    if observation.occurrence is not None:
        spec |= _occurrence(observation.occurrence.window)
    return {"apiVersion": API_VERSION, "kind": "Observation", "metadata": metadata, "spec": spec}


def stored_identity(identity: Identity, owner: Owner, *, event: RawEvent, newest: str) -> Manifest:
    """Build ``spec.identity``: the identity, and the versions that are no part of the name; without empty fields."""
    payload = event.payload
    uid, version = "", ""
    if isinstance(payload, ObjectState):
        version = payload.version
        # Of Kubernetes Events many share the identity: none of their uids identifies it.
        uid = payload.uid if identity.event is None else ""
    fields = cast("Manifest", msgspec.to_builtins(identity))
    fields["ingester"] = _without_empty(fields["ingester"] | {"uid": owner.uid})
    fields |= {"uid": uid, "version": version}
    if identity.event is not None:
        fields["event"] = _without_empty(fields["event"] | {"newest": newest})
    return _without_empty(fields)


def amended(read: bytes, changes: Manifest) -> Manifest:
    """Build the resource as it was read, with other values in its spec, bound to the version that was read.

    A partial apply would be refused (what the schema requires is missing), and a second field manager would leave its
    fields in place for ever. Of the metadata only the managed labels and the annotation are sent again.
    """
    resource = cast("Manifest", msgspec.json.decode(read))
    metadata = cast("Manifest", resource["metadata"])
    managed_labels = ("source", "category", "severity", INGESTER_LABEL)
    labels = cast("Manifest", metadata.get("labels") or {})
    kept: Manifest = {
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "resourceVersion": metadata["resourceVersion"],
        "labels": {key: labels[key] for key in managed_labels if key in labels},
    }
    traceparent = cast("Manifest", metadata.get("annotations") or {}).get(TRACE_ANNOTATION)
    if traceparent:
        kept["annotations"] = {TRACE_ANNOTATION: traceparent}
    spec = cast("Manifest", resource.get("spec") or {}) | changes
    return {"apiVersion": API_VERSION, "kind": "Observation", "metadata": kept, "spec": spec}


class _Identified(msgspec.Struct, frozen=True):
    uid: str = ""


class _Written(msgspec.Struct, frozen=True):
    metadata: _Identified = _Identified()


def uid_of(body: bytes) -> str:
    """Read the uid in the API server's response to a write; empty where there is none."""
    try:
        return msgspec.json.decode(body, type=_Written).metadata.uid
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


async def _delete(change: Delete, requests: TracedWriter) -> ExecutionResult:
    namespace = change.removal.namespace
    response = await requests.delete(namespace, change.name)
    if classify_response(response) in {ResponseClass.DONE, ResponseClass.MISSING}:
        return Applied("deleted")
    return result_of(response, namespace=namespace)


async def _apply(body: Manifest, requests: TracedWriter) -> WriteResponse:
    metadata = body["metadata"]
    return await requests.apply(
        metadata["namespace"], metadata["name"], body=msgspec.json.encode(body)
    )


def _namespace_of(change: MergeEvidence | Resolve | ReadStored) -> str:
    if isinstance(change, Resolve):
        return change.removal.namespace
    return change.observation.namespace


def _resolution(change: Resolve) -> Manifest:
    return {"resolvedAt": change.resolved_at, "resolvedReason": change.reason}


def _evidence(stored: StoredObservation) -> Manifest:
    return {"count": stored.count, "evidence": stored.evidence, "evidenceBase": stored.base}


def _occurrence(window: Window | None) -> Manifest:
    """An occurrence is counted once; until its window ends, equal ones are not written."""
    if window is None:
        return {"count": 1}
    start, end = micro_timestamp(window.start), micro_timestamp(window.end)
    return {"count": 1, "occurrence": {"windowStart": start, "windowEnd": end}}


def _resource(subject: ObjectRef) -> Manifest:
    return _without_empty(
        {
            "apiVersion": subject.api_version,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
        }
    )


def _without_empty(fields: Manifest) -> Manifest:
    return {key: value for key, value in fields.items() if value}


def _detail(response: WriteResponse) -> str:
    return f"{response.status} {response.reason}: {response.message}"
